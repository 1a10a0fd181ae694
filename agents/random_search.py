"""Random search: the yardstick every other agent is held against."""

from __future__ import annotations

from zlib import crc32

import numpy as np

from agents.agent import Action, Info, Observation
from radplan_env.actions import ActionMap


class RandomSearchAgent:
    """Draws every action uniformly from the action box, from the first solve on.

    Uniform in the box is uniform in the logarithm of the weights and in the objective doses. The template
    plan is not played first: a search that knows nothing shows what the budget alone is worth. The best
    plan of the episode is what counts, so the search never moves anywhere.

    Parameters
    ----------
    action_map : ActionMap
        The environment's action map.
    seed : int
        Seed of the draws. The case's id joins it, so episodes may run in any order and on any process.
    """

    def __init__(self, action_map: ActionMap, *, seed: int = 0) -> None:
        self._space = action_map.space
        self._seed = seed
        self._rng = np.random.default_rng(seed)

    def reset(self, observation: Observation, info: Info) -> None:
        """Begin an episode with the case's own stream of draws."""
        self._rng = np.random.default_rng([self._seed, crc32(info["case"]["id"].encode())])

    def act(self, observation: Observation, info: Info) -> Action | None:
        """Return the next draw."""
        return self._rng.uniform(self._space.low, self._space.high).astype(np.float32)
