"""Whether a difference matters: better, worse, equivalent or undecided, of many comparisons at once.

A mean difference within `EQUIVALENT` points is none in practice. An interval that lies within is a proof of
equivalence, one that lies outside a proof of a difference that matters (Schuirmann 1987, Kruschke 2018); any other
leaves it open. Holm's step-down (1979) keeps the chance of any wrong word among all comparisons at 5 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from radplan_experiments.reporting import stats

Array = NDArray[np.float64]
Decision = Literal["better", "equivalent", "worse", "undecided"]

EQUIVALENT = 0.5
"""Points of the score; ours."""


def decide(low: float, high: float, margin: float = EQUIVALENT) -> Decision:
    """Say what an interval of a mean difference shows; NaN ends show nothing."""
    if low > margin:
        return "better"
    if high < -margin:
        return "worse"
    return "equivalent" if low >= -margin and high <= margin else "undecided"


def decisions(differences: Sequence[Array], *, level: float = stats.LEVEL) -> list[Decision]:
    """Decide many comparisons together.

    Parameters
    ----------
    differences : sequence of (n_cases,) array
        For each comparison the differences on its patients, in points; of fewer than `stats.ENOUGH_CASES` nothing is
        decided.
    level : float
        Chance that no decision is wrong.

    Returns
    -------
    list of Decision
        For each comparison.
    """
    found: list[Decision] = ["undecided"] * len(differences)
    left = list(range(len(differences)))
    while left:
        stricter = 1 - (1 - level) / len(left)
        decided = {i: _decide(differences[i], stricter) for i in left}
        decided = {i: decision for i, decision in decided.items() if decision != "undecided"}
        if not decided:
            break
        for i, decision in decided.items():
            found[i] = decision
        left = [i for i in left if i not in decided]
    return found


def _decide(difference: Array, level: float) -> Decision:
    if len(difference) < stats.ENOUGH_CASES:
        return "undecided"
    low, high = stats.interval_over_cases(difference, level=level)
    return decide(float(low), float(high))
