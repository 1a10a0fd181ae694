"""The vector environment against Gymnasium's own, with the real optimiser on small water phantoms."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode

from radplan_env import ENVIRONMENTS, Case, PlanningSystem, PlanRequest, RadPlanEnv, RadPlanVectorEnv
from radplan_env.influence import Fidelity
from radplan_env.sources.cohort import Cohort
from radplan_env.vector import plan_ahead, plan_together

PROSTATE = next(iter(ENVIRONMENTS))
COARSE = Fidelity("coarse", dose_grid_mm=10.0, bixel_mm=15.0)


@pytest.fixture
def read() -> list[str]:
    """Ids of the cases that were read, in order."""
    return []


@pytest.fixture
def cohort(box_case: Case, read: list[str]) -> Cohort:
    """Three patients; the second lacks a femoral head, the third's bladder is the rectum of the others."""
    organs = dict(box_case.structures)
    one_sided = {name: mask for name, mask in organs.items() if name != "Femur_Head_R"}
    turned = {**organs, "Bladder": organs["Rectum"], "Rectum": organs["Bladder"]}
    cases = {
        f"box/{i}": replace(box_case, id=f"box/{i}", structures=s) for i, s in enumerate((organs, one_sided, turned))
    }

    def noted(case_id: str) -> Case:
        read.append(case_id)
        return cases[case_id]

    return Cohort(tuple(cases), noted)


@pytest.fixture
def settings(cohort: Cohort, cache_dir: Path) -> dict[str, Any]:
    return {
        "cases": cohort,
        "fidelity": COARSE,
        "gantry_angles_deg": (0.0, 120.0, 240.0),
        "cache_dir": cache_dir,
        "progress": False,
    }


@pytest.fixture
def make(settings: dict[str, Any]) -> Iterator[Any]:
    """Makes vector environments: ours, or with ``like="sync"`` Gymnasium's of the same sub-environments."""
    made = []

    def make(num_envs: int = 3, like: str = "vector_entry_point", **changes: Any) -> Any:
        kwargs = {**settings, **changes}
        if like == "sync" and "autoreset_mode" in kwargs:
            kwargs["vector_kwargs"] = {"autoreset_mode": kwargs.pop("autoreset_mode")}
        made.append(gym.make_vec(f"radplan_env:{PROSTATE}", num_envs, vectorization_mode=like, **kwargs))
        return made[-1]

    yield make
    for envs in made:
        envs.close()


def played(envs: Any, steps: int = 5) -> list[Any]:
    """What comes of random actions: episodes that end, one of them out of step with the others."""
    rng = np.random.default_rng(3)
    results: list[Any] = [envs.reset(seed=11)]
    for step in range(steps):
        actions = rng.uniform(-1, 1, envs.action_space.shape).astype(np.float32)
        results.append(envs.step(actions))
        over = results[-1][2] | results[-1][3]
        if step == 0:
            results.append(envs.reset(options={"reset_mask": np.arange(envs.num_envs) == 1, "case": "box/1"}))
        elif over.any() and envs.metadata["autoreset_mode"] is AutoresetMode.DISABLED:
            results.append(envs.reset(options={"reset_mask": over}))
    return results


# --- the same as Gymnasium's vector environment --------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("mode", AutoresetMode)
def test_it_gives_what_gymnasiums_gives(make: Any, mode: AutoresetMode) -> None:
    chosen = {"budget": 2, "autoreset_mode": mode, "relative_step": 0.5}
    ours, theirs = make(**chosen), make(like="sync", **chosen)
    assert isinstance(ours, RadPlanVectorEnv)
    assert ours.metadata == theirs.metadata
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    results = played(ours)
    assert data_equivalence(results, played(theirs), exact=True)
    ended = np.array([result[2] | result[3] for result in results if len(result) == 5])
    assert ended.any(axis=0).all()
    assert (ended[:, 0] != ended[:, 1]).any()
    assert len({case for result in results for case in result[-1].get("case", {}).get("id", ()) if case}) > 1


@pytest.mark.slow
def test_one_patient_planned_in_batches_gives_the_same(make: Any, cohort: Cohort) -> None:
    ours, theirs = (make(num_envs=4, cases=cohort[1:2], like=like) for like in ("vector_entry_point", "sync"))
    assert data_equivalence(played(ours, 2), played(theirs, 2), exact=True)


@pytest.mark.slow
def test_it_gives_the_same_twice(make: Any) -> None:
    assert data_equivalence(played(make(), 3), played(make(), 3), exact=True)


@pytest.mark.slow
def test_pictures_are_those_of_the_sub_environments(make: Any) -> None:
    frames = []
    for like in ("vector_entry_point", "sync"):
        envs = make(num_envs=2, like=like, render_mode="rgb_array")
        envs.reset(seed=0)
        frames.append(envs.render())
    assert len(frames[0]) == 2
    assert data_equivalence(*frames, exact=True)


# --- patients ------------------------------------------------------------------------------------------------


def test_a_patient_in_use_is_read_once_for_all(make: Any, cohort: Cohort, read: list[str]) -> None:
    envs = make(num_envs=4)
    envs.reset(options={"case": "box/0"})
    for number in (1, 2, 0):  # more patients than are kept beside those in use
        envs.reset(options={"case": f"box/{number}", "reset_mask": np.arange(4) == number})
    assert read == list(cohort.ids)


@pytest.mark.slow
def test_patients_planned_together_get_the_plans_they_get_alone(cohort: Cohort, settings: dict[str, Any]) -> None:
    options = {name: value for name, value in settings.items() if name != "cases"}
    systems = [PlanningSystem(case, "prostate", **options) for case in cohort]
    systems.append(systems[0])
    requests = [
        PlanRequest(system.protocol.start_parameters().replace("Rectum", weight=5 + number))
        for number, system in enumerate(systems)
    ]
    together = plan_together(list(zip(requests, systems, strict=True)))
    for plan, request, system in zip(together, requests, systems, strict=True):
        alone = system.plan(request.parameters)
        assert plan.summary() == alone.summary()
        np.testing.assert_array_equal(plan.fluence, alone.fluence)


IN_A_PROCESS_OF_ITS_OWN = """
import pickle, sys
from radplan_env import PlanningSystem, PlanRequest
from radplan_env.vector import plan_together

cases, settings = pickle.load(sys.stdin.buffer)
systems = [PlanningSystem(case, "prostate", **settings) for case in cases]
plans = plan_together([(PlanRequest(system.protocol.start_parameters()), system) for system in systems])
print(*(plan.evaluation.score for plan in plans))
"""


@pytest.mark.slow
def test_threads_are_safe_on_every_threading_layer_of_numba(make: Any, settings: dict[str, Any]) -> None:
    """Its workqueue, the fallback, ends a process whose threads run parallel kernels at the same time."""
    envs = make(num_envs=1, relative_step=1)
    expected = []
    for case in settings["cases"].ids:
        envs.reset(options={"case": case})
        expected.append(envs.step(np.zeros(envs.action_space.shape))[-1]["plan"]["score"][0])
    options = {name: value for name, value in settings.items() if name != "cases"}
    ran = subprocess.run(
        [sys.executable, "-c", IN_A_PROCESS_OF_ITS_OWN],
        input=pickle.dumps((list(settings["cases"]), options)),
        env={**os.environ, "NUMBA_THREADING_LAYER": "workqueue", "NUMBA_NUM_THREADS": "2"},
        capture_output=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr.decode()
    assert [float(score) for score in ran.stdout.split()] == expected


# --- what is refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("num_envs", 0, "num_envs"),
        ("num_envs", True, "num_envs"),
        ("autoreset_mode", "sometimes", "sometimes"),
        ("budget", 0, "budget"),
        ("relative_step", 3, "relative_step"),
    ],
)
def test_settings_that_are_none_are_refused(settings: dict[str, Any], setting: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RadPlanVectorEnv(**{**settings, setting: value})


def test_unknown_settings_are_refused(make: Any) -> None:
    with pytest.raises(TypeError, match="fidelty"):
        make(fidelty="fast")


def test_actions_that_are_none_are_refused_and_cost_no_solve(make: Any) -> None:
    envs = make(budget=1)
    envs.reset(seed=0)
    actions = np.zeros(envs.action_space.shape, np.float32)
    with pytest.raises(ValueError, match="3 sub-environments"):
        envs.step(actions[:2])
    wrong = actions.copy()
    wrong[2, 0] = np.nan
    with pytest.raises(ValueError, match="an action") as refused:
        envs.step(wrong)
    assert refused.value.__notes__ == ["in sub-environment 2"]
    assert [len(history) for history in envs.step(actions)[-1]["plan"]["history"]] == [1, 1, 1]


def test_steps_outside_an_episode_are_refused(make: Any) -> None:
    envs = make(budget=1, autoreset_mode="Disabled")
    actions = np.zeros(envs.action_space.shape, np.float32)
    with pytest.raises(ResetNeeded, match="call reset first"):
        envs.step(actions)
    envs.reset(seed=0)
    envs.step(actions)
    with pytest.raises(ResetNeeded, match="over"):
        envs.step(actions)


def test_a_plan_handed_over_for_another_request_is_not_used(settings: dict[str, Any]) -> None:
    """A sub-environment that is stepped by itself plans what its own action asks for."""
    envs = RadPlanVectorEnv(1, **settings)
    env, alone = envs.envs[0], RadPlanEnv(**settings)
    shape = alone.action_space.shape
    asked, other = np.zeros(shape, np.float32), np.full(shape, 0.5, np.float32)
    env.reset(seed=0)
    alone.reset(seed=0)
    plan_ahead(envs.envs, asked[np.newaxis])
    assert data_equivalence(env.step(other), alone.step(other), exact=True)
