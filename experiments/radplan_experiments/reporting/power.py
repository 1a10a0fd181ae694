"""What a comparison of so many patients can tell: the power of the paired t-test (Cohen 1988, section 2.3).

Both agents plan the same patients. Of n differences with standard deviation s about a mean of d points, Student's t
follows the noncentral t distribution of n - 1 degrees of freedom and noncentrality d √n / s.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import scipy.optimize
import scipy.special
from numpy.typing import NDArray

Array = NDArray[np.float64]

POWER = 0.8
"""Chance of seeing a difference that is there; `LEVEL` is the risk of seeing one that is not."""
LEVEL = 0.05
PLACES, WEIGHTS = np.polynomial.legendre.leggauss(100)


def power(difference: float, deviation: float, patients: int, *, level: float = LEVEL) -> float:
    """Return the chance that a two-sided paired t-test finds a difference.

    Parameters
    ----------
    difference, deviation : float
        Mean and standard deviation of the differences between two agents on a patient, in points.
    patients : int
        At least 2.
    level : float
        Two-sided risk of a difference found where there is none.
    """
    return _power_of(difference / deviation * math.sqrt(patients), patients, level)


def detectable_difference(deviation: float, patients: int, *, level: float = LEVEL) -> float:
    """Return the mean difference that is found with a chance of 80 %, in points; NaN of fewer than two patients."""
    if patients < 2 or math.isnan(deviation):
        return math.nan

    def lacking(noncentrality: float) -> float:
        return _power_of(noncentrality, patients, level) - POWER

    largest = 2 * _critical(patients, level)  # enough from two patients on
    return float(scipy.optimize.brentq(lacking, 0, largest)) * deviation / math.sqrt(patients)


def patients_needed(deviation: float, difference: float = 1.0, *, level: float = LEVEL) -> int:
    """Return how many patients it takes to find a mean difference with a chance of 80 %; 2 at least."""
    fewest, most = 2, 2
    while detectable_difference(deviation, most, level=level) > difference:
        fewest, most = most, 2 * most
    while fewest < most:
        middle = (fewest + most) // 2
        enough = detectable_difference(deviation, middle, level=level) <= difference
        fewest, most = (fewest, middle) if enough else (middle + 1, most)
    return most


def _power_of(noncentrality: float, patients: int, level: float) -> float:
    """Mean over the sample variance, v in units of the true one, of the chance that |Z + noncentrality| > t √v.

    `scipy.stats.nct` gives NaN here and there.
    """
    deviations, weights = _deviations(patients - 1)
    beyond = _critical(patients, level) * deviations
    chance = scipy.special.ndtr(noncentrality - beyond) + scipy.special.ndtr(-noncentrality - beyond)
    return float(weights @ chance)


def _critical(patients: int, level: float) -> float:
    return float(scipy.special.stdtrit(patients - 1, 1 - level / 2))


@cache
def _deviations(degrees: int) -> tuple[Array, Array]:
    """Sample standard deviations in units of the true one, and their weights: Gauss-Legendre over quantiles."""
    return np.sqrt(scipy.special.chdtri(degrees, (1 + PLACES) / 2) / degrees), WEIGHTS / 2
