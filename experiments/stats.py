"""Statistics over cases: the case is the unit, its seeds are averaged before anything else is."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 4000


def bootstrap_interval(values: ArrayLike, *, level: float = 0.95) -> NDArray[np.float64]:
    """Percentile bootstrap interval of the mean over cases.

    Parameters
    ----------
    values : (n_cases, ...) array_like
        One entry per case; trailing axes are treated alike, each with the same resamples.
    level : float
        Coverage aimed at. With a handful of cases the interval is too narrow, as bootstrap intervals are.

    Returns
    -------
    (2, ...) array
        Lower and upper end; NaN with fewer than two cases.
    """
    cases = np.asarray(values, dtype=float)
    n = len(cases)
    if n < 2:
        return np.full((2, *cases.shape[1:]), np.nan)
    draws = np.random.default_rng(0).integers(n, size=(RESAMPLES, n))
    tail = (1 - level) / 2
    ends: NDArray[np.float64] = np.quantile(cases[draws].mean(axis=1), [tail, 1 - tail], axis=0)
    return ends
