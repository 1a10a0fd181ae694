"""The search agents find known optima, stay where they may look, and draw by seed and case alone."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize

import radplan_agents
from radplan_agents import Agent, load_agent, make_agent
from radplan_agents.search.search import REACH
from radplan_env.actions import ActionMap
from radplan_env.case import Case
from radplan_env.influence import Fidelity
from radplan_env.planning import PlanningSystem
from radplan_env.protocol import load_protocol

SEARCHES = ("bayes-gp", "bayes-tpe", "cma-es", "nelder-mead")
DRAWING = SEARCHES[:3]

PROTOCOL = load_protocol("prostate")
ACTION_MAP = ActionMap(PROTOCOL)
ENV: Any = SimpleNamespace(action_map=ACTION_MAP, protocol=PROTOCOL)  # all that these agents need
START = PROTOCOL.start_parameters().to_dict()["structures"]
TEMPLATE = ACTION_MAP.to_action(START)
COARSE = Fidelity("coarse", dose_grid_mm=10.0, bixel_mm=15.0)
BEAMS_DEG = (0.0, 72.0, 144.0, 216.0, 288.0)

Score = Callable[[NDArray[Any]], float]


def task(case_id: str = "a", missing: tuple[str, ...] = ()) -> dict[str, Any]:
    """What `reset` tells."""
    present = [name for name in PROTOCOL.slots if name not in missing]
    return {
        "case": {"id": case_id, "structures": present},
        "start_parameters": {name: START[name] for name in present},
    }


def play(agent: Agent, score: Score, count: int, info: dict[str, Any] | None = None) -> NDArray[np.float32]:
    """The actions of an episode in which an action's score is all that there is to a plan."""
    info = task() if info is None else info
    agent.reset({}, info)
    actions = []
    while len(actions) < count and (action := agent.act({}, info)) is not None:
        actions.append(action)
        info = {"plan": {"score": score(action)}}
    return np.array(actions)


def searched(actions: NDArray[np.float32]) -> dict[str, bool]:
    """Whether each coordinate ever moved."""
    return dict(zip(ACTION_MAP.names, np.ptp(actions, axis=0) > 0, strict=True))


def hill(action: NDArray[Any]) -> float:
    """A smooth score with its top, 100, a way off the template within the searched box."""
    return 100 - 40 * float(np.square(action - TOP).sum())


TOP = TEMPLATE + np.where(TEMPLATE < 0.5, 0.2, -0.2).astype(np.float32)


@pytest.mark.parametrize("name", SEARCHES)
def test_every_episode_begins_with_the_template(name: str) -> None:
    agent = make_agent(name, ENV, seed=1)
    for case_id in ("a", "b"):
        actions = play(agent, hill, 2, task(case_id))
        assert ACTION_MAP.to_parameters(actions[0]) == PROTOCOL.start_parameters()
        assert (actions[1] != actions[0]).any()


@pytest.mark.parametrize("name", SEARCHES)
def test_every_action_lies_in_the_action_space_and_near_the_template(name: str) -> None:
    actions = play(make_agent(name, ENV), lambda action: float(action.sum()), 25)  # the best lies beyond the box
    assert all(action in ACTION_MAP.space for action in actions)
    assert np.abs(actions - TEMPLATE).max() <= REACH + 1e-6


@pytest.mark.parametrize("name", DRAWING)
def test_every_coordinate_moves_but_the_weight_that_the_others_relate_to(name: str) -> None:
    moved = searched(play(make_agent(name, ENV), hill, 4))
    assert [coordinate for coordinate, moves in moved.items() if not moves] == ["PTV_7020 weight"]


def test_the_simplex_moves_weights_alone() -> None:
    moved = searched(play(make_agent("nelder-mead", ENV), hill, 20))
    weights = {f"{organ.structure} weight" for organ in PROTOCOL.organs}
    assert {coordinate for coordinate, moves in moved.items() if moves} == weights


@pytest.mark.parametrize("name", SEARCHES)
def test_structures_that_the_patient_lacks_are_left_alone(name: str) -> None:
    info = task(missing=("Femur_Head_L", "Rectum"))
    actions = play(make_agent(name, ENV), hill, 12, info)
    np.testing.assert_array_equal(actions[0], ACTION_MAP.to_action(info["start_parameters"]))
    moved = searched(actions)
    assert not any(moves for coordinate, moves in moved.items() if coordinate.startswith(("Femur_Head_L", "Rectum")))
    assert moved["Bladder weight"]


@pytest.mark.parametrize("name", DRAWING)
def test_a_search_depends_on_seed_and_case_and_on_nothing_else(name: str) -> None:
    first = play(make_agent(name, ENV, seed=1), hill, 14)
    agent = make_agent(name, ENV, seed=1)
    other_case = play(agent, hill, 3, task("b"))
    np.testing.assert_array_equal(play(agent, hill, 14), first)
    assert (other_case[1] != first[1]).any()
    assert (play(make_agent(name, ENV, seed=2), hill, 3)[1] != first[1]).any()


@pytest.mark.parametrize(
    ("name", "solves", "missed"),
    [
        pytest.param("bayes-gp", 40, 6.0, marks=pytest.mark.slow),
        ("bayes-tpe", 100, 10.0),
        ("cma-es", 400, 0.1),
    ],
)
def test_the_top_of_a_hill_is_found(name: str, solves: int, missed: float) -> None:
    agent = make_agent(name, ENV, seed=0)

    def score(action: NDArray[Any]) -> float:
        return hill(np.where(searched_coordinates, action, TOP))

    searched_coordinates = np.array(ACTION_MAP.names) != "PTV_7020 weight"
    scores = [score(action) for action in play(agent, score, solves)]
    assert scores[0] < 85
    assert max(scores) > 100 - missed


def test_the_simplex_is_scipys_and_stops_where_it_converges() -> None:
    weights = np.array([name.endswith(" weight") and "PTV" not in name for name in ACTION_MAP.names])

    def score(action: NDArray[Any]) -> float:
        return hill(np.where(weights, action, TOP))

    actions = play(make_agent("nelder-mead", ENV), score, 2000)
    assert len(actions) < 2000
    assert score(actions[-1]) > 100 - 1e-3

    def loss(point: NDArray[Any]) -> float:
        action = TOP.astype(np.float64)
        action[weights] = point.astype(np.float32)
        return -score(action)

    simplex = np.unique(actions[:6, weights], axis=0).astype(np.float64)
    whole = minimize(loss, TEMPLATE[weights], method="Nelder-Mead", options={"initial_simplex": simplex})
    np.testing.assert_allclose(actions[-1][weights], whole.x, atol=5e-3)


@pytest.mark.parametrize("name", SEARCHES)
def test_scores_that_are_all_alike_end_no_search_in_an_error(name: str) -> None:
    actions = play(make_agent(name, ENV), lambda action: 0.0, 16)
    assert np.isfinite(actions).all()


@pytest.mark.parametrize(
    ("name", "package"), [("bayes-gp", "torch"), ("bayes-gp", "optuna"), ("bayes-tpe", "optuna"), ("cma-es", "cmaes")]
)
def test_a_package_that_is_missing_is_named_with_what_to_install(
    name: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("bayes_gp", "bayes_tpe", "optuna_search", "cma_es"):
        monkeypatch.delitem(sys.modules, f"radplan_agents.search.{module}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"{name}.*{package}.*pip install -e '\.\[search\]'"):
        load_agent(name)


def coarse_env(case: Case, budget: int = 20) -> Any:
    return gym.make(
        "radplan_env:RadPlan/Prostate-v0",
        cases=[case],
        fidelity=COARSE,
        gantry_angles_deg=BEAMS_DEG,
        budget=budget,
        progress=False,
    )


def test_only_the_ratios_of_weights_matter(box_case: Case) -> None:
    system = PlanningSystem(box_case, "prostate", fidelity=COARSE, gantry_angles_deg=BEAMS_DEG, progress=False)
    start = PROTOCOL.start_parameters()
    assert start.smoothness is not None
    tripled = replace(start, smoothness=3 * start.smoothness)
    for name, values in start.structures.items():
        tripled = tripled.replace(name, weight=3 * values.weight)
    once, thrice = system.plan(start), system.plan(tripled)
    assert once.evaluation.score == pytest.approx(thrice.evaluation.score, abs=0.1)
    np.testing.assert_allclose(once.dose_gy, thrice.dose_gy, atol=0.5)


@pytest.mark.slow
def test_mimicking_comes_close_to_a_dose_that_weights_can_reach(box_case: Case) -> None:
    system = PlanningSystem(box_case, "prostate", fidelity=COARSE, gantry_angles_deg=BEAMS_DEG, progress=False)
    wanted = PROTOCOL.start_parameters().replace("Rectum", weight=60).replace("Bladder", weight=1)
    dose = system.plan(wanted).dose_on(box_case.grid)
    env = coarse_env(replace(box_case, reference_dose_gy=dose))
    agent: Any = make_agent("mimic", env.unwrapped, seed=0)
    distances_gy = []
    irradiated = box_case.structures["Body"] & (dose > 0)
    for _ in radplan_agents.play(agent, env):
        reached = env.unwrapped.plan.dose_on(box_case.grid)
        distances_gy.append(float(np.abs(reached - dose)[irradiated].mean()))
    record = agent.record()
    np.testing.assert_allclose(record["distances_gy"], distances_gy, rtol=1e-4)
    assert record["distance_gy"] == min(record["distances_gy"]) < 0.6 * distances_gy[0]


def test_a_case_without_a_reference_dose_cannot_be_mimicked(box_case: Case) -> None:
    env = coarse_env(box_case)
    agent = make_agent("mimic", env.unwrapped)
    observation, info = env.reset(seed=0)
    with pytest.raises(ValueError, match="phantom/pelvis has no reference dose"):
        agent.reset(observation, info)
