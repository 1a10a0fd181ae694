"""Proximal semismooth Newton method for piecewise quadratic functions of dose and fluence, over non-negative fluences.

The objective of Eq. 1 is quadratic as long as no voxel crosses its threshold. Each step minimises the local quadratic
over x ≥ 0, held near the present fluence by a ridge that shrinks from step to step (without it early steps run far
along directions that hardly change the dose, and most of them is cut off), followed by an exact line search on the
true objective. Qi & Sun, Math. Program. 58, 1993, doi 10.1007/BF01581275, for semismooth Newton; Rockafellar,
SIAM J. Control Optim. 14, 1976, doi 10.1137/0314056, for the proximal term.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import bounded_qp
from .gram import Gram
from .loss import Loss
from .matrix import DoseOperator, Rows, Vector
from .pulls import Pulls, lacking_dose
from .smoothness import Smoothness

# Relative to the mean diagonal of the Hessian; measured on TG-119 and OpenKBP (benchmarks/fluence.py).
FIRST_RIDGE = 0.003
_LAST_RIDGE = 10.0  # in units of the Gram matrix's rounding
_SHRINK = 0.3
_GROW = 10.0
_LARGEST_RIDGE = 1.0
_GOOD_STEP = 0.3
_POOR_STEP = 0.01
_ROUGH_RIDGE = 1e-3  # above it, steps are rough anyway, and
_FEW = 0.005  # this share of the bixels may keep the wrong sign
_STEPS_THAT_SEE_ALL = 2
_STEPS_BETWEEN_LOOKS = 5
_WORTH_ADDING = 0.2  # of the pull on bixels: what those not yet in the Hessian must have for it to grow
_MARGIN = 0.25  # of the threshold
_LIKELY = 0.002  # a bixel's gradient below this share of what would take the largest fluence to zero
_CROWD = 1.0  # more bounds that act, relative to the bixels needed, are left to the local quadratic
_MOST_PIVOTS = 15  # of a step with bounds; more of them find little
_LONGEST_STEP = 4.0
_LARGEST_SCALE = 10.0
_HEADROOM = 1.5


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
    ridge : float, optional
        Of the last of Newton's steps.
    """

    fluence: Vector
    dose: Vector
    gradient: Vector
    value: float
    kkt_residual: float
    iterations: int
    ridge: float | None = None


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
    matrix: DoseOperator,
    loss: Loss,
    start: Vector,
    gram: Gram,
    *,
    start_gy: Vector | None = None,
    tolerance: float,
    max_iterations: int,
    negligible: float = 0.0,
    ridge: float = FIRST_RIDGE,
    smoothness: Smoothness | None = None,
    bounds: Loss | None = None,
    pulling: NDArray[np.bool_] | None = None,
) -> Minimum:
    """Minimise a piecewise quadratic function of the dose, and the fluence's roughness if asked to, over x ≥ 0.

    Parameters
    ----------
    matrix : DoseOperator
    loss : Loss
    start : ndarray, shape (bixels,)
        Not negative.
    gram : Gram
        Of the same matrix and smoothness; its content is reused.
    start_gy : ndarray, shape (voxels,), optional
        K x of the start, if it is known.
    tolerance : float
        Ends when `kkt_residual` is below it, after one step at least.
    max_iterations : int
    negligible : float
        A loss below this counts as this in `kkt_residual`.
    ridge : float
        Of the first step, relative to the mean diagonal of the Hessian: the better the start, the smaller.
    smoothness : Smoothness, optional
        Added to the loss.
    bounds : Loss, optional
        Stiff one-sided pieces, added to the loss: see `pulls.Pulls`.
    pulling : ndarray of bool, shape (pieces,), optional
        Which of the bounds are likely to act at the minimum, whatever they do at the start.

    Returns
    -------
    Minimum
    """
    bounds = Loss.zero(loss.voxels) if bounds is None else bounds
    objective, loss = loss, loss + bounds
    dose = matrix.dose(start) if start_gy is None else start_gy
    scale = loss.best_step(np.zeros_like(dose), dose, _LARGEST_SCALE)
    fluence, dose = scale * start, scale * dose
    watch = everywhere = _Watch(loss, np.arange(dose.size))
    last_ridge = _LAST_RIDGE * float(np.finfo(gram.dtype).eps)
    for iteration in range(max_iterations + 1):
        if iteration >= _STEPS_THAT_SEE_ALL and (iteration - _STEPS_THAT_SEE_ALL) % _STEPS_BETWEEN_LOOKS == 0:
            whole = dose if watch.sees_everything else matrix.dose(fluence)
            watch, dose = everywhere.narrowed(loss, whole)
        value, slope, curvature = watch.loss.derivatives(dose)
        active = np.flatnonzero(curvature)  # where it is 0, so is the slope
        if iteration == 0:  # later, the diagonal that says which bixels are likely has changed little
            gradient, diagonal = matrix.adjoint_and_diagonal(slope[active], curvature[active], watch.rows[active])
            diagonal = diagonal if smoothness is None else diagonal + smoothness.diagonal
        else:
            gradient = matrix.adjoint(slope[active], watch.rows[active])
        if smoothness is not None:
            value += smoothness.value(fluence)
            gradient = gradient + smoothness.gradient(fluence)
        residual = kkt_residual(fluence, gradient, max(value, negligible))
        # A change of multipliers too small for the tolerance still asks for a step, or they would never take effect.
        if residual == 0 or (residual <= tolerance and iteration > 0) or iteration == max_iterations:
            whole = dose if watch.sees_everything else matrix.dose(fluence)
            if watch.sees_all_of(loss, whole) or iteration == max_iterations:
                break
            watch, dose = everywhere.narrowed(loss, whole)
            continue
        needed = fluence > 0
        absent = (gradient < 0) & ~needed
        absent[gram.columns] = False
        if iteration > 0 and -gradient[absent].sum() > _WORTH_ADDING * np.maximum(-gradient, 0.0).sum():
            needed |= gradient < 0
        likely = gradient < _LIKELY * diagonal * fluence.max()
        seen = watch.spread(dose)
        held = lacking_dose(bounds, seen)[1] > 0
        pivoting = 0 < np.count_nonzero(held) <= _CROWD * np.count_nonzero(needed)
        if pivoting and iteration == 0 and pulling is not None:
            held |= pulling
        gram.update(curvature_of(objective, bounds, seen, held), needed, likely)
        pulls = Pulls(matrix, bounds, seen, gram.columns, gram.dtype, held=held) if pivoting else None
        # Multipliers that are new at the start of a round pull at bixels that they will not move from zero.
        free = fluence > 0 if pivoting and iteration == 0 else None
        step = _step(gram, ridge, gradient, fluence, free, pulls)
        change = matrix.dose(step, watch.rows)
        shrinking = step < 0
        longest = min(float((fluence[shrinking] / -step[shrinking]).min(initial=_LONGEST_STEP)), _LONGEST_STEP)
        length = watch.loss.best_step(dose, change, max(longest, 1.0), *_along(smoothness, fluence, step))
        fluence = np.maximum(fluence + length * step, 0.0)
        dose = dose + length * change
        if length > _GOOD_STEP:
            ridge = max(_SHRINK * ridge, last_ridge)
        elif length < _POOR_STEP and np.array_equal(curvature, watch.loss.derivatives(dose)[2]):
            # The model was right and its solution still wrong: rounding, which so small a ridge lets through.
            ridge = last_ridge = min(_GROW * ridge, _LARGEST_RIDGE)
    return Minimum(fluence, whole, gradient, value, residual, iteration, ridge)


class _Watch:
    """The voxels whose dose the steps follow: far below their threshold, voxels need no looking at in every step.

    The loss on some voxels is a lower bound of the whole; it is exact, and so is its gradient, as long as no other
    voxel is beyond its threshold, which is checked on all of them before a minimum counts as one.
    """

    def __init__(self, loss: Loss, rows: Rows) -> None:
        self.rows = rows
        self.loss = loss.on(rows) if rows.size < loss.voxels else loss
        self._voxels = loss.voxels

    @property
    def sees_everything(self) -> bool:
        """Whether the steps follow every voxel's dose."""
        return self.rows.size == self._voxels

    def narrowed(self, loss: Loss, dose: Vector) -> tuple[_Watch, Vector]:
        """Return a watch on the voxels near or beyond their threshold, of those seen now, and their dose."""
        near = np.flatnonzero(self.loss.near(dose, _MARGIN))
        return _Watch(loss, self.rows[near]), dose[near]

    def sees_all_of(self, loss: Loss, dose: Vector) -> bool:
        """Whether no voxel outside the watch is beyond its threshold."""
        beyond = loss.near(dose, 0.0)
        beyond[self.rows] = False
        return not beyond.any()

    def spread(self, values: Vector) -> Vector:
        """Return values of the watched voxels among zeros for all others."""
        whole = np.zeros(self._voxels)
        whole[self.rows] = values
        return whole


def curvature_of(objective: Loss, bounds: Loss, dose: Vector, held: NDArray[np.bool_]) -> Vector:
    """Curvature (voxels,) of the objective and of the bounds held."""
    curvature = objective.derivatives(dose)[2]
    np.add.at(curvature, bounds.rows[held], 2 * (bounds.under + bounds.over)[held])
    return curvature


def _along(smoothness: Smoothness | None, fluence: Vector, step: Vector) -> tuple[float, float]:
    """Slope and curvature of the roughness along a step."""
    if smoothness is None:
        return 0.0, 0.0
    change = smoothness.gradient(step)
    return float(change @ fluence), float(change @ step)


def _step(
    gram: Gram,
    ridge: float,
    gradient: Vector,
    fluence: Vector,
    free: NDArray[np.bool_] | None,
    pulls: Pulls | None,
) -> Vector:
    """Minimise the local model over the Gram matrix's columns; the others stay where they are, at zero."""
    columns = gram.columns
    mean = max(float(np.diagonal(gram.lower).mean()), np.finfo(float).tiny) if columns.size else 1.0
    step = np.zeros_like(fluence)
    step[columns] = bounded_qp.minimise(
        gram.lower,
        ridge * mean,
        gradient[columns] if pulls is None else gradient[columns] + pulls.slope,
        fluence[columns],
        pulls,
        free=None if free is None else free[columns],
        negligible=_FEW if ridge > _ROUGH_RIDGE else 0.0,
        max_pivots=_MOST_PIVOTS,
    )
    return step
