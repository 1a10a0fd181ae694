"""Covariance matrix adaptation evolution strategy."""

from __future__ import annotations

import numpy as np
from cmaes import CMA

from radplan_agents.search.search import Point, SearchAgent, SearchBox

SIGMA = 0.1
"""Standard deviation of the first generation, in coordinates of the action."""

POPULATION = 6
"""Points of a generation."""


class CmaEsSearch:
    """Generations of points around a mean, the box's start among the first (an injected solution, Hansen 2011)."""

    def __init__(self, box: SearchBox, seed: int) -> None:
        bounds = np.stack([box.low, box.high], axis=1)
        self._strategy = CMA(box.start, SIGMA, bounds, seed=seed, population_size=POPULATION)
        self._point = box.start
        self._generation: list[tuple[Point, float]] = []

    def ask(self) -> Point:
        """Return a point of the current generation."""
        return self._point

    def tell(self, value: float) -> None:
        """Take in its value; when the generation is complete, the next is drawn from where the best of it lie."""
        self._generation.append((self._point, -value))
        if len(self._generation) == self._strategy.population_size:
            self._strategy.tell(self._generation)
            self._generation = []
        self._point = self._strategy.ask()


class CmaEsAgent(SearchAgent):
    """Draws plans from a normal distribution that it moves, widens and turns towards the best of them.

    CMA-ES (Hansen 2016, arXiv 1604.00772) as the package cmaes has it.
    """

    def _begin(self, box: SearchBox, seed: int) -> CmaEsSearch:
        return CmaEsSearch(box, seed)
