"""Newton's step on the multipliers of bounds that act, where the usual update would take many minimisations.

At the minimum x of the augmented Lagrangian with Hessian H, the bounds that act lack the dose r. Pulls stronger by μ
move x by p = H⁻¹ Kᵀ s μ over the bixels above zero, and meet the bounds where

    s K H⁻¹ Kᵀ s μ = r,

of which the usual update, μ = 2w r, is the first step of conjugate gradients that have the stiffnesses 2w for a
preconditioner (second-order multiplier iteration: Bertsekas, Constrained Optimization, 1982, ch. 2.3).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .cholesky import FreeBlock, NotPositiveDefiniteError
from .gram import Gram
from .loss import Loss
from .matrix import DoseOperator, Vector
from .newton import Minimum, curvature_of
from .pulls import lacking_dose

_MOST_STEPS = 12
_LEFT = 0.02  # of the largest lack
_BETTER = 0.5  # what must be left at most of what bounds are missed by
_ZERO = 1e-6  # of the largest fluence


def multipliers(
    matrix: DoseOperator, loss: Loss, bounds: Loss, short_gy: Vector, minimum: Minimum, gram: Gram, ridge: float
) -> tuple[Vector, Vector, Vector] | None:
    """Return fluence (bixels,), its K x (voxels,) and pulls (pieces,) with which the bounds that act would be met.

    None if the fluence does not halve what they are missed by, as where other bounds set in or bixels go to zero.

    Parameters
    ----------
    matrix : DoseOperator
    loss, bounds : Loss
        The latter has one-sided pieces.
    short_gy : ndarray, shape (pieces,)
        Dose that each bound lacks, without what its multiplier adds to the threshold; negative if it has dose to spare.
    minimum : Minimum
        Of the loss and the bounds.
    gram : Gram
        Of the same matrix and smoothness; its content is reused.
    ridge : float
        Relative to the mean diagonal of the Hessian.
    """
    fluence, dose = minimum.fluence, minimum.dose
    bound_sign, lacking = lacking_dose(bounds, dose)
    free = fluence > _ZERO * fluence.max()
    gram.update(curvature_of(loss, bounds, dose, lacking > 0), free, free)
    acting = np.flatnonzero(lacking > 0)
    acting = acting[np.argsort(bounds.rows[acting], kind="stable")]
    rows, sign, stiffness = bounds.rows[acting], bound_sign[acting], 2 * (bounds.under + bounds.over)[acting]
    columns = gram.columns
    free = free[columns]
    if not free.any() or not acting.size:
        return None
    try:
        block = FreeBlock(gram.lower, ridge * float(np.diagonal(gram.lower).mean()), free)
    except NotPositiveDefiniteError:
        return None

    def moved(pull: Vector) -> tuple[Vector, Vector]:
        right = np.where(free, matrix.adjoint(sign * pull, rows)[columns], 0.0)
        step = np.zeros_like(fluence)
        step[columns] = block.solve(right, np.zeros(columns.size), free)[0]
        return step, sign * matrix.dose(step, rows)

    more, whole_step = _conjugate_gradients(moved, short_gy[acting], stiffness, fluence.size)
    pulls = np.zeros(bounds.rows.size)
    pulls[acting] = np.maximum(stiffness * (lacking - short_gy)[acting] + more, 0.0)
    moved_to = np.maximum(fluence + whole_step, 0.0)
    moved_gy = matrix.dose(moved_to)
    after = short_gy - bound_sign * (moved_gy - dose)[bounds.rows]
    now = np.zeros(bounds.rows.size)
    now[acting] = 1.0
    better = _missed(after, pulls) <= _BETTER * _missed(short_gy, now)
    return (moved_to, moved_gy, pulls) if better else None


def _conjugate_gradients(
    moved: Callable[[Vector], tuple[Vector, Vector]], left: Vector, stiffness: Vector, bixels: int
) -> tuple[Vector, Vector]:
    """Return the pulls that make up what is left, and the step (bixels,) that they make."""
    enough = _LEFT * float(np.abs(left).max())
    pulls, whole_step, direction, product = np.zeros_like(left), np.zeros(bixels), np.zeros_like(left), np.inf
    for _ in range(_MOST_STEPS):
        steepest = stiffness * left
        before, product = product, float(left @ steepest)
        direction = steepest + product / before * direction
        step, dose_change = moved(direction)
        along = float(direction @ dose_change)
        if along <= 0:  # nothing left but rounding
            break
        length = product / along
        pulls, whole_step, left = pulls + length * direction, whole_step + length * step, left - length * dose_change
        if np.abs(left).max() <= enough:
            break
    return pulls, whole_step


def _missed(short_gy: Vector, pulls: Vector) -> float:
    """Return by how much dose bounds are missed: those that pull from either side."""
    return float(np.where(pulls > 0, np.abs(short_gy), np.maximum(short_gy, 0.0)).max(initial=0.0))
