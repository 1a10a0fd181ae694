"""The environments that a policy is trained in."""

from __future__ import annotations

from typing import Any

import gymnasium
from stable_baselines3.common.vec_env import VecEnv, VecMonitor

from radplan_env.rewards import PointsGained
from radplan_env.stable_baselines import StableBaselinesVecEnv, VecDiscreteMoves, VecStartPlan
from radplan_experiments.training.setup import Setup


def training_environments(setup: Setup) -> tuple[VecEnv, VecStartPlan]:
    """The environments to train in, and the wrapper that counts their start plans."""
    envs: Any = gymnasium.make_vec(
        f"radplan_env:{setup.environment}",
        setup.parallel,
        protocol=setup.protocol,
        cases=setup.training,
        reward=PointsGained(),
        progress=False,
        **dict(setup.hyperparameters.environment),
    )
    start = VecStartPlan(StableBaselinesVecEnv(envs))
    return VecMonitor(VecDiscreteMoves(start) if setup.algorithm == "dqn" else start), start
