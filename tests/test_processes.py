"""Environments in other processes: pickled in mid-episode, and forked after a solve in the parent."""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cloudpickle
import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AsyncVectorEnv

from radplan_env import Case, RadPlanEnv
from radplan_env.influence import Fidelity

ID = "radplan_env:RadPlan/Prostate-v0"
PATIENCE_S = 120


@pytest.fixture
def settings(box_case: Case, cache_dir: Path) -> dict[str, Any]:
    """Small plans; K is computed in every process, as no cache is named."""
    coarse = Fidelity("coarse", dose_grid_mm=10.0, bixel_mm=15.0)
    return {"cases": [box_case], "fidelity": coarse, "gantry_angles_deg": (0.0, 120.0, 240.0), "progress": False}


def action(env: Any, value: float) -> Any:
    return np.full(env.action_space.shape, value, dtype=np.float32)


@pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps])
def test_a_copy_made_in_mid_episode_goes_on_alike(settings: dict[str, Any], dumps: Callable[[Any], bytes]) -> None:
    env = gym.make(ID, budget=3, observe_image=True, **settings)
    env.reset(seed=3)
    env.step(action(env, 0.1))
    copy = pickle.loads(dumps(env))
    for value in (-0.2, 0.3):
        assert data_equivalence(env.step(action(env, value)), copy.step(action(env, value)), exact=True)
    assert data_equivalence(env.reset(), copy.reset(), exact=True)  # and draws the same next patient


def test_a_vector_environment_pickles(settings: dict[str, Any]) -> None:
    envs = gym.make_vec(ID, num_envs=2, **settings)
    envs.reset(seed=1)
    envs.step(action(envs, 0.1))
    copy: Any = pickle.loads(pickle.dumps(envs))
    assert data_equivalence(envs.step(action(envs, 0.2)), copy.step(action(envs, 0.2)), exact=True)
    assert copy.envs[0].system is copy.envs[1].system  # one K for both


def reward_of(settings: dict[str, Any]) -> float:
    """The reward of a first step, K and solve included."""
    env = RadPlanEnv(**settings)
    env.reset(seed=0)
    return env.step(action(env, 0.1))[1]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork")
def test_a_pool_forked_after_a_solve_solves_too(settings: dict[str, Any]) -> None:
    """GNU OpenMP, which numba's own threads may use, ends a process that forks after it was used."""
    here = reward_of(settings)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map_async(reward_of, [settings] * 2).get(PATIENCE_S) == [here, here]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork")
def test_asynchronous_workers_play_after_a_solve(settings: dict[str, Any]) -> None:
    here = reward_of(settings)
    envs = AsyncVectorEnv([partial(RadPlanEnv, **settings)] * 2, context="fork")
    try:
        envs.reset(seed=0)
        envs.step_async(action(envs, 0.1))
        assert list(envs.step_wait(timeout=PATIENCE_S)[1]) == [here, here]
    finally:
        envs.close(terminate=True)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork")
def test_workers_of_stable_baselines_play_after_a_solve(settings: dict[str, Any]) -> None:
    vec_env = pytest.importorskip("stable_baselines3.common.vec_env")
    here = reward_of(settings)
    envs = vec_env.SubprocVecEnv([partial(RadPlanEnv, **settings)] * 2, start_method="fork")
    try:
        envs.seed(0)
        envs.reset()
        envs.step_async(np.stack([action(envs, 0.1)] * 2))
        assert all(remote.poll(PATIENCE_S) for remote in envs.remotes)
        assert envs.step_wait()[1].tolist() == pytest.approx([here, here])  # float32 there
    finally:
        for process in envs.processes:
            process.terminate()
