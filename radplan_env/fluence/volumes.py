"""Shares of volume: means and quantiles over rows that stand for different volumes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


def shares(rows: NDArray[np.int64], volumes_cc: Vector | None) -> Vector:
    """Return each row's share of a structure's volume (rows,); equal ones if no volumes are given.

    Raises
    ------
    ValueError
        If the volumes do not fit the rows or are not positive.
    """
    if volumes_cc is None:
        return np.full(rows.size, 1.0 / rows.size)
    if volumes_cc.shape != rows.shape or not (volumes_cc > 0).all():
        raise ValueError(f"{rows.size} rows need as many positive volumes, got an array of shape {volumes_cc.shape}")
    whole: Vector = volumes_cc / volumes_cc.sum()
    return whole


def positions(shares_in_order: Vector) -> Vector:
    """Return where sorted rows stand between the first, at 0, and the last, at 1: by the middle of their shares.

    For equal shares these are NumPy's positions k / (n - 1) of linearly interpolated quantiles.
    """
    middle = np.cumsum(shares_in_order) - shares_in_order / 2
    span = middle[-1] - middle[0]
    return (middle - middle[0]) / span if span > 0 else np.zeros_like(middle)


def dose_at_volume(dose: Vector, share: Vector, percent: float) -> float:
    """Return D_q, the dose that `percent` % of the volume receive at least, between rows by linear interpolation."""
    order = np.argsort(dose, kind="stable")
    return float(np.interp(1.0 - percent / 100.0, positions(share[order]), dose[order]))
