"""The simplex search of Nelder and Mead over the weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import minimize

from radplan_agents.search.search import Point, SearchAgent, SearchBox

EDGE = 0.25
"""Edge of the first simplex, in coordinates of the action."""

CONVERGED_AT = 1e-3
"""A simplex this small, in coordinates of the action and in points of score, has converged."""


class NelderMeadSearch:
    """SciPy's simplex search, a point at a time.

    SciPy calls the function it minimises and cannot be asked for a point. The method draws nothing, so it is run
    anew on the values known so far, and the first point it wants to know the value of beyond them is the next one.
    """

    def __init__(self, box: SearchBox) -> None:
        self._box = box
        self._values: list[float] = []

    def ask(self) -> Point | None:
        """Return the simplex' next point; None when it has converged."""
        known = iter(self._values)

        def loss(point: Point) -> float:
            value = next(known, None)
            if value is None:
                raise _Unknown(point.copy())
            return -value

        box = self._box
        options: Any = {"initial_simplex": self._simplex(), "xatol": CONVERGED_AT, "fatol": CONVERGED_AT}
        bounds = list(zip(box.low.tolist(), box.high.tolist(), strict=True))
        try:
            minimize(loss, box.start, method="Nelder-Mead", bounds=bounds, options=options)
        except _Unknown as unknown:
            return unknown.point
        return None

    def tell(self, value: float) -> None:
        """Take in its value."""
        self._values.append(value)

    def _simplex(self) -> Point:
        """The start and, from it, a step along every axis, towards the further end of the box."""
        box = self._box
        steps = np.where(box.high - box.start >= box.start - box.low, EDGE, -EDGE)
        return np.vstack([box.start, box.start + np.diag(steps)])


class _Unknown(Exception):  # noqa: N818  # no error: it carries the point out of SciPy
    def __init__(self, point: Point) -> None:
        self.point = point


class NelderMeadAgent(SearchAgent):
    """Moves a simplex of plans by reflection, expansion and contraction, as MetaPlanner does.

    It searches the weights alone, on their logarithmic scale, and leaves the objective doses as the template has
    them (Nelder and Mead 1965, doi 10.1093/comjnl/7.4.308; MetaPlanner: Huang 2022, doi 10.1088/1361-6560/ac5672,
    there with several vertices at a time, which one budget of solves does not reward).

    Parameters
    ----------
    env : RadPlanEnv
        The environment.
    seed : int
        Unused: nothing is drawn.
    """

    deterministic = True

    def _begin(self, box: SearchBox, seed: int) -> NelderMeadSearch:
        return NelderMeadSearch(box)

    def _searches(self, structure: str, quantity: str) -> bool:
        return quantity == "weight" and super()._searches(structure, quantity)
