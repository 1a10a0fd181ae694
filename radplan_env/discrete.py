"""Discrete actions: one coordinate of the planning parameters, one step up or down."""

from __future__ import annotations

from typing import Any, SupportsInt

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

from radplan_env.observations import Observation

Move = np.int64


def moves(space: Box[Any]) -> Discrete:
    """Return the moves of an action space, a new space at every call: up and down along each coordinate."""
    return Discrete(2 * space.shape[0])


def change(space: Box[Any], move: SupportsInt) -> NDArray[np.float32]:
    """Return the relative action that a move stands for: 1 (up) or -1 (down) in one coordinate, 0 in the others.

    Parameters
    ----------
    space : Box
        The relative actions.
    move : int
        ``2 * coordinate`` moves the coordinate up, ``2 * coordinate + 1`` down.

    Raises
    ------
    ValueError
        If there is no such move.
    """
    number = int(move)
    if not 0 <= number < 2 * space.shape[0]:
        raise ValueError(f"a move is a whole number from 0 to {2 * space.shape[0] - 1}, got {move!r}")
    action = np.zeros(space.shape, np.float32)
    coordinate, down = divmod(number, 2)
    action[coordinate] = -1 if down else 1
    return action


def check_relative(relative_step: float | None) -> None:
    """Refuse an environment whose actions are absolute.

    Raises
    ------
    ValueError
        If `relative_step` is None.
    """
    if relative_step is None:
        raise ValueError("up and down are changes: make the environment with a relative_step, such as 0.2")


class DiscreteMoves(gym.ActionWrapper[Observation, Move, NDArray[np.float32]]):
    """Lets an agent move one weight or objective dose up or down per solve, as DQN planners do.

    The action space is ``Discrete(2 * coordinates)``; see `change` for which move is which, and
    ``env.unwrapped.action_map.names`` for the coordinates. A move changes its coordinate by the environment's
    `relative_step` (Shen 2020, doi 10.1002/mp.14114; the ACER planner, PMC12258009, has the same 2 moves for each
    parameter). Moves of structures the patient lacks have no effect.

    Parameters
    ----------
    env : gymnasium.Env
        A `RadPlanEnv` made with `relative_step`.

    Raises
    ------
    ValueError
        If its actions are absolute; from `step`, if there is no such move.
    """

    def __init__(self, env: gym.Env[Observation, NDArray[np.float32]]) -> None:
        super().__init__(env)
        check_relative(env.get_wrapper_attr("relative_step"))
        self._changes: Box[Any] = env.action_space  # type: ignore[assignment]  # a RadPlanEnv's is
        self.action_space = moves(self._changes)

    def action(self, action: Move) -> NDArray[np.float32]:
        """Return the relative action of a move."""
        return change(self._changes, action)
