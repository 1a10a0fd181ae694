"""A sum of quadratic pieces over voxels: what the inner loop minimises, as a function of the dose."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radplan_env.compiled import compiled

Vector = NDArray[np.float64]
Rows = NDArray[np.int64]

_ROOT_STEPS = 50


@dataclass(frozen=True)
class Loss:
    """Σ_k w_k · (d_{i(k)} − t_k)², with one weight above the threshold t_k and another below it.

    Convex and continuously differentiable. Both the terms of Eq. 1 and those of an augmented Lagrangian have this
    form; a voxel may have several pieces.

    Parameters
    ----------
    rows : ndarray of int, shape (pieces,)
        Voxel i(k) of each piece.
    threshold, over, under : ndarray, shape (pieces,)
        Dose in Gy; weight above and below it, not negative.
    voxels : int
        Number of rows of K.
    constant : float
        Added to the value.
    """

    rows: Rows
    threshold: Vector
    over: Vector
    under: Vector
    voxels: int
    constant: float = 0.0

    @classmethod
    def zero(cls, voxels: int) -> Loss:
        """Return the loss without pieces."""
        none = np.zeros(0)
        return cls(np.zeros(0, dtype=np.int64), none, none, none, voxels)

    def __add__(self, other: Loss) -> Loss:
        return Loss(
            np.concatenate([self.rows, other.rows]),
            np.concatenate([self.threshold, other.threshold]),
            np.concatenate([self.over, other.over]),
            np.concatenate([self.under, other.under]),
            self.voxels,
            self.constant + other.constant,
        )

    def on(self, rows: Rows) -> Loss:
        """Return the pieces on some rows, which are renumbered in the order given."""
        place = np.full(self.voxels, -1)
        place[rows] = np.arange(rows.size)
        kept = np.flatnonzero(place[self.rows] >= 0)
        return Loss(
            place[self.rows[kept]], self.threshold[kept], self.over[kept], self.under[kept], rows.size, self.constant
        )

    def beside(self, fixed_gy: Vector) -> Loss:
        """Return the loss as a function of the dose that comes on top of a fixed one, shape (voxels,)."""
        return replace(self, threshold=self.threshold - fixed_gy[self.rows])

    def near(self, dose: Vector, margin: float) -> NDArray[np.bool_]:
        """Return which voxels have a piece that acts at this dose, or would with its threshold lower by that share."""
        acts = (self.under > 0) | ((self.over > 0) & (dose[self.rows] > (1 - margin) * self.threshold))
        near = np.zeros(self.voxels, dtype=bool)
        near[self.rows[acts]] = True
        return near

    def acting(self, dose: Vector) -> int:
        """Return how many pieces act at this dose."""
        excess = dose[self.rows] - self.threshold
        return int(np.count_nonzero(np.where(excess > 0, self.over, self.under)))

    def derivatives(self, dose: Vector) -> tuple[float, Vector, Vector]:
        """Return value, gradient and curvature with respect to the dose, the last two per voxel."""
        slope, curvature = np.zeros(self.voxels), np.zeros(self.voxels)
        value = _derivatives(self.rows, self.threshold, self.over, self.under, dose, slope, curvature)
        return self.constant + value, slope, curvature

    def best_step(
        self, dose: Vector, direction: Vector, longest: float, slope: float = 0.0, curvature: float = 0.0
    ) -> float:
        """Return the step length t in [0, longest] at which the value along a direction of dose is lowest.

        With slope · t + curvature · t² / 2 added to it.
        """
        pieces = (self.rows, self.threshold, self.over, self.under)
        return float(_best_step(*pieces, dose, direction, longest, slope, curvature, _ROOT_STEPS))


@compiled
def _derivatives(rows, threshold, over, under, dose, slope, curvature):  # type: ignore[no-untyped-def] # pragma: no cover
    value = 0.0
    for k in range(rows.size):
        excess = dose[rows[k]] - threshold[k]
        weight = over[k] if excess > 0 else under[k]
        if weight != 0.0:
            value += weight * excess * excess
            slope[rows[k]] += 2 * weight * excess
            curvature[rows[k]] += 2 * weight
    return value


@compiled
def _slope_along(rows, threshold, over, under, dose, direction, step) -> Any:  # type: ignore[no-untyped-def] # pragma: no cover
    first, second = 0.0, 0.0
    for k in range(rows.size):
        speed = direction[rows[k]]
        excess = dose[rows[k]] + step * speed - threshold[k]
        weight = over[k] if excess > 0 else under[k]
        first += 2 * weight * excess * speed
        second += 2 * weight * speed * speed
    return first, second


@compiled
def _best_step(  # type: ignore[no-untyped-def]
    rows, threshold, over, under, dose, direction, longest, slope, curvature, steps
):  # pragma: no cover
    """Find the root of the derivative, which rises and is linear between voxels' crossings, by safeguarded Newton."""
    low, high = 0.0, longest
    step = min(1.0, longest)
    for _ in range(steps):
        first, second = _slope_along(rows, threshold, over, under, dose, direction, step)
        first += slope + step * curvature
        second += curvature
        if first > 0:
            high = step
        else:
            low = step
        trial = step - first / second if second > 0 else longest
        if not low < trial < high:
            at_the_end = trial >= longest and low == step and high == longest
            trial = longest if at_the_end else 0.5 * (low + high)
        if abs(trial - step) <= 1e-9 * longest or high - low <= 1e-9 * longest:
            step = trial
            break
        step = trial
    return step
