"""What the search agents share: a search of the action space around the template plan, one point at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from radplan_agents.agent import Action, Info, Observation
from radplan_env.env import RadPlanEnv

Point = NDArray[np.float64]

FLUENCE = "Fluence"
"""What the coordinate of the smoothness is named for; every patient has it."""

REACH = 0.4
"""How far from the template plan a coordinate of the action is searched; its whole range is 2 long."""


@dataclass(frozen=True, eq=False)
class SearchBox:
    """Where a search may look.

    Parameters
    ----------
    start : ndarray, shape (coordinates,)
        The template plan, the first point of every search.
    low, high : ndarray, shape (coordinates,)
        Ends of the box.
    """

    start: Point
    low: Point
    high: Point


class Search(Protocol):
    """A method that looks for the point of the highest value: `ask` for a point, `tell` its value, and again."""

    def ask(self) -> Point | None:
        """Return the next point, the box's start first; None when the search has converged."""

    def tell(self, value: float) -> None:
        """Take in the value of the point last asked for."""


class SearchAgent(ABC):
    """Searches the action space around the template plan for the plan of the highest score.

    A search moves the fluence's smoothness, and the weights and objective doses of the structures that the patient has,
    less the weight of the primary target: the dose depends on ratios of weights alone. It ends with the budget.

    Parameters
    ----------
    env : RadPlanEnv
        The environment.
    seed : int
        Seed of what the search draws. The case's id joins it, so episodes may run in any order and on any process.
    """

    def __init__(self, env: RadPlanEnv, *, seed: int = 0) -> None:
        self._env = env
        self._seed = seed

    def reset(self, observation: Observation, info: Info) -> None:
        """Begin an episode at the template plan."""
        action_map = self._env.action_map
        present = info["case"]["structures"]
        self._template = action_map.to_action(info["start_parameters"])
        self._searched = np.array(
            [
                structure in (*present, FLUENCE) and self._searches(structure, quantity)
                for structure, quantity in (name.split() for name in action_map.names)
            ]
        )
        start = self._template[self._searched].astype(np.float64)
        box = SearchBox(start, np.maximum(start - REACH, -1), np.minimum(start + REACH, 1))
        self._search = self._begin(box, int(episode_rng(self._seed, info).integers(2**31)))

    def act(self, observation: Observation, info: Info) -> Action | None:
        """Return the template first, then what the search asks for; None when it has converged."""
        if "plan" in info:
            self._search.tell(self._value(info))
        point = self._search.ask()
        if point is None:
            return None
        action = self._template.copy()
        action[self._searched] = point
        return action

    @abstractmethod
    def _begin(self, box: SearchBox, seed: int) -> Search:
        """Start a search."""

    def _searches(self, structure: str, quantity: str) -> bool:
        """Whether this coordinate is searched, if the patient has the structure."""
        return (structure, quantity) != (self._env.protocol.primary.structure, "weight")

    def _value(self, info: Info) -> float:
        """What the search is to raise."""
        return float(info["plan"]["score"])


def episode_rng(seed: int, info: Info) -> np.random.Generator:
    """Return the random numbers of an agent's episode: they depend on its seed and the case alone."""
    return np.random.default_rng([seed, crc32(info["case"]["id"].encode())])
