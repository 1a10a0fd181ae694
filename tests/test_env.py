"""The environment, with the real optimiser on small water phantoms."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env, data_equivalence
from gymnasium.vector import AsyncVectorEnv, AutoresetMode
from phantoms import marble
from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env as sb3_check_env

import radplan_env
from radplan_env import DELIVERED, ENVIRONMENTS, Case, CaseError, RadPlanEnv
from radplan_env.delivery import techniques
from radplan_env.delivery.optimise import Effort
from radplan_env.evaluation import Evaluation
from radplan_env.influence import FIDELITIES, Fidelity
from radplan_env.limits import Limit
from radplan_env.observations import DVH_DOSES
from radplan_env.parameters import PlanningParameters, StructureParameters
from radplan_env.planning import deliveries, delivering
from radplan_env.protocol import load_protocol

PROSTATE, HEAD_AND_NECK, TG119 = ENVIRONMENTS
BEAMS = (0.0, 120.0, 240.0)
COARSE = Fidelity("coarse", dose_grid_mm=10.0, bixel_mm=15.0)


@pytest.fixture(scope="session")
def phantoms(box_case: Case, head_and_neck_case: Case) -> dict[str, Case]:
    """A small case for every environment; the pelvis lacks a femoral head, the neck many of its organs."""
    pelvis = {name: mask for name, mask in box_case.structures.items() if name != "Femur_Head_R"}
    c_shape = {"PTV_5000": pelvis["PTV_7020"], "Core": pelvis["Rectum"], "Body": pelvis["Body"]}
    return {
        PROSTATE: replace(box_case, structures=pelvis),
        HEAD_AND_NECK: head_and_neck_case,
        TG119: replace(box_case, id="phantom/tg119", structures=c_shape),
        **{env_id: marble(DELIVERED[env_id]["protocol"]) for env_id in DELIVERED},
    }


@pytest.fixture(scope="session")
def pelvis(phantoms: dict[str, Case]) -> Case:
    return phantoms[PROSTATE]


@pytest.fixture
def make(phantoms: dict[str, Case], cache_dir: Path) -> Any:
    """Makes an environment on its phantom."""

    def make(env_id: str = PROSTATE, **kwargs: Any) -> gym.Env[Any, Any]:
        settings = {
            "cases": [phantoms[env_id]],
            "fidelity": COARSE,
            "gantry_angles_deg": BEAMS,
            "cache_dir": cache_dir,
            "progress": False,
        }
        return gym.make(f"radplan_env:{env_id}", **{**settings, **kwargs})

    return make


@pytest.fixture
def env(make: Any) -> Iterator[gym.Env[Any, Any]]:
    env = make()
    yield env
    env.close()


def template(env: gym.Env[Any, Any], info: dict[str, Any]) -> Any:
    """The start parameters as an action."""
    return env.unwrapped.action_map.to_action(info["start_parameters"])  # type: ignore[attr-defined]


# --- what libraries expect ----------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", [np.int64(2), np.uint8(2)])
def test_whole_numbers_of_numpy_are_budgets(box_case: Case, budget: Any) -> None:
    env = RadPlanEnv(cases=[box_case], budget=budget, progress=False)
    assert env.budget == 2 and type(env.budget) is int


@pytest.mark.parametrize(
    "observe_image", [pytest.param(False, id="numbers"), pytest.param(True, id="image", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(
    "env_id", [PROSTATE, *(pytest.param(env_id, marks=pytest.mark.slow) for env_id in (HEAD_AND_NECK, TG119))]
)
def test_the_checkers_have_nothing_to_say(make: Any, env_id: str, observe_image: bool) -> None:
    check(make, env_id, RadPlanEnv.metadata["render_modes"], observe_image=observe_image)


def check(make: Any, env_id: str, render_modes: Sequence[str], **settings: Any) -> None:
    """Ask Gymnasium's checker for every render mode, and Stable-Baselines3's."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        for render_mode in render_modes:
            check_env(make(env_id, render_mode=render_mode, **settings).unwrapped)
        sb3_check_env(make(env_id, **settings).unwrapped)


@pytest.mark.parametrize("env_id", DELIVERED)
def test_the_checkers_have_nothing_to_say_of_delivered_plans(
    make: Any, monkeypatch: pytest.MonkeyPatch, env_id: str
) -> None:
    """Arcs of three intervals, from as many coarse fields."""
    monkeypatch.setattr(techniques, "ARC_DEG", (182.0, 194.0))
    for fields in ("_MANY_FIELDS", "_FEWER_FIELDS"):
        monkeypatch.setattr(deliveries, fields, 3)
    for effort in ("COLD", "WARM"):
        monkeypatch.setattr(delivering, effort, Effort(rounds=1, covered=1, steps=5, covered_steps=5))
    check(make, env_id, ["rgb_array"], verdict="sampled", gantry_angles_deg=BEAMS[:2])


@pytest.mark.slow
@pytest.mark.parametrize("env_id", DELIVERED)
def test_the_checkers_have_nothing_to_say_of_whole_arcs(make: Any, env_id: str) -> None:
    check(make, env_id, ["rgb_array"])


@pytest.mark.slow
@pytest.mark.parametrize("fidelity", FIDELITIES)
@pytest.mark.parametrize("env_id", ENVIRONMENTS)
def test_the_checkers_have_nothing_to_say_at_any_fidelity(make: Any, env_id: str, fidelity: str) -> None:
    check_env(make(env_id, fidelity=fidelity).unwrapped, skip_render_check=True)


@pytest.mark.slow
@pytest.mark.parametrize("env_id", ENVIRONMENTS)
def test_worker_processes_plan_what_this_process_plans(make: Any, env_id: str) -> None:
    single = make(env_id)
    single.reset(seed=5)
    action = single.action_space.sample()
    expected = single.step(action)
    make_again = partial(gym.make, single.spec)
    envs = AsyncVectorEnv([make_again] * 2, context="spawn", autoreset_mode=AutoresetMode.SAME_STEP)
    try:
        envs.reset(seed=5)
        observations, rewards, _, _, infos = envs.step(np.stack([action, action]))
    finally:
        envs.close()
    for worker in range(2):
        assert rewards[worker] == pytest.approx(expected[1], abs=1e-6)
        assert infos["plan"]["score"][worker] == pytest.approx(expected[4]["plan"]["score"], abs=1e-4)
        for key, value in expected[0].items():
            np.testing.assert_allclose(observations[key][worker], value, atol=1e-4)


@pytest.mark.slow
def test_a_policy_of_stable_baselines_trains_on_it(make: Any) -> None:
    model = PPO("MultiInputPolicy", make(observe_image=True, budget=4, relative_step=0.1), n_steps=8, batch_size=8)
    model.learn(16)
    assert model.num_timesteps == 16


def test_importing_the_package_is_cheap_and_safe_to_repeat() -> None:
    script = """
import importlib, sys, warnings
warnings.simplefilter("error")
import radplan_env
heavy = {"pyRadPlan", "torch", "matplotlib", "numba", "SimpleITK"} & set(sys.modules)
assert not heavy, heavy
importlib.reload(radplan_env)
"""
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("name", sorted({*radplan_env.__all__} - {"__version__"}))
def test_public_names_are_there(name: str) -> None:
    assert getattr(radplan_env, name).__name__ == name


def test_the_version_is_that_of_the_package() -> None:
    assert re.match(r"\d+(\.|\+)", radplan_env.__version__)


# --- an episode ---------------------------------------------------------------------------------------------


def test_reset_spends_no_solve_and_says_what_there_is_to_know(env: gym.Env[Any, Any], pelvis: Case) -> None:
    observation, info = env.reset(seed=0)
    assert not observation["dvh"].any()
    assert not observation["criteria"].any()
    assert observation["progress"] == 0
    np.testing.assert_array_equal(observation["planning_parameters"], template(env, info))
    assert info["case"]["id"] == pelvis.id
    assert info["protocol"]["prescriptions_gy"] == {"PTV_7020": 70.2}
    assert {
        "structure": "Rectum",
        "metric": "V31Gy",
        "upper": True,
        "limit": 34.0,
        "unit": "%",
        "priority": 3,
    } in (info["protocol"]["criteria"])
    assert info["ranges"].keys() == info["start_parameters"].keys() == set(info["case"]["structures"])
    assert env.unwrapped.plan is None  # type: ignore[attr-defined]


def test_absent_structures_are_masked(env: gym.Env[Any, Any], pelvis: Case) -> None:
    observation, info = env.reset(seed=0)
    slots = env.unwrapped.protocol.slots  # type: ignore[attr-defined]
    expected = [slot in pelvis.structures for slot in slots]
    assert not all(expected)
    assert info["case"]["missing"] == [slot for slot in slots if slot not in pelvis.structures]
    np.testing.assert_array_equal(observation["present"], expected)
    observation = env.step(template(env, info))[0]
    criteria = [c.structure in (*pelvis.structures, "OutsideTargets") for c in env.unwrapped.protocol.criteria]  # type: ignore[attr-defined]
    np.testing.assert_array_equal(observation["criteria_present"], criteria)
    assert not observation["criteria"][~np.array(criteria)].any()
    assert not observation["dvh"].reshape(-1, DVH_DOSES)[~np.array(expected)].any()


def test_coordinates_of_absent_structures_have_no_effect(env: gym.Env[Any, Any]) -> None:
    _, info = env.reset(seed=0)
    action = template(env, info)
    first = env.step(action)
    absent = np.append(np.repeat(first[0]["present"] == 0, 2), False)  # the last is the smoothness
    assert absent.any()
    action[absent] = 0.7
    env.reset(seed=0)
    second = env.step(action)
    assert data_equivalence(first[:2], second[:2], exact=True)


def test_the_observation_shows_the_plan(env: gym.Env[Any, Any]) -> None:
    _, info = env.reset(seed=0)
    action = template(env, info)
    observation, _, _, _, info = env.step(action)
    plan, protocol = info["plan"], env.unwrapped.protocol  # type: ignore[attr-defined]
    np.testing.assert_array_equal(observation["planning_parameters"], action)
    assert observation["progress"] == np.float32(0.1)
    for criterion in plan["criteria"]:
        index = [c.name for c in protocol.criteria].index(f"{criterion['structure']} {criterion['metric']}")
        ratio = min(criterion["value"] / criterion["limit"], 2)
        assert observation["criteria"][index] == pytest.approx(ratio, rel=1e-6)
    dvhs = dict(zip(protocol.slots, observation["dvh"].reshape(-1, DVH_DOSES), strict=True))
    doses_gy = np.linspace(0, 1.2, DVH_DOSES) * 70.2
    for structure in ("PTV_7020", "Rectum"):
        curve = dvhs[structure]
        assert curve[0] == 1
        assert (np.diff(curve) <= 0).all()
        median = plan["metrics"][structure]["D50%"]
        assert np.interp(median, doses_gy, curve) == pytest.approx(0.5, abs=0.1)
        # the mean is the area under a cumulative DVH
        assert np.trapezoid(curve, doses_gy) == pytest.approx(plan["metrics"][structure]["mean"], abs=0.8)


def test_the_budget_truncates_and_the_episode_is_then_over(make: Any) -> None:
    env = make(budget=3)
    env.reset(seed=0)
    poor = -np.ones(env.action_space.shape, np.float32)  # every weight and dose at its lowest
    ends = [env.step(poor)[2:4] for _ in range(3)]
    assert ends == [(False, False), (False, False), (False, True)]
    with pytest.raises(ResetNeeded, match="over"):
        env.step(poor)
    env.reset()
    env.step(poor)


def test_a_plan_that_meets_the_protocol_terminates_where_asked_to(make: Any) -> None:
    protocol = load_protocol("prostate")
    coverage_alone = protocol.model_copy(update={"criteria": protocol.criteria[:1]})  # which the solver grants
    env = make(protocol=coverage_alone, budget=1, terminate_when_met=True)
    _, info = env.reset(seed=0)
    action = template(env, info)
    *_, terminated, truncated, info = env.step(action)
    assert info["plan"]["met"]
    assert (terminated, truncated) == (True, False)
    with pytest.raises(ResetNeeded):
        env.step(action)
    goes_on = make(protocol=coverage_alone, budget=2)
    goes_on.reset(seed=0)
    *_, terminated, truncated, info = goes_on.step(action)
    assert info["plan"]["met"] and not terminated and not truncated


def test_info_is_plain_and_holds_the_history(env: gym.Env[Any, Any]) -> None:
    _, info = env.reset(seed=0)
    json.dumps(info, allow_nan=False)
    env.action_space.seed(1)
    scores, rewards = [], []
    for step in range(1, 4):
        _, reward, _, _, info = env.step(env.action_space.sample())
        json.dumps(info, allow_nan=False)
        plan = info["plan"]
        scores.append(plan["score"])
        rewards.append(reward)
        assert [entry["step"] for entry in plan["history"]] == list(range(1, step + 1))
        assert [entry["score"] for entry in plan["history"]] == scores
        assert plan["history"][-1]["parameters"] == plan["parameters"]
        assert sum(info["reward_terms"].values()) == pytest.approx(reward, abs=1e-9)
    assert sum(rewards) == pytest.approx(scores[-1] / 100)


def test_the_same_seed_and_actions_give_the_same_numbers(make: Any) -> None:
    def played() -> list[Any]:
        env = make()
        results: list[Any] = [env.reset(seed=7)]
        env.action_space.seed(7)
        results += [deepcopy(env.step(env.action_space.sample())) for _ in range(3)]
        return results

    assert data_equivalence(played(), played(), exact=True)


def test_what_an_episode_did_does_not_reach_the_next(env: gym.Env[Any, Any]) -> None:
    _, info = env.reset(seed=0)
    first = env.step(template(env, info))
    env.step(env.action_space.sample())
    env.reset(seed=0)
    assert data_equivalence(first, env.step(template(env, info)), exact=True)


def test_a_reward_of_ones_own(make: Any) -> None:
    def met_share(previous: Evaluation | None, current: Evaluation) -> tuple[float, dict[str, float]]:
        share = sum(result.passed for result in current.criteria) / len(current.criteria)
        return share, {"met": share}

    env = make(reward=met_share)
    _, info = env.reset(seed=0)
    _, reward, _, _, info = env.step(template(env, info))
    criteria = info["plan"]["criteria"]
    assert reward == sum(criterion["passed"] for criterion in criteria) / len(criteria)
    assert info["reward_terms"] == {"met": reward}


def test_relative_zero_plans_the_same_parameters_again(make: Any) -> None:
    absolute, relative = make(), make(relative_step=0.5)
    _, info = absolute.reset(seed=0)
    relative.reset(seed=0)
    start, zero = template(absolute, info), np.zeros(absolute.action_space.shape, np.float32)
    for _ in range(2):
        assert data_equivalence(absolute.step(start), relative.step(zero), exact=True)


def test_relative_actions_add_up_until_the_next_episode(make: Any) -> None:
    env = make(relative_step=0.1)
    start = env.reset(seed=0)[0]["planning_parameters"]
    present = np.append(np.repeat(env.reset(seed=0)[0]["present"] == 1, 2), True)  # the last is the smoothness
    half = np.full(start.shape, 0.5, np.float32)
    for steps in (1, 2):
        expected = np.clip(start + steps * 0.05, -1, 1)
        np.testing.assert_allclose(env.step(half)[0]["planning_parameters"][present], expected[present], atol=1e-3)
    np.testing.assert_array_equal(env.reset(seed=0)[0]["planning_parameters"], start)
    env.step(np.zeros(start.shape, np.float32))
    assert env.unwrapped.plan.parameters == env.unwrapped.system.protocol.start_parameters()


# --- parameters in place of an action -----------------------------------------------------------------------


def test_parameters_are_the_action_they_stand_for(make: Any) -> None:
    by_action, by_parameters = make(), make()
    _, info = by_action.reset(seed=0)
    by_parameters.reset(seed=0)
    parameters = PlanningParameters.from_dict({"structures": info["start_parameters"]})
    for weight in (5, 50):
        parameters = parameters.replace("Rectum", weight=weight)
        action = by_action.unwrapped.action_map.to_action(parameters)
        assert data_equivalence(by_action.step(action), by_parameters.step(parameters), exact=True)


def test_step_takes_the_start_parameters_that_info_holds(make: Any) -> None:
    env = make()
    _, info = env.reset(seed=0)
    plan = env.step(info["start_parameters"])[4]["plan"]
    assert plan["parameters"] == info["start_parameters"]
    with pytest.raises(ValueError, match="weight, objective_dose_gy"):
        env.step({"Rectum": 5})


def test_a_plan_holds_the_limits_of_its_parameters_and_costs_one_solve(make: Any) -> None:
    env = make(budget=2)
    _, info = env.reset(seed=0)
    start = PlanningParameters.from_dict({"structures": info["start_parameters"]})
    reached = env.step(start)[4]["plan"]["metrics"]["Rectum"]["mean"]
    limit = Limit("Rectum", "mean", at_most=0.8 * reached)
    observation, _, _, truncated, info = env.step(replace(start, limits=(limit,)))
    assert env.unwrapped.plan.solution.constraints[-1].met
    assert info["plan"]["metrics"]["Rectum"]["mean"] < reached
    assert info["plan"]["limits"] == [limit.to_dict()]
    assert observation in env.observation_space
    assert truncated and len(info["plan"]["history"]) == 2
    assert env.unwrapped.system.solves == 2


def test_relative_actions_leave_limits_as_they_are(make: Any) -> None:
    env = make(relative_step=0.1)
    _, info = env.reset(seed=0)
    limits = (Limit("Rectum", "mean", at_most=10.0),)
    env.step(PlanningParameters.from_dict({"structures": info["start_parameters"], "limits": [limits[0].to_dict()]}))
    env.step(np.full(env.action_space.shape, 0.5, np.float32))
    parameters = env.unwrapped.plan.parameters
    assert parameters.limits == limits
    assert parameters.structures["Rectum"].weight > info["start_parameters"]["Rectum"]["weight"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gantry_angles_deg": (0.0, 90.0)}, "give 3 gantry angles"),
        ({"limits": (Limit("Larynx", "mean", at_most=45),)}, "limit on Larynx mean"),
        ({"structures": {"Rectum": StructureParameters(1e6, 0)}}, "outside its range"),
        ({"structures": {"Rectum": StructureParameters(5, 0)}}, "no parameters for"),
    ],
)
def test_parameters_that_are_none_are_refused_and_cost_no_solve(
    env: gym.Env[Any, Any], change: dict[str, Any], message: str
) -> None:
    _, info = env.reset(seed=0)
    start = PlanningParameters.from_dict({"structures": info["start_parameters"]})
    before = env.unwrapped.system.solves  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match=message):
        env.step(replace(start, **change))
    assert env.unwrapped.system.solves == before  # type: ignore[attr-defined]
    assert len(env.step(start)[4]["plan"]["history"]) == 1


def test_an_action_cannot_hold_limits(env: gym.Env[Any, Any]) -> None:
    limits = (Limit("Rectum", "mean", at_most=10.0),)
    with pytest.raises(ValueError, match="cannot hold limits"):
        env.unwrapped.action_map.to_action(PlanningParameters({}, limits=limits))  # type: ignore[attr-defined]


@pytest.mark.slow
def test_every_setting_changes_a_result(make: Any) -> None:
    """Weights, objective doses, beams and fidelity each change the plan; none is silently ignored."""

    def score(change: tuple[int, float] | None = None, **settings: Any) -> float:
        env = make(**settings)
        _, info = env.reset(seed=0)
        action = template(env, info)
        if change is not None:
            index, by = change
            action[index] += by
        return float(env.step(action)[4]["plan"]["score"])

    scores = [score(), score(gantry_angles_deg=(0.0, 90.0, 200.0)), score(fidelity="fast")]
    names = make().unwrapped.action_map.names
    for name in ("PTV_7020 weight", "PTV_7020 objective_dose_gy", "Rectum weight", "Body objective_dose_gy"):
        scores.append(score((names.index(name), 0.3)))
    assert len(set(scores)) == len(scores)


# --- the cohort ---------------------------------------------------------------------------------------------


class Lazy(list[Case]):
    """A cohort that knows its ids and notes which cases are read."""

    def __init__(self, cases: list[Case]) -> None:
        super().__init__(cases)
        self.ids = [case.id for case in cases]
        self.read: list[str] = []

    def __getitem__(self, index: Any) -> Any:
        self.read.append(self.ids[index])
        return super().__getitem__(index)


def numbered(case: Case, count: int) -> list[Case]:
    return [replace(case, id=f"box/{number}") for number in range(count)]


def test_cases_are_drawn_by_the_seed_and_all_in_time(make: Any, pelvis: Case) -> None:
    def drawn(seed: int) -> list[str]:
        env = make(cases=numbered(pelvis, 3))
        first = env.reset(seed=seed)[1]["case"]["id"]
        return [first, *(env.reset()[1]["case"]["id"] for _ in range(11))]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert set(drawn(1)) == {"box/0", "box/1", "box/2"}


def test_an_option_picks_the_case_and_only_that_one_is_read(make: Any, pelvis: Case) -> None:
    cases = Lazy(numbered(pelvis, 3))
    env = make(cases=cases)
    assert env.reset(options={"case": "box/2"})[1]["case"]["id"] == "box/2"
    env.reset(options={"case": "box/2"})
    assert cases.read == ["box/2"]


def test_reset_refuses_unknown_options_and_cases(env: gym.Env[Any, Any]) -> None:
    with pytest.raises(ValueError, match="unknown reset options patient; there is only 'case'"):
        env.reset(options={"patient": 1})
    with pytest.raises(ValueError, match="no case 'nobody' in the cohort; it holds phantom/pelvis"):
        env.reset(options={"case": "nobody"})


@pytest.mark.parametrize(
    ("cases", "message"),
    [
        ([], "empty"),
        (["pt_1"], "holds a str"),
        ("twice", "several cases have the id"),
        ("bare", "cases is a list"),
    ],
)
def test_what_is_no_cohort_is_refused(make: Any, pelvis: Case, cases: Any, message: str) -> None:
    given = {"twice": [pelvis, pelvis], "bare": pelvis}.get(cases, cases) if isinstance(cases, str) else cases
    with pytest.raises(ValueError, match=message):
        make(cases=given)


def test_a_case_without_the_primary_target_is_refused_at_once(make: Any, head_and_neck_case: Case) -> None:
    unread = dataclasses.replace(head_and_neck_case, unmapped=("Prostate PTV 70",))
    with pytest.raises(CaseError, match=r"no PTV_7020.*not known: 'Prostate PTV 70'\. Map .*--names"):
        make(cases=[unread])


def test_defaults_synthetic_training_cases_for_prostate_and_an_address_for_head_and_neck() -> None:
    env = gym.make(f"radplan_env:{PROSTATE}")
    assert all(case_id.startswith("synthetic/train/") for case_id in env.unwrapped._ids)  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="github.com/ababier/open-kbp"):
        gym.make(f"radplan_env:{HEAD_AND_NECK}")


@pytest.mark.parametrize(
    ("setting", "value"),
    [("budget", 0), ("budget", 2.5), ("budget", True), ("render_mode", "human3d"), ("fidelity", "perfect"),
     ("protocol", "liver"), ("relative_step", 0), ("relative_step", -0.1), ("relative_step", 2.1),
     ("relative_step", float("nan")), ("backend", "abacus"), ("gantry_angles_deg", ()),
     ("gantry_angles_deg", (0.0, 360.0))],
)  # fmt: skip
def test_settings_that_are_none_are_refused(pelvis: Case, cache_dir: Path, setting: str, value: Any) -> None:
    with pytest.raises(ValueError, match=str(value) if isinstance(value, str) else setting.split("_")[0]):
        RadPlanEnv(**{"cases": [pelvis], "fidelity": COARSE, "cache_dir": cache_dir, setting: value}).reset()


def test_unknown_settings_are_refused(make: Any) -> None:
    with pytest.raises(TypeError, match="fidelty"):
        make(fidelty="fast")


@pytest.mark.parametrize("action", [np.zeros(3, np.float32), np.full(12, np.nan, np.float32), np.full(12, 2.0)])
def test_what_is_no_action_is_refused_and_costs_no_solve(env: gym.Env[Any, Any], action: Any) -> None:
    _, info = env.reset(seed=0)
    with pytest.raises(ValueError, match="an action"):
        env.unwrapped.step(action)
    assert env.step(template(env, info))[4]["plan"]["history"][0]["step"] == 1


# --- pictures and text --------------------------------------------------------------------------------------


def test_pictures_before_and_after_the_first_step(make: Any) -> None:
    env = make(render_mode="rgb_array", observe_image=True)
    observation, info = env.reset(seed=0)
    before = env.render()
    after_step = env.step(template(env, info))[0]
    after = env.render()
    assert before.dtype == np.uint8
    assert before.shape == after.shape
    assert (before != after).any()
    assert observation["image"].any()
    assert (observation["image"] != after_step["image"]).any()


def test_text_before_and_after_the_first_step(make: Any, pelvis: Case) -> None:
    env = make(render_mode="ansi")
    _, info = env.reset(seed=0)
    assert pelvis.id in env.render()
    _, _, _, _, info = env.step(template(env, info))
    text = env.render()
    assert f"score {info['plan']['score']:.1f} of 100" in text
    assert "V31Gy" in text


def test_rendering_outside_an_episode_or_without_a_mode(make: Any) -> None:
    with pytest.raises(ResetNeeded):
        make(render_mode="ansi").unwrapped.render()
    env = make()
    env.reset(seed=0)
    with pytest.warns(UserWarning, match="render_mode"):
        assert env.unwrapped.render() is None
