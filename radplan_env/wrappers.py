"""Wrappers: other ways to act on the same environment."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import NDArray

from radplan_env.actions import ActionMap
from radplan_env.observations import Observation

Action = NDArray[np.float32]


class RelativeActions(gym.Wrapper[Observation, Action, Observation, Action], RecordConstructorArgs):
    """Lets an agent change the current parameters instead of setting them anew.

    Human planners work this way, and so do the reinforcement-learning planners, whose actions scale a weight up
    or down (Shen 2020, doi 10.1002/mp.14114; PMC12258009: times 1.65 or 0.6). The action space stays the box
    [-1, 1]ⁿ; an action `a` moves the parameters by ``step * a`` in the coordinates of
    `radplan_env.actions.ActionMap` and stops at the ends of their ranges. Zero plans again with the same
    parameters; on the first step of an episode, with the protocol's start parameters.

    Observations stay as they are: ``observation["planning_parameters"]`` is what the next action moves.

    Parameters
    ----------
    env : gymnasium.Env
        A RadPlanEnv, wrapped or not, whose observations still hold "planning_parameters".
    step : float
        Largest change of a coordinate, above 0 and up to 2, the whole range. The default, 0.1, changes a
        weight that ranges over four decades by a factor of up to 1.58.

    Raises
    ------
    ValueError
        If `step` is out of range, or the observations hold no "planning_parameters".
    """

    _step: float
    _current: Action

    def __init__(self, env: gym.Env[Observation, Action], step: float = 0.1) -> None:
        if not 0 < step <= 2:
            raise ValueError(f"step must be above 0 and at most 2, got {step!r}")
        space = env.observation_space
        if not isinstance(space, gym.spaces.Dict) or "planning_parameters" not in space.spaces:
            raise ValueError('RelativeActions needs observation["planning_parameters"]: put it inside other wrappers')
        RecordConstructorArgs.__init__(self, step=step)
        gym.Wrapper.__init__(self, env)
        self._step = step
        self._action_map: ActionMap = env.get_wrapper_attr("action_map")
        self._current = np.zeros(len(self._action_map.names), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Reset the environment; the next action moves its start parameters."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._current = observation["planning_parameters"].copy()
        return observation, info

    def step(self, action: Action) -> tuple[Observation, Any, bool, bool, dict[str, Any]]:
        """Move the parameters and plan with them."""
        moved = self._current + self._step * self._action_map.check(action)
        result = self.env.step(np.clip(moved, -1, 1).astype(np.float32))
        self._current = result[0]["planning_parameters"].copy()
        return result
