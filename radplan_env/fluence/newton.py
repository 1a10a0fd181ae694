"""Proximal semismooth Newton method for piecewise quadratic functions of the dose, over non-negative fluences.

The objective of Eq. 1 is quadratic as long as no voxel crosses its threshold. Each step minimises the local quadratic
over x ≥ 0, held near the present fluence by a ridge that shrinks from step to step (without it early steps run far
along directions that hardly change the dose, and most of them is cut off), followed by an exact line search on the
true objective. Qi & Sun, Math. Program. 58, 1993, doi 10.1007/BF01581275, for semismooth Newton; Rockafellar,
SIAM J. Control Optim. 14, 1976, doi 10.1137/0314056, for the proximal term.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from . import bounded_qp
from .gram import Gram
from .loss import Loss
from .matrix import InfluenceMatrix, Vector

# Relative to the mean diagonal of the Hessian; measured on TG-119 and OpenKBP (benchmarks/fluence.py).
FIRST_RIDGE = 0.03
_LAST_RIDGE = 1e-6
_SHRINK = 0.3
_LIKELY = 0.002  # a bixel's gradient below this share of what would take the largest fluence to zero
_LONGEST_STEP = 4.0
_LARGEST_SCALE = 10.0
_HEADROOM = 1.5
_NEGLIGIBLE = 1e-6  # of the loss without any dose: below it, the loss counts as zero


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
    """Minimises a loss over x ≥ 0; see `minimise`."""

    def __call__(
        self,
        matrix: InfluenceMatrix,
        loss: Loss,
        start: Vector,
        gram: Gram,
        *,
        tolerance: float,
        max_iterations: int,
        ridge: float = ...,
    ) -> Minimum: ...


def kkt_residual(fluence: Vector, gradient: Vector, value: float) -> float:
    """Return a bound on how far the value is above the minimum over x ≥ 0, relative to the value.

    For a convex F and a minimiser x* that nowhere exceeds U, F(x) − F(x*) ≤ gᵀ(x − x*) ≤ gᵀx + U Σ_j max(0, −g_j):
    the conditions of Karush, Kuhn and Tucker, complementarity and dual feasibility, weighed by what their violation
    may cost. U is taken to be one and a half times the largest fluence.
    """
    complementarity = abs(float(gradient @ fluence))
    infeasibility = _HEADROOM * float(fluence.max(initial=0.0)) * float(np.maximum(-gradient, 0.0).sum())
    return (complementarity + infeasibility) / value if value > 0 else 0.0


def minimise(
    matrix: InfluenceMatrix,
    loss: Loss,
    start: Vector,
    gram: Gram,
    *,
    tolerance: float,
    max_iterations: int,
    ridge: float = FIRST_RIDGE,
) -> Minimum:
    """Minimise a piecewise quadratic function of the dose over x ≥ 0.

    Parameters
    ----------
    matrix : InfluenceMatrix
    loss : Loss
    start : ndarray, shape (bixels,)
        Not negative.
    gram : Gram
        Of the same matrix; its content is reused.
    tolerance : float
        Ends when `kkt_residual` is below it, after one step at least.
    max_iterations : int
    ridge : float
        Of the first step, relative to the mean diagonal of the Hessian: the better the start, the smaller.

    Returns
    -------
    Minimum
    """
    fluence = start
    dose = matrix.dose(fluence)
    scale = loss.best_step(np.zeros_like(dose), dose, _LARGEST_SCALE)
    fluence, dose = scale * fluence, scale * dose
    value, slope, curvature = loss.derivatives(dose)
    negligible = _NEGLIGIBLE * loss.derivatives(np.zeros_like(dose))[0]
    for iteration in range(max_iterations + 1):
        rows = np.flatnonzero(curvature)  # where it is 0, so is the slope
        gradient, diagonal = matrix.adjoint_and_diagonal(slope[rows], curvature[rows], rows)
        residual = kkt_residual(fluence, gradient, max(value, negligible))
        # A change of multipliers too small for the tolerance still asks for a step, or they would never take effect.
        converged = residual == 0 or (residual <= tolerance and iteration > 0)
        if converged or iteration == max_iterations:
            break
        needed = (fluence > 0) | (gradient < 0) if iteration > 0 else fluence > 0
        likely = gradient < _LIKELY * diagonal * fluence.max()
        gram.update(curvature, needed, likely)
        step = _step(gram, ridge, gradient, fluence)
        change = matrix.dose(step)
        shrinking = step < 0
        longest = min(float((fluence[shrinking] / -step[shrinking]).min(initial=_LONGEST_STEP)), _LONGEST_STEP)
        length = loss.best_step(dose, change, max(longest, 1.0))
        fluence = np.maximum(fluence + length * step, 0.0)
        dose = dose + length * change
        value, slope, curvature = loss.derivatives(dose)
        ridge = max(_SHRINK * ridge, _LAST_RIDGE) if length > 0.3 else min(ridge / _SHRINK, 1.0)
    dose = matrix.dose(fluence)  # without the rounding that the steps have piled up
    return Minimum(fluence, dose, gradient, value, residual, iteration)


def _step(gram: Gram, ridge: float, gradient: Vector, fluence: Vector) -> Vector:
    """Minimise the local model over the Gram matrix's columns; the others stay where they are, at zero."""
    columns = gram.columns
    mean = max(float(np.diagonal(gram.lower).mean()), np.finfo(float).tiny) if columns.size else 1.0
    step = np.zeros_like(fluence)
    step[columns] = bounded_qp.minimise(gram.lower, ridge * mean, gradient[columns], fluence[columns], negligible=0.005 if ridge>1e-3 else 0.0)
    return step
