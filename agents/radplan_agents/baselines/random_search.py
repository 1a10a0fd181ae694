"""Random search: the yardstick every other agent is held against."""

from __future__ import annotations

import numpy as np

from radplan_agents.agent import Action, Info, Observation
from radplan_agents.search.search import episode_rng
from radplan_env.env import RadPlanEnv


class RandomSearchAgent:
    """Draws every action uniformly from the action box, from the first solve on.

    Uniform in the box is uniform in the logarithm of the weights and in the objective doses. The template
    plan is not played first: a search that knows nothing shows what the budget alone is worth. The best
    plan of the episode is what counts, so the search never moves anywhere.

    Parameters
    ----------
    env : RadPlanEnv
        The environment.
    seed : int
        Seed of the draws. The case's id joins it, so episodes may run in any order and on any process.
    """

    def __init__(self, env: RadPlanEnv, *, seed: int = 0) -> None:
        self._space = env.action_map.space
        self._seed = seed
        self._rng = np.random.default_rng(seed)

    def reset(self, observation: Observation, info: Info) -> None:
        """Begin an episode with the case's own stream of draws."""
        self._rng = episode_rng(self._seed, info)

    def act(self, observation: Observation, info: Info) -> Action | None:
        """Return the next draw."""
        return self._rng.uniform(self._space.low, self._space.high).astype(np.float32)
