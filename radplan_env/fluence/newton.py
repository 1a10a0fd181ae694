"""Semismooth Newton method for piecewise quadratic functions of the dose, over non-negative fluences.

The objective of Eq. 1 is quadratic as long as no voxel crosses its threshold. Each step minimises the local
quadratic exactly over x ≥ 0 (Qi & Sun, Math. Program. 58, 1993, doi 10.1007/BF01581275, for the method's
convergence) and a line search keeps the true objective falling.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from . import bounded_qp
from .gram import Gram
from .matrix import InfluenceMatrix, Vector

DoseFunction = Callable[[Vector], tuple[float, Vector, Vector]]
"""Maps a dose (voxels,) to value, gradient and curvature with respect to the dose."""

_SUFFICIENT_DECREASE = 1e-4  # Armijo's constant
_SHORTEST_STEP = 2.0**-20


@dataclass(frozen=True)
class Minimum:
    """Where a minimisation ended.

    Attributes
    ----------
    fluence, dose, gradient : ndarray
        x (bixels,), K x (voxels,) and the derivative by x (bixels,).
    value : float
    kkt_residual : float
        See `kkt_residual`.
    iterations : int
    """

    fluence: Vector
    dose: Vector
    gradient: Vector
    value: float
    kkt_residual: float
    iterations: int


class Minimiser(Protocol):
    """Minimises a function of the dose over x ≥ 0; see `minimise`."""

    def __call__(
        self,
        matrix: InfluenceMatrix,
        function: DoseFunction,
        start: Vector,
        gram: Gram,
        *,
        tolerance: float,
        max_iterations: int,
    ) -> Minimum: ...


def kkt_residual(fluence: Vector, gradient: Vector, diagonal: Vector) -> float:
    """Return how far from stationary x ≥ 0 is: zero at an optimum, without unit.

    The largest change of any bixel in one projected Newton step with the diagonal of the Hessian,
    max_j |x_j − max(0, x_j − g_j / H_jj)|, relative to the largest fluence before or after.
    """
    floor = 1e-6 * max(float(diagonal.max(initial=0.0)), np.finfo(float).tiny)
    stepped = np.maximum(fluence - gradient / np.maximum(diagonal, floor), 0.0)
    largest = max(float(fluence.max()), float(stepped.max()))
    return float(np.abs(fluence - stepped).max()) / largest if largest > 0 else 0.0


def stationarity(matrix: InfluenceMatrix, fluence: Vector, slope: Vector, curvature: Vector) -> tuple[Vector, float]:
    """Return the gradient by the fluence, and the `kkt_residual`, from the derivatives by the dose."""
    rows = np.flatnonzero(slope)
    gradient = matrix.adjoint(slope[rows], rows)
    curved = np.flatnonzero(curvature)
    return gradient, kkt_residual(fluence, gradient, matrix.squared_adjoint(curvature[curved], curved))


def minimise(
    matrix: InfluenceMatrix,
    function: DoseFunction,
    start: Vector,
    gram: Gram,
    *,
    tolerance: float,
    max_iterations: int,
) -> Minimum:
    """Minimise a piecewise quadratic function of the dose over x ≥ 0.

    Parameters
    ----------
    matrix : InfluenceMatrix
    function : callable
        Value, gradient and curvature by dose.
    start : ndarray, shape (bixels,)
        Not negative.
    gram : Gram
        Of the same matrix; its content is reused.
    tolerance : float
        Ends when `kkt_residual` is below it, after one step at least.
    max_iterations : int

    Returns
    -------
    Minimum
    """
    fluence = start
    dose = matrix.dose(fluence)
    value, slope, curvature = function(dose)
    for iteration in range(max_iterations + 1):
        gradient, residual = stationarity(matrix, fluence, slope, curvature)
        # A change of multipliers too small for the tolerance still asks for a step, or they would never take effect.
        converged = residual == 0 or (residual <= tolerance and iteration > 0)
        if converged or iteration == max_iterations:
            break
        hessian = gram.update(curvature)
        step = bounded_qp.minimise(hessian, gradient - hessian @ fluence, fluence) - fluence
        length, trial = 1.0, (fluence, dose, (value, slope, curvature))
        expected = float(gradient @ step)
        while length >= _SHORTEST_STEP:
            candidate = fluence + length * step
            candidate_dose = matrix.dose(candidate)
            derivatives = function(candidate_dose)
            if derivatives[0] <= value + _SUFFICIENT_DECREASE * length * expected:
                trial = (candidate, candidate_dose, derivatives)
                break
            length /= 2
        else:
            break
        fluence, dose, (value, slope, curvature) = trial
    return Minimum(fluence, dose, gradient, value, residual, iteration)
