"""Dose-response models: pure functions of the doses (Gy) in a structure's voxels and of their volumes.

They rank plans of one patient and are no patient's risk: their parameters come from populations, techniques and
fractionations that are not the ones planned here.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Doses = NDArray[np.floating[Any]]
Volumes = float | NDArray[np.floating[Any]]


def eqd2(dose: Doses, fractions: int, alpha_beta_gy: float) -> NDArray[np.float64]:
    """Return total doses as equivalent doses in 2 Gy fractions, D (D/n + α/β) / (2 + α/β) (Withers 1983).

    Parameters
    ----------
    dose : ndarray
        Total doses in Gy, each given in `fractions` equal parts.
    fractions : int
    alpha_beta_gy : float
        α/β of the linear-quadratic model in Gy.

    Raises
    ------
    ValueError
        If `fractions` or `alpha_beta_gy` is not positive.
    """
    if not fractions > 0 or not alpha_beta_gy > 0:
        raise ValueError(f"EQD2 needs positive fractions and α/β, got {fractions!r} and {alpha_beta_gy!r} Gy")
    total = np.asarray(dose, np.float64)
    return total * (total / fractions + alpha_beta_gy) / (2 + alpha_beta_gy)


def generalised_eud(dose: Doses, a: float, voxel_cc: Volumes = 1.0) -> float:
    """Return gEUD = (Σ v_i D_i^a / Σ v_i)^(1/a) in Gy (Niemierko 1999).

    Parameters
    ----------
    dose : ndarray, shape (voxels,)
        Doses in Gy, zero or greater.
    a : float
        1 is the mean; large values tend to the maximum, very negative ones to the minimum.
    voxel_cc : float or ndarray, shape (voxels,)
        Volume of each voxel, or of every one.

    Raises
    ------
    ValueError
        If there are no voxels or `a` is 0.
    """
    if a == 0:
        raise ValueError("gEUD needs an exponent other than 0")
    doses = np.asarray(dose, np.float64)
    if doses.size == 0:
        raise ValueError("no voxels to take a metric of")
    # Relative to the dose that dominates the sum, so that no power overflows.
    scale = float(doses.max() if a > 0 else doses.min())
    if scale <= 0:
        return 0.0
    weights = np.broadcast_to(np.asarray(voxel_cc, np.float64), doses.shape)
    mean_power = float(weights @ (doses / scale) ** a / weights.sum())
    return scale * math.pow(mean_power, 1 / a)


def lyman_eud(dose: Doses, n: float, fractions: int, alpha_beta_gy: float, voxel_cc: Volumes = 1.0) -> float:
    """Return the effective uniform dose of the Lyman-Kutcher-Burman model in Gy of EQD2: gEUD with a = 1/n."""
    return generalised_eud(eqd2(dose, fractions, alpha_beta_gy), 1 / n, voxel_cc)


def ntcp(effective_dose_gy: float, td50_gy: float, m: float) -> float:
    """Return the normal tissue complication probability Φ((EUD - TD50) / (m TD50)) (Lyman 1985)."""
    return normal_cdf((effective_dose_gy - td50_gy) / (m * td50_gy))


def normal_cdf(t: float) -> float:
    """Return the distribution function of the standard normal distribution."""
    return 0.5 * math.erfc(-t / math.sqrt(2))
