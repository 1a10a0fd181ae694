"""Smoothness of the fluence: what commercial systems penalise so that a plan survives sequencing and small shifts.

    S(x) = w · mean over pairs (i, j) of neighbouring bixels of a beam of [g · (x_i − x_j)]²

with g the mean dose of the target per unit of uniform fluence: g · (x_i − x_j) is the dose that a uniform fluence of
the difference would give the target, so that w compares with a structure's weight. g is Rx / x̄ with x̄ the uniform
fluence that gives the target Rx; it does not depend on x, and S stays quadratic.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Vector = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Smoothness:
    """A quadratic penalty on differences of neighbouring bixels.

    Parameters
    ----------
    weight : float
        w, positive.
    pairs : ndarray of int, shape (pairs, 2)
        Neighbouring bixels: see `radplan_env.beams.Bixels.neighbours`.
    gy_per_fluence : float
        g.
    bixels : int
        How many there are.
    """

    weight: float
    pairs: Rows
    gy_per_fluence: float
    bixels: int

    def value(self, fluence: Vector) -> float:
        """Return S in Gy²."""
        return 0.5 * float(fluence @ self.gradient(fluence))

    def gradient(self, fluence: Vector) -> Vector:
        """Return the derivative of S, shape (bixels,)."""
        product: Vector = self.hessian @ fluence
        return product

    @cached_property
    def hessian(self) -> sparse.csr_array:
        """Second derivative of S, shape (bixels, bixels): a graph's Laplacian, scaled."""
        i, j = self.pairs.T
        half = 2 * self.weight * self.gy_per_fluence**2 / max(len(self.pairs), 1)
        ones = np.full(i.size, half)
        entries = np.concatenate([ones, ones, -ones, -ones])
        places = np.concatenate([i, j, i, j]), np.concatenate([i, j, j, i])
        return sparse.csr_array(sparse.coo_array((entries, places), shape=(self.bixels, self.bixels)))

    @cached_property
    def diagonal(self) -> Vector:
        """Of the second derivative, shape (bixels,)."""
        diagonal: Vector = self.hessian.diagonal()
        return diagonal
