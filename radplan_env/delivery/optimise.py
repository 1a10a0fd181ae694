"""Aperture optimisation: Eq. 1 over leaf ends and monitor units, by sequential convex programming.

Dose is linear in fluence and nearly so in a leaf's end while it moves a few millimetres. So each round replaces it by
its slopes, minimises the same objective as the ideal plan's over a box of steps, repairs the result to what the
machine can do, and keeps it if the true objective has fallen; else the box shrinks (Dursun 2021,
doi 10.1088/1361-6560/abee58, does so in other variables). Coverage is held by the inner loop's multipliers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from radplan_env.delivery.columns import ApertureColumns, Leaves
from radplan_env.delivery.limits import repaired
from radplan_env.fluence import DoseConstraint, FluenceProblem
from radplan_env.fluence.constraints import Multipliers
from radplan_env.fluence.lagrangian import first_penalty
from radplan_env.fluence.loss import Loss
from radplan_env.fluence.objective import Objective

Array = NDArray[np.float64]

ACTING_MARGIN = 0.2
"""Rows whose dose is below their threshold by more than this share are left out of a round's step."""


@dataclass(frozen=True)
class Effort:
    """How long apertures are optimised.

    Parameters
    ----------
    rounds : int
        Linearisations.
    steps : int
        Of L-BFGS in each round.
    reach_mm : float
        How far a leaf's end may move in the first round.
    """

    rounds: int = 14
    steps: int = 40
    reach_mm: float = 8.0


@dataclass(frozen=True)
class Bounds:
    """What apertures must keep to.

    Parameters
    ----------
    gap_mm : float
    travel_mm : float
        Between control points of an arc.
    least, most : float
        Fluence of an interval.
    total : float
        Fluence of all intervals.
    """

    gap_mm: float
    travel_mm: float
    least: float
    most: float
    total: float


class ApertureOptimiser:
    """Optimises the apertures of one problem.

    Parameters
    ----------
    columns : ApertureColumns
    problem : FluenceProblem
        Terms and constraints on K's rows.
    bounds : Bounds
    """

    def __init__(self, columns: ApertureColumns, problem: FluenceProblem, bounds: Bounds) -> None:
        self.columns, self.bounds = columns, bounds
        self._rows = columns.k.matrix.shape[0]
        self._means = [each for each in problem.constraints if each.percent is None]
        below = iter(range(self._rows, self._rows + len(self._means)))
        rows = [each.rows if each.percent is not None else np.array([next(below)]) for each in problem.constraints]
        self._objective = Objective(problem.terms, self._rows + len(self._means)).loss
        self._multipliers = [
            Multipliers(each, bounded, first_penalty(problem.terms, each, bounded))
            for each, bounded in zip(problem.constraints, rows, strict=True)
        ]

    def dose(self, leaves: Leaves) -> Array:
        """Return the dose on K's rows, and means that are constrained."""
        return self._with_means(self.columns.dose(leaves))

    def value(self, dose: Array) -> float:
        """Return Eq. 1 of a dose."""
        return self._objective.derivatives(dose)[0]

    def optimise(self, leaves: Leaves, effort: Effort, report: Callable[[str], object] | None = None) -> Leaves:
        """Return better leaves."""
        leaves = self._allowed(leaves)
        dose = self.dose(leaves)
        for each in self._multipliers:
            each.choose_voxels(dose)
        reach = effort.reach_mm
        for number in range(effort.rounds):
            loss = self._loss()
            trial = self._allowed(self._step(leaves, dose, loss, reach, effort.steps))
            dose_then = self.dose(trial)
            before, after = loss.derivatives(dose)[0], loss.derivatives(dose_then)[0]
            if report:
                report(
                    f"{number}: reach {reach:.2f} L {before:.0f} -> {after:.0f} F {self.value(dose_then):.0f} "
                    f"errors {[round(m.constraint.error(dose_then), 4) for m in self._multipliers]} "
                    f"units {trial.units.sum():.0f}/{self.bounds.total:.0f}"
                )
            if after >= before:
                reach /= 2
                continue
            leaves, dose = trial, dose_then
            reach = min(reach * (1.0 if number < effort.rounds // 2 else 0.8), effort.reach_mm)
            for each in self._multipliers:
                each.update(dose)
                each.choose_voxels(dose)
        return leaves

    def _loss(self) -> Loss:
        size = self._rows + len(self._means)
        return sum((each.loss(size) for each in self._multipliers), self._objective)

    def _with_means(self, dose: Array) -> Array:
        return np.concatenate([dose, [each.shares @ dose[each.rows] for each in self._means]])

    def _allowed(self, leaves: Leaves) -> Leaves:
        """Return the nearest leaves within gaps, travel and the fluence of an interval."""
        columns, bounds = self.columns, self.bounds
        lefts, rights = [], []
        start = 0
        for field in columns.fields:
            own = slice(start, start := start + field.control_points)
            left, right = repaired(leaves.left[own], leaves.right[own], bounds.gap_mm, bounds.travel_mm if field.is_arc else np.inf)
            lefts.append(left)
            rights.append(right)
        units = np.clip(leaves.units, bounds.least, bounds.most)
        return Leaves(np.concatenate(lefts), np.concatenate(rights), units)

    def _step(self, leaves: Leaves, dose: Array, loss: Loss, reach_mm: float, steps: int) -> Leaves:
        columns, bounds = self.columns, self.bounds
        acting = loss.near(dose, ACTING_MARGIN)
        for each in self._means:
            acting[each.rows] = True
        rows = np.flatnonzero(acting[: self._rows])
        slopes = columns.slopes(leaves, reach_mm / 2, rows)
        if self._means:
            averages = [each.shares.astype(np.float32) @ slopes[np.searchsorted(rows, each.rows)] for each in self._means]
            slopes = np.vstack([slopes, averages])
            rows = np.append(rows, np.arange(self._rows, self._rows + len(self._means)))
        loss, dose = loss.on(rows), dose[rows]
        points = leaves.left.size
        # One scale for leaves and one for fluence, so that a unit of either changes the dose alike.
        norms = np.sqrt(np.einsum("rv,rv->v", slopes, slopes))
        moving, giving = (float(part[part > 0].mean()) if (part > 0).any() else 1.0 for part in (norms[: 2 * points], norms[2 * points :]))
        scale = np.concatenate([np.full(2 * points, 1 / moving), np.full(leaves.units.size, 1 / giving)])
        high_left, low_right = columns.windows()
        low = np.concatenate([
            np.maximum(columns.lowest - leaves.left, -reach_mm).ravel(),
            np.maximum(np.maximum(columns.lowest, low_right) - leaves.right, -reach_mm).ravel(),
            np.maximum(bounds.least - leaves.units, -0.5 * leaves.units),
        ])
        high = np.concatenate([
            np.minimum(np.minimum(columns.highest, high_left) - leaves.left, reach_mm).ravel(),
            np.minimum(columns.highest - leaves.right, reach_mm).ravel(),
            np.minimum(bounds.most - leaves.units, 0.5 * leaves.units + bounds.least),
        ])
        low, high = np.minimum(low, 0), np.maximum(high, 0)
        gap = (leaves.right - leaves.left).ravel()
        stiff = 0.0

        def value_and_slope(scaled: Array) -> tuple[float, Array]:
            step = scale * scaled
            value, slope, _ = loss.derivatives(dose + slopes @ step.astype(np.float32))
            gradient = (slope.astype(np.float32) @ slopes).astype(float)
            short = np.maximum(bounds.gap_mm - gap - step[points : 2 * points] + step[:points], 0)
            value += stiff * float(short @ short)
            gradient[:points] += 2 * stiff * short
            gradient[points : 2 * points] -= 2 * stiff * short
            over = max(leaves.units.sum() + step[2 * points :].sum() - bounds.total, 0.0)
            value += heavy * over**2
            gradient[2 * points :] += 2 * heavy * over
            return value, scale * gradient

        curvature = float((slopes[:, : 2 * points] ** 2).sum() / max(2 * points, 1))
        _, _, weights = loss.derivatives(dose)
        stiff = 10 * float(weights @ (slopes[:, : 2 * points] ** 2).mean(axis=1)) if curvature > 0 else 1.0
        heavy = 10 * float(weights @ (slopes[:, 2 * points :] ** 2).mean(axis=1))
        found = minimize(
            value_and_slope, np.zeros(low.size), jac=True, method="L-BFGS-B",
            bounds=np.column_stack([low, high]) / scale[:, None], options={"maxiter": steps, "maxcor": 20, "ftol": 1e-9},
        )
        step = scale * found.x
        shape = leaves.left.shape
        return Leaves(
            leaves.left + step[:points].reshape(shape),
            leaves.right + step[points : 2 * points].reshape(shape),
            leaves.units + step[2 * points :],
        )
