"""Aperture optimisation: Eq. 1 over leaf ends and monitor units, by sequential convex programming.

Dose is linear in fluence and nearly so in a leaf's end while it moves a few millimetres. So each round replaces it by
its slopes, minimises the same objective as the ideal plan's over a box of steps, repairs the result to what the
machine can do, and keeps it if the true objective has fallen; else the box shrinks (Dursun 2021,
doi 10.1088/1361-6560/abee58, does so in other variables). Coverage is held by the inner loop's multipliers. What K
leaves out, the dose beyond its cutoff and the true shape of leaf ends, is a fixed dose that is renewed now and then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from radplan_env.delivery.columns import ApertureColumns, Leaves
from radplan_env.delivery.limits import repaired
from radplan_env.fluence import FluenceProblem
from radplan_env.fluence.constraints import Multipliers, bounded_rows, means_of, with_means
from radplan_env.fluence.lagrangian import first_penalty
from radplan_env.fluence.loss import Loss
from radplan_env.fluence.objective import Objective

Array = NDArray[np.float64]
Ranges = tuple[tuple[Array, Array], tuple[Array, Array]]
"""Lowest and highest place of left ends, and of right ends."""

ACTING_MARGIN = 0.2
"""Rows whose dose is below their threshold by more than this share are left out of a round's step."""
_POOR, _GOOD = 0.25, 0.7  # share of the hoped-for gain below which the box shrinks, and above which it grows
_UNITS_MM = 15.0  # units may change by the share of themselves that the reach is of this
_STIFF = 10.0  # of the penalty on total fluence in a step, relative to the objective's mean curvature


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
    exact_every : int
        Rounds after which the dose that K leaves out is computed anew.
    """

    rounds: int = 20
    steps: int = 30
    reach_mm: float = 6.0
    exact_every: int = 5


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


@dataclass(frozen=True, eq=False)
class State:
    """Leaves with the dose of one unit of each interval, and their dose on all rows."""

    leaves: Leaves
    unit_doses: NDArray[np.float32]
    dose: Array


class ApertureOptimiser:
    """Optimises the apertures of one problem.

    Parameters
    ----------
    columns : ApertureColumns
    problem : FluenceProblem
        Terms and constraints on K's rows.
    bounds : Bounds
    exact : callable, optional
        The dose of leaves on K's rows, without K.
    """

    def __init__(
        self,
        columns: ApertureColumns,
        problem: FluenceProblem,
        bounds: Bounds,
        exact: Callable[[Leaves], NDArray[np.floating]] | None = None,
    ) -> None:
        self.columns, self.bounds, self._exact = columns, bounds, exact
        self._rows = columns.k.matrix.shape[0]
        ends = np.cumsum([0, *(field.control_points for field in columns.fields)])
        own = [slice(start, end) for start, end in pairwise(ends)]
        self._fields = tuple(zip(columns.fields, own, strict=True))
        highest_left, lowest_right = columns.windows()
        self._ranges = (
            (columns.lowest, np.minimum(columns.highest, highest_left)),
            (np.maximum(columns.lowest, lowest_right), columns.highest),
        )
        self._arcs = tuple(points for field, points in self._fields if field.is_arc)
        self._left_out = np.zeros(self._rows)
        self._means = means_of(problem.constraints)
        self._objective = Objective(problem.terms, self._rows + len(self._means)).loss
        self._multipliers = [
            Multipliers(each, bounded, first_penalty(problem.terms, each, bounded))
            for each, bounded in zip(problem.constraints, bounded_rows(problem.constraints, self._rows), strict=True)
        ]

    def optimise(self, leaves: Leaves, effort: Effort) -> Leaves:
        """Return better leaves."""
        state = self.state(leaves)
        self._choose(state)
        reach = effort.reach_mm
        for number in range(effort.rounds):
            if number % effort.exact_every == 0:
                state = self._with_exact(state)
            loss = self._loss()
            leaves_then, hoped = self._step(state, loss, reach, effort.steps)
            trial = self.state(leaves_then)
            before, after = loss.derivatives(state.dose)[0], loss.derivatives(trial.dose)[0]
            kept_promise = (before - after) / max(before - hoped, 1e-9)
            reach *= 0.5 if kept_promise < _POOR else 1.5 if kept_promise > _GOOD else 1.0
            if after >= before:
                continue
            state = trial
            for each in self._multipliers:
                each.update(state.dose)
            self._choose(state)
        return state.leaves

    def state(self, leaves: Leaves) -> State:
        """Return the nearest leaves within the bounds, and their dose."""
        leaves = self._allowed(leaves)
        doses = self.columns.unit_doses(leaves)
        dose = doses @ leaves.units.astype(np.float32) + self._left_out
        return State(leaves, doses, with_means(dose, self._means))

    def value(self, dose: Array) -> float:
        """Return Eq. 1 of a dose."""
        return self._objective.derivatives(dose)[0]

    def _with_exact(self, state: State) -> State:
        if self._exact is None:
            return state
        self._left_out += self._exact(state.leaves) - state.dose[: self._rows]
        return self.state(state.leaves)

    def _choose(self, state: State) -> None:
        for each in self._multipliers:
            each.choose_voxels(state.dose)

    def _loss(self) -> Loss:
        size = self._rows + len(self._means)
        return sum((each.loss(size) for each in self._multipliers), self._objective)

    def _allowed(self, leaves: Leaves) -> Leaves:
        bounds, lefts, rights = self.bounds, [], []
        lefts_in, rights_in = (np.clip(e, *r) for e, r in zip((leaves.left, leaves.right), self._ranges, strict=True))
        for field, own in self._fields:
            travel_mm = bounds.travel_mm if field.is_arc else np.inf
            left, right = repaired(lefts_in[own], rights_in[own], bounds.gap_mm, travel_mm)
            lefts.append(left)
            rights.append(right)
        units = np.clip(leaves.units, bounds.least, bounds.most)
        return Leaves(np.concatenate(lefts), np.concatenate(rights), units)

    def _step(self, state: State, loss: Loss, reach_mm: float, steps: int) -> tuple[Leaves, float]:
        """Minimise the linearised problem over the box; return leaves and the loss that they should have."""
        leaves = state.leaves
        rows, acting = self._acting(loss, state.dose)
        by_ends = self._of(_by_centre_and_half(self.columns.slopes(leaves, reach_mm / 2, rows)), rows)
        by_units = self._of(state.unit_doses[rows], rows)
        limits = self.bounds, self._ranges, self._arcs
        part = _Linearised(loss.on(acting), state.dose[acting], by_ends, by_units, leaves, *limits)
        moved = part.minimised(*self._box(leaves, reach_mm), steps)
        hoped = part.value(moved) + loss.derivatives(state.dose)[0] - part.value(0 * moved)
        ends, shape = leaves.left.size, leaves.left.shape
        centre, half = moved[:ends].reshape(shape), moved[ends : 2 * ends].reshape(shape)
        moved_to = Leaves(leaves.left + centre - half, leaves.right + centre + half, leaves.units + moved[2 * ends :])
        return moved_to, hoped

    def _acting(self, loss: Loss, dose: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """K's rows that act on a loss near a dose, and the same with the means that are constrained."""
        near = loss.near(dose, ACTING_MARGIN)[: self._rows]
        for each in self._means:
            near[each.rows] = True
        rows = np.flatnonzero(near)
        return rows, np.append(rows, self._rows + np.arange(len(self._means)))

    def _of(self, changes: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Changes of some rows' doses, with those of the means."""
        if not self._means:
            return changes
        places = [np.searchsorted(rows, each.rows) for each in self._means]
        means = [each.shares.astype(np.float32) @ changes[at] for each, at in zip(self._means, places, strict=True)]
        return np.vstack([changes, means])

    def _box(self, leaves: Leaves, reach_mm: float) -> tuple[Array, Array]:
        """How far centres, half gaps and units may move in a step."""
        bounds, half = self.bounds, (leaves.right - leaves.left).ravel() / 2
        share, far = min(reach_mm / _UNITS_MM, 0.5), np.full(half.size, reach_mm / 2)
        low = [
            -far,
            np.maximum(bounds.gap_mm / 2 - half, -far),
            np.maximum(bounds.least - leaves.units, -share * leaves.units),
        ]
        high = [far, far, np.minimum(bounds.most - leaves.units, share * leaves.units)]
        return np.minimum(np.concatenate(low), 0), np.maximum(np.concatenate(high), 0)


def _by_centre_and_half(by_ends: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn slopes by left and right ends into those by a pair's centre and half its gap, in place."""
    left, right = np.split(by_ends, 2, axis=1)
    left += right
    right *= 2
    right -= left
    return by_ends


@dataclass(frozen=True, eq=False)
class _Linearised:
    """A round's problem: the loss of a dose that changes linearly, with penalties on total fluence, travel and reach.

    Where leaves may not go so far, the repair after the step would undo most of what it gains.
    """

    loss: Loss
    dose: Array
    by_ends: NDArray[np.float32]
    by_units: NDArray[np.float32]
    leaves: Leaves
    bounds: Bounds
    ranges: Ranges
    arcs: tuple[slice, ...]

    def minimised(self, low: Array, high: Array, steps: int) -> Array:
        """Return the best step between bounds, by L-BFGS-B."""
        _, _, weights = self.loss.derivatives(self.dose)
        curvature = [weights.astype(np.float32) @ changes**2 for changes in (self.by_ends, self.by_units)]
        # One scale for ends and one for fluence, so that a unit of either bends the loss alike.
        end, unit = (max(float(each.mean()), 1e-12) for each in curvature)
        scale = np.concatenate(
            [np.full(each.size, mean**-0.5) for each, mean in zip(curvature, (end, unit), strict=True)]
        )

        def value_and_slope(scaled: Array) -> tuple[float, Array]:
            value, slope = self._value_and_slope(scale * scaled, _STIFF * end, _STIFF * unit)
            return value, scale * slope

        settings: dict[str, Any] = {"bounds": np.column_stack([low, high]) / scale[:, None]}
        settings["options"] = {"maxiter": steps, "maxcor": 20, "ftol": 1e-9}
        found = minimize(value_and_slope, 0 * low, jac=True, method="L-BFGS-B", **settings)
        best: Array = np.clip(scale * found.x, low, high)
        return best

    def value(self, step: Array) -> float:
        """Return the loss of a step."""
        return self.loss.derivatives(self.dose + self._changed(step))[0]

    def _changed(self, step: Array) -> NDArray[np.float32]:
        narrow, ends = step.astype(np.float32), 2 * self.leaves.left.size
        changed: NDArray[np.float32] = self.by_ends @ narrow[:ends] + self.by_units @ narrow[ends:]
        return changed

    def _value_and_slope(self, step: Array, stiff: float, heavy: float) -> tuple[float, Array]:
        ends = self.leaves.left.size
        value, pull, _ = self.loss.derivatives(self.dose + self._changed(step))
        pull = pull.astype(np.float32)
        slope = np.concatenate([pull @ self.by_ends, pull @ self.by_units]).astype(float)
        over = max(float(self.leaves.units.sum() + step[2 * ends :].sum()) - self.bounds.total, 0.0)
        slope[2 * ends :] += 2 * heavy * over
        too_far, by_left, by_right = self._too_far(step)
        slope[:ends] += stiff * (by_left + by_right).ravel()
        slope[ends : 2 * ends] += stiff * (by_right - by_left).ravel()
        return value + heavy * over**2 + stiff * too_far, slope

    def _too_far(self, step: Array) -> tuple[float, Array, Array]:
        """Sum of the squares of what leaves travel or reach too far, and its slopes by left and right ends."""
        ends, shape, total = self.leaves.left.size, self.leaves.left.shape, 0.0
        centre, half = step[:ends].reshape(shape), step[ends : 2 * ends].reshape(shape)
        slopes = []
        moved = self.leaves.left + centre - half, self.leaves.right + centre + half
        for places, (low, high) in zip(moved, self.ranges, strict=True):
            outside = places - np.clip(places, low, high)
            total += float((outside**2).sum())
            slope = 2 * outside
            for own in self.arcs:
                way = np.diff(places[own], axis=0)
                beyond = way - np.clip(way, -self.bounds.travel_mm, self.bounds.travel_mm)
                total += float((beyond**2).sum())
                slope[own][1:] += 2 * beyond
                slope[own][:-1] -= 2 * beyond
            slopes.append(slope)
        return total, slopes[0], slopes[1]
