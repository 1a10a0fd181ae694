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
from radplan_env.influence import Fidelity
from radplan_env.protocol import load_protocol
from radplan_env.stable_baselines import StableBaselinesVecEnv

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


@pytest.mark.parametrize("terminates", [False, True])
def test_it_gives_what_a_dummy_vec_env_gives(settings: dict[str, Any], terminates: bool) -> None:
    protocol = load_protocol("prostate")
    if terminates:  # coverage alone, which the solver grants
        protocol = protocol.model_copy(update={"criteria": protocol.criteria[:1]})
    chosen = {**settings, "protocol": protocol}
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
