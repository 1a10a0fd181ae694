"""The vector environment as Stable-Baselines3 takes it; needs ``pip install -e '.[rl]'`` in the checkout."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from radplan_env.discrete import change, check_relative, moves
from radplan_env.vector import RadPlanVectorEnv, SubEnvironment, plan_ahead

_DRAWS = 20
"""How often a case is drawn whose start plan leaves something to do."""


class StableBaselinesVecEnv(DummyVecEnv):
    """Hands a vector environment's sub-environments to Stable-Baselines3 and makes their plans together.

    It is SB3's own `DummyVecEnv`: a sub-environment whose episode is over is reset in the same step, with
    ``terminal_observation`` and ``TimeLimit.truncated`` in its info. ``VecMonitor`` around it records returns.

    ``envs = gymnasium.make_vec("radplan_env:RadPlan/Prostate-v0", num_envs=8, relative_step=0.1)``
    ``PPO("MultiInputPolicy", VecMonitor(StableBaselinesVecEnv(envs))).learn(10_000)``

    Parameters
    ----------
    envs : RadPlanVectorEnv
        As `gymnasium.make_vec` makes it, without wrappers. It is taken over: step this one from now on, not that
        one. Its autoreset mode has no effect.

    Raises
    ------
    TypeError
        If `envs` is another vector environment or a wrapped one.
    """

    envs: list[SubEnvironment]  # type: ignore[assignment]

    def __init__(self, envs: RadPlanVectorEnv) -> None:
        if not isinstance(envs, RadPlanVectorEnv):
            raise TypeError(
                f"give what gymnasium.make_vec makes of a radplan_env id, without wrappers; got {type(envs).__name__}"
            )
        super().__init__([partial(_itself, env) for env in envs.envs])

    def step_wait(self) -> VecEnvStepReturn:
        """Take the steps that `step_async` was given."""
        plan_ahead(self.envs, self.actions)
        return super().step_wait()


def _itself(env: SubEnvironment) -> SubEnvironment:
    return env


class VecStartPlan(VecEnvWrapper):
    """Begins every episode with the plan of the protocol's start parameters, so that a policy has a dose to look at.

    That solve is the first of the episode's budget. Its reward, the score of the start plan, is nobody's merit and
    left out: with `ScoreImprovement`, the return of an episode is what the agent added to the start plan.

    Parameters
    ----------
    venv : StableBaselinesVecEnv
        With `relative_step` and a budget of at least 2 solves.

    Raises
    ------
    ValueError
        If its actions are absolute, or the start plan would be the only one of an episode.
    """

    def __init__(self, venv: StableBaselinesVecEnv) -> None:
        super().__init__(venv)
        check_relative(venv.envs[0].relative_step)
        if venv.envs[0].budget < 2:
            raise ValueError("the start plan takes one solve: give a budget of at least 2")
        self._inner = venv
        self.start_solves = 0
        """Start plans made so far."""

    def reset(self) -> VecEnvObs:
        """Begin an episode in every sub-environment."""
        return self._planned(self.venv.reset(), range(self.num_envs))

    def step_wait(self) -> VecEnvStepReturn:
        """Take the steps that `step_async` was given; episodes that are over are followed by the next."""
        observations, rewards, dones, infos = self.venv.step_wait()
        return self._planned(observations, np.flatnonzero(dones).tolist()), rewards, dones, infos

    def _planned(self, observations: VecEnvObs, indices: Sequence[int]) -> VecEnvObs:
        """The observations with those of the sub-environments at `indices`, just reset, brought up to the start plan.

        A case whose start plan meets the whole protocol leaves nothing to do: another one is drawn.
        """
        assert isinstance(observations, dict)  # a RadPlanEnv's are
        for _ in range(_DRAWS):
            envs = [self._inner.envs[index] for index in indices]
            unchanged = np.zeros((len(envs), *self._changes.shape), np.float32)
            plan_ahead(envs, unchanged)
            for index, env, action in zip(indices, envs, unchanged, strict=True):
                observation, *_ = env.step(action)
                for key, values in observations.items():
                    values[index] = observation[key]
            self.start_solves += len(envs)
            indices = [index for index in indices if self._inner.envs[index].over]
            if not indices:
                return observations
            for index in indices:
                _, self._inner.reset_infos[index] = self._inner.envs[index].reset()
        raise ValueError(
            f"the start plan met the whole protocol {_DRAWS} times in a row: there is nothing to learn here"
        )

    @property
    def _changes(self) -> Box[Any]:
        space = self.action_space
        assert isinstance(space, Box)  # a RadPlanEnv's is
        return space


class VecDiscreteMoves(VecEnvWrapper):
    """`radplan_env.discrete.DiscreteMoves` for vector environments.

    Parameters
    ----------
    venv : VecEnv
        Of `RadPlanEnv`s made with `relative_step`.

    Raises
    ------
    ValueError
        If their actions are absolute; from `step_async`, if there is no such move.
    """

    def __init__(self, venv: VecEnv) -> None:
        check_relative(venv.get_attr("relative_step")[0])
        assert isinstance(venv.action_space, Box)  # a RadPlanEnv's is
        super().__init__(venv, action_space=moves(venv.action_space))
        self._changes: Box[Any] = venv.action_space

    def step_async(self, actions: NDArray[Any]) -> None:
        """Hand each sub-environment the relative action of its move."""
        self.venv.step_async(np.array([change(self._changes, move) for move in actions]))

    def step_wait(self) -> VecEnvStepReturn:
        """Take the steps that `step_async` was given."""
        return self.venv.step_wait()

    def reset(self) -> VecEnvObs:
        """Begin an episode in every sub-environment."""
        return self.venv.reset()
