"""The planning systems of a cohort, each at most once in memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any
from weakref import WeakValueDictionary

from radplan_env.planning import PlanningSystem

KEPT_SYSTEMS = 2
"""Cases kept ready in memory beside those in use; the matrix of another is made, or read from the disk, again."""


class SystemCache:
    """Makes a case's planning system when it is first asked for and hands the same one to all who ask while it is used.

    Its dose-influence matrix is what fills the memory. There are as many as different cases are in use, and
    the last `KEPT_SYSTEMS`.

    Parameters
    ----------
    make : callable
        Returns the planning system of a case by its position in the cohort.
    """

    def __init__(self, make: Callable[[int], PlanningSystem]) -> None:
        in_use: WeakValueDictionary[int, PlanningSystem] = WeakValueDictionary()

        def find(index: int) -> PlanningSystem:
            system = in_use.get(index)
            if system is None:
                system = in_use[index] = make(index)
            return system

        self._make = make
        self._recent = lru_cache(KEPT_SYSTEMS)(find)

    def __reduce__(self) -> tuple[Any, ...]:
        return SystemCache, (self._make,)  # a copy makes its own

    def __call__(self, index: int) -> PlanningSystem:
        """Return the planning system of the case at this position."""
        return self._recent(index)

    def clear(self) -> None:
        """Let go of the systems that nobody uses."""
        self._recent.cache_clear()
