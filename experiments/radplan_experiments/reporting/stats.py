"""Statistics of scores, after Agarwal et al. 2021 (arXiv 2108.13264, "the paper" here).

Two uncertainties are kept apart, as they answer two questions:

- *over cases*: would it be so for other patients? The cases are drawn anew, each with all its seeds. The noise of the
  seeds is in it as far as it is in the cases' scores (Davison and Hinkley 1997, section 3.8). The case is the unit.
- *over seeds*: would it be so on the same patients, had the agents drawn other random numbers? The seeds are drawn anew
  within each case: the stratified bootstrap of the paper and of its library, rliable.

Scores come as one array for each case, with as many entries as it has seeds: an agent that does not depend on the seed
plays a case once, and an episode may have failed. Every case weighs the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Statistic = Callable[[Array], Array]
"""From (resamples, cases, runs) to (resamples,)."""

RESAMPLES = 4000
LEVEL = 0.95
UNBOUNDED = (-math.inf, math.inf)
SCORES = (0.0, 100.0)
"""Between these lie scores, and so their means."""
ENOUGH_CASES = 6
"""With n cases, one of two equal agents is ahead on all of them in 2^(1-n) of all runs: less than 5 % from six on."""
CHUNK = 2_000_000
"""Numbers drawn at a time: what a bootstrap holds in memory."""


def balanced(scores: Sequence[ArrayLike]) -> Array:
    """Scores of cases as a matrix in which every case weighs the same.

    Where cases have different numbers of seeds, each one's scores are repeated to the least common multiple.

    Parameters
    ----------
    scores : sequence of (n_seeds,) array_like
        One entry for each case.

    Returns
    -------
    (n_cases, n_runs) array
    """
    cases = [np.asarray(own, dtype=float) for own in scores]
    runs = _runs(cases)
    return np.array([np.repeat(own, runs // len(own)) for own in cases]).reshape(len(cases), runs)


def interquartile_mean(scores: Array) -> Array:
    """Mean of the middle half of all scores: (…, cases, runs) to (…).

    As `scipy.stats.trim_mean` with 0.25. It needs fewer runs than the median and, unlike the mean, heeds no outlier.
    """
    pooled = scores.reshape(*scores.shape[:-2], -1)
    cut = pooled.shape[-1] // 4
    first, last = cut, pooled.shape[-1] - cut - 1
    means: Array = np.partition(pooled, (first, last), axis=-1)[..., first : last + 1].mean(axis=-1)
    return means


def mean(scores: Array) -> Array:
    """Mean over cases of their means over seeds: (…, cases, runs) to (…)."""
    means: Array = scores.mean(axis=(-2, -1))
    return means


def median(scores: Array) -> Array:
    """Median over cases of their means over seeds: (…, cases, runs) to (…)."""
    medians: Array = np.median(scores.mean(axis=-1), axis=-1)
    return medians


def mean_over_cases(values: Array) -> Array:
    """Mean over cases of values with any further axes: (resamples, cases, …) to (resamples, …)."""
    means: Array = values.mean(axis=1)
    return means


def interval_over_cases(
    values: ArrayLike,
    statistic: Callable[[Array], Array] = mean_over_cases,
    *,
    level: float = LEVEL,
    bounds: tuple[float, float] = UNBOUNDED,
) -> Array:
    """Bootstrap interval for other patients: cases are drawn anew, each with all its runs.

    Percentiles of the bootstrap, widened for few cases. Hesterberg 2015 (arXiv 1411.5279, "narrowness bias") has them
    too narrow by √((n - 1)/n), and by the normal quantile where Student's t is due: for eleven cases, 90 % instead of
    95 % (tests/experiments/reporting/test_stats.py). He takes outer percentiles, of which fewer than five cases have
    none: here the ends are moved away from the estimate instead.

    Parameters
    ----------
    values : (n_cases, …) array_like
        One entry for each case; `balanced` makes it from scores.
    statistic : callable
        From (resamples, n_cases, …) to (resamples, …).
    level : float
        Coverage aimed at.
    bounds : tuple of float
        What the statistic cannot exceed: `SCORES` for scores.

    Returns
    -------
    (2, …) array
        Lower and upper end; NaN with fewer than two cases.
    """
    cases = np.asarray(values, dtype=float)
    n = len(cases)
    if n < 2:
        any_case = np.zeros((1, 1, *cases.shape[1:]))
        return np.full((2, *np.shape(statistic(any_case)[0])), np.nan)
    estimate = statistic(cases[None])[0]
    draws = np.random.default_rng(0).integers(n, size=(RESAMPLES, n))
    pieces = np.array_split(draws, math.ceil(RESAMPLES * cases.size / CHUNK))
    resampled = np.concatenate([statistic(cases[piece]) for piece in pieces])
    return np.clip(_ends(resampled, estimate, level, count=n, degrees=n - 1), *bounds)


def interval_over_seeds(
    scores: Sequence[ArrayLike],
    statistic: Statistic = interquartile_mean,
    *,
    level: float = LEVEL,
    bounds: tuple[float, float] = UNBOUNDED,
) -> Array:
    """Bootstrap interval for the same patients: seeds are drawn anew within each case (stratified by case).

    Parameters
    ----------
    scores : sequence of (n_seeds,) array_like
        One entry for each case.
    statistic : callable
        `interquartile_mean`, `mean` or `median`.
    level, bounds
        As in `interval_over_cases`, and as there widened for few seeds.

    Returns
    -------
    (2,) array
        Lower and upper end; NaN where no case has two seeds: nothing is then known of their noise, which is not to say
        that there is none.
    """
    cases = [np.asarray(own, dtype=float) for own in scores]
    count = sum(len(own) for own in cases)
    degrees = count - len(cases)
    if degrees < 1:
        return np.full(2, np.nan)
    estimate = statistic(balanced(cases)[None])[0]
    ends = _ends(resample_seeds(cases, statistic), estimate, level, count=count, degrees=degrees)
    return np.clip(ends, *bounds)


def resample_seeds(cases: Sequence[Array], statistic: Statistic) -> Array:
    """A statistic of resamples whose seeds were drawn anew within each case: (resamples,)."""
    rng, runs = np.random.default_rng(0), _runs(cases)
    found = []
    for piece in np.array_split(np.arange(RESAMPLES), math.ceil(RESAMPLES * len(cases) * runs / CHUNK)):
        draws = [own[rng.integers(len(own), size=(len(piece), len(own)))] for own in cases]
        resampled = [np.repeat(own, runs // own.shape[1], axis=1) for own in draws]
        found.append(statistic(np.stack(resampled, axis=1)))
    return np.concatenate(found)


def probability_of_improvement(ours: Sequence[ArrayLike], theirs: Sequence[ArrayLike]) -> Array:
    """How often our run of a case has the better score than theirs, ties counting half.

    Parameters
    ----------
    ours, theirs : sequence of (n_seeds,) array_like
        Scores of the same cases, in the same order.

    Returns
    -------
    (n_cases,) array
        For each case the share of pairs of runs; the mean is the paper's P(X > Y), its interval `share_interval`.
    """
    pairs = [np.subtract.outer(np.asarray(x, float), np.asarray(y, float)) for x, y in zip(ours, theirs, strict=True)]
    return np.array([(np.sign(pair).mean() + 1) / 2 for pair in pairs])


def share_interval(shares: ArrayLike, *, level: float = LEVEL) -> Array:
    """Wilson's score interval of the mean of shares, which lie between 0 and 1.

    A bootstrap would call eleven wins in eleven cases certain; this does not. It takes the shares for zeros and
    ones, and is wider than it need be where they lie between, as they then vary less.

    Parameters
    ----------
    shares : (n_cases, …) array_like
        One entry for each case.

    Returns
    -------
    (2, …) array
        Lower and upper end; NaN with fewer than two cases.
    """
    values = np.asarray(shares, dtype=float)
    n = len(values)
    if n < 2:
        return np.full((2, *values.shape[1:]), np.nan)
    share, z = values.mean(axis=0), scipy.stats.norm.ppf((1 + level) / 2)
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    ends: Array = np.clip([centre - half, centre + half], 0, 1)
    return ends


def _runs(cases: Sequence[Array]) -> int:
    """Entries that each case has in a balanced matrix."""
    return math.lcm(*(len(own) for own in cases))


def _ends(resampled: Array, estimate: Array, level: float, *, count: int, degrees: int) -> Array:
    """Percentiles of the resampled statistic, moved away from the estimate as is due to so few values."""
    tail = (1 - level) / 2
    student, normal = scipy.stats.t.isf(tail, degrees), scipy.stats.norm.isf(tail)
    percentiles = np.quantile(resampled, [tail, 1 - tail], axis=0)
    ends: Array = estimate + (percentiles - estimate) * math.sqrt(count / degrees) * student / normal
    return ends
