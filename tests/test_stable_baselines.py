"""Stable-Baselines3 gets from the vector environment what its own DummyVecEnv gives, and trains on it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecMonitor

from radplan_env import Case, RadPlanEnv
from radplan_env.discrete import DiscreteMoves
from radplan_env.influence import Fidelity
from radplan_env.protocol import load_protocol
from radplan_env.stable_baselines import StableBaselinesVecEnv, VecDiscreteMoves, VecStartPlan

ID = "radplan_env:RadPlan/Prostate-v0"


@pytest.fixture
def settings(box_case: Case, cache_dir: Path) -> dict[str, Any]:
    return {
        "cases": [replace(box_case, id=f"box/{number}") for number in range(2)],
        "fidelity": Fidelity("coarse", dose_grid_mm=10.0, bixel_mm=15.0),
        "gantry_angles_deg": (0.0, 120.0, 240.0),
        "cache_dir": cache_dir,
        "progress": False,
        "budget": 2,
        "relative_step": 0.2,
    }


def ours(num_envs: int, **settings: Any) -> StableBaselinesVecEnv:
    return StableBaselinesVecEnv(gym.make_vec(ID, num_envs, **settings))  # type: ignore[arg-type]


def played(envs: VecEnv) -> list[Any]:
    rng = np.random.default_rng(0)
    envs.seed(5)
    results: list[Any] = [envs.reset()]
    for _ in range(5):
        step = envs.step(rng.uniform(-1, 1, (envs.num_envs, *envs.action_space.shape)).astype(np.float32))  # type: ignore[misc]
        results += [step, [dict(info) for info in envs.reset_infos]]
    return results


@pytest.mark.slow
@pytest.mark.parametrize("terminates", [False, True])
def test_it_gives_what_a_dummy_vec_env_gives(settings: dict[str, Any], terminates: bool) -> None:
    protocol = load_protocol("prostate")
    if terminates:  # coverage alone, which the solver grants
        protocol = protocol.model_copy(update={"criteria": protocol.criteria[:1]})
    chosen = {**settings, "protocol": protocol, "terminate_when_met": terminates}
    theirs = DummyVecEnv([lambda: RadPlanEnv(**chosen) for _ in range(3)])
    results = played(ours(3, **chosen))
    assert data_equivalence(results, played(theirs), exact=True)
    infos = [info for step in results[1::2] for info in step[3]]
    ends = [info for info in infos if "terminal_observation" in info]
    assert ends
    assert {info["TimeLimit.truncated"] for info in ends} == {not terminates}


def test_sub_environments_can_be_asked_and_told(settings: dict[str, Any]) -> None:
    envs = ours(2, **settings)
    assert envs.get_attr("render_mode") == [None, None]
    envs.set_attr("render_mode", "ansi", indices=1)
    assert envs.get_attr("render_mode") == [None, "ansi"]
    observations = envs.env_method("reset", options={"case": "box/1"})
    assert [info["case"]["id"] for _, info in observations] == ["box/1", "box/1"]


def test_ppo_trains_on_it(settings: dict[str, Any]) -> None:
    envs = VecMonitor(ours(2, **settings))
    model = PPO("MultiInputPolicy", envs, n_steps=4, batch_size=8, n_epochs=1, seed=0)
    model.learn(8)
    assert model.num_timesteps == 8
    assert [episode["l"] for episode in model.ep_info_buffer] == [2] * 4
    assert all(0 < episode["r"] < 1 for episode in model.ep_info_buffer)


def test_other_vector_environments_are_refused(settings: dict[str, Any]) -> None:
    envs = gym.make_vec(ID, 2, vectorization_mode="sync", **settings)
    with pytest.raises(TypeError, match="SyncVectorEnv"):
        StableBaselinesVecEnv(envs)  # type: ignore[arg-type]


def test_discrete_moves_are_those_of_the_single_wrapper(settings: dict[str, Any]) -> None:
    theirs = DummyVecEnv([lambda: DiscreteMoves(RadPlanEnv(**settings))])
    both = [VecDiscreteMoves(ours(1, **settings)), theirs]
    assert both[0].action_space == both[1].action_space
    for envs in both:
        envs.seed(3)
        envs.reset()
    for move in (0, 7, 10):
        assert data_equivalence(*(envs.step(np.array([move])) for envs in both), exact=True)


def test_episodes_begin_with_the_start_plan(settings: dict[str, Any]) -> None:
    chosen = {**settings, "budget": 3}
    envs = VecStartPlan(ours(2, **chosen))
    envs.seed(0)
    observations = envs.reset()
    assert isinstance(observations, dict)
    start = RadPlanEnv(**chosen)
    for index in range(2):
        start.reset(options={"case": envs.venv.reset_infos[index]["case"]["id"]})
        expected, *_ = start.step(np.zeros(start.action_space.shape, np.float32))
        assert data_equivalence({key: values[index] for key, values in observations.items()}, expected, exact=True)
    returns = np.zeros(2)
    for _ in range(2):  # the budget less the start plan
        observations, rewards, dones, infos = envs.step(np.full((2, *start.action_space.shape), 0.5, np.float32))
        returns += rewards
    assert dones.all()
    assert envs.start_solves == 4
    scores = [[step["score"] for step in info["plan"]["history"]] for info in infos]
    np.testing.assert_allclose(returns, [(s[-1] - s[0]) / 100 for s in scores], atol=1e-6)
    np.testing.assert_allclose(observations["progress"], 1 / 3)  # of the next episodes


@pytest.mark.slow
def test_a_start_plan_that_leaves_nothing_to_do_is_no_episode(settings: dict[str, Any]) -> None:
    protocol = load_protocol("prostate")
    protocol = protocol.model_copy(update={"criteria": protocol.criteria[:1]})  # coverage, which the solver grants
    with pytest.raises(ValueError, match="nothing to learn"):
        VecStartPlan(ours(1, **settings, protocol=protocol, terminate_when_met=True)).reset()


def test_a_start_plan_needs_relative_actions_and_a_second_solve(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="relative_step"):
        VecStartPlan(ours(1, **{**settings, "relative_step": None}))
    with pytest.raises(ValueError, match="budget"):
        VecStartPlan(ours(1, **{**settings, "budget": 1}))
