"""Aperture optimisation: Eq. 1 over leaf ends and monitor units, by its exact gradient.

The dose of apertures is K times the fluence that they let through, which is smooth in leaf ends and linear in monitor
units: its gradient takes one product with K and one with its transpose. L-BFGS-B descends along it within bounds
(Nocedal & Wright, Numerical Optimization, 2nd ed., ch. 7.2). What bounds cannot say, how far leaves travel and reach
and all units together, costs the square of what is too much and is repaired afterwards. The inner loop's multipliers
hold coverage at first, while apertures still change much; the last rounds take Eq. 1 of the dose scaled to coverage,
which is what is judged: multipliers come close to it slowly, and scaling up in the end costs up to a quarter of Eq. 1.
Monitor units have a price, a share of Eq. 1 as it is at the beginning of a round: what gains less is not spent.
What K leaves out, the dose beyond its cutoff and the true shape of leaf ends, follows the fluence through each beam's
bixels, in a measure that is renewed from round to round.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from radplan_env.delivery.columns import ApertureColumns, Beyond, Leaves, Ranges
from radplan_env.delivery.coverage import Coverage
from radplan_env.delivery.limits import repaired
from radplan_env.fluence import FluenceProblem
from radplan_env.fluence.constraints import DoseConstraint, Multipliers, bounded_rows, means_of, with_means
from radplan_env.fluence.lagrangian import first_penalty
from radplan_env.fluence.loss import Loss
from radplan_env.fluence.objective import Objective

Array = NDArray[np.float64]

THRIFT = 0.3
"""How many percent of Eq. 1 a percent of all monitor units must be worth; see docs/delivery.md."""
_STIFF = 10.0  # of the penalties on travel, reach and total fluence, relative to the loss's mean curvature
_FLATTEST = 0.1  # least curvature that a variable is scaled by, relative to the mean


@dataclass(frozen=True)
class Effort:
    """How long apertures are optimised.

    Parameters
    ----------
    rounds : int
        Held to coverage by multipliers. Each round begins with the dose that K leaves out, computed anew, and ends with
        new multipliers.
    covered : int
        Rounds after them in which the dose is scaled to coverage.
    steps, covered_steps : int
        Of L-BFGS in each round.
    """

    rounds: int
    covered: int
    steps: int = 35
    covered_steps: int = 60


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
    """Leaves, and their dose on all rows."""

    leaves: Leaves
    dose: Array


class ApertureOptimiser:
    """Optimises the apertures of one problem.

    Parameters
    ----------
    columns : ApertureColumns
    problem : FluenceProblem
        Terms and constraints on K's rows.
    target : DoseConstraint
        Coverage of the primary target, one of the problem's constraints.
    bounds : Bounds
    exact : callable
        The dose of leaves on K's rows, without K, shape (beams, rows).
    """

    def __init__(
        self,
        columns: ApertureColumns,
        problem: FluenceProblem,
        target: DoseConstraint,
        bounds: Bounds,
        exact: Callable[[Leaves], NDArray[np.float32]],
    ) -> None:
        self.columns, self.bounds, self._target, self._exact = columns, bounds, target, exact
        self._rows = columns.rows
        ends = np.cumsum([0, *(field.control_points for field in columns.fields)])
        own = [slice(start, end) for start, end in pairwise(ends)]
        self._fields = tuple(zip(columns.fields, own, strict=True))
        self._ranges = columns.reach(bounds.gap_mm)
        self._arcs = tuple(points for field, points in self._fields if field.is_arc)
        self._beyond = np.zeros((len(columns.beams), self._rows), dtype=np.float32)
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
        for number in range(effort.rounds + effort.covered):
            covered = number >= effort.rounds
            state = self._with_exact(state)
            if covered:
                state = self._covering(self._covering(state))  # the nearest within the bounds may cover less
            loss, steps = self._loss(covered), effort.covered_steps if covered else effort.steps
            coverage = Coverage.near(self._target, state.dose) if covered else None
            price = THRIFT * self.value(state.dose) / max(float(state.leaves.units.sum()), 1e-12)
            trial = self.state(self._descent(state, loss, coverage, price).minimised(state.leaves, steps))
            if covered:
                trial = self._covering(trial)
            before, after = (
                loss.derivatives(each.dose)[0] + price * float(each.leaves.units.sum()) for each in (state, trial)
            )
            if after < before:
                state = trial
            for each in self._multipliers:
                each.update(state.dose)
            self._choose(state)
        return state.leaves

    def state(self, leaves: Leaves) -> State:
        """Return the nearest leaves within the bounds, and their dose."""
        leaves = self._allowed(leaves)
        return State(leaves, with_means(self.columns.dose(leaves, self._beyond), self._means))

    def value(self, dose: Array) -> float:
        """Return Eq. 1 of a dose."""
        return self._objective.derivatives(dose)[0]

    def _with_exact(self, state: State) -> State:
        self._beyond = self.columns.beyond(state.leaves, self._exact(state.leaves))
        return self.state(state.leaves)

    def _covering(self, state: State) -> State:
        achieved = self._target.achieved_gy(state.dose)
        if achieved <= 0:
            return state
        return self.state(replace(state.leaves, units=state.leaves.units * self._target.dose_gy / achieved))

    def _choose(self, state: State) -> None:
        for each in self._multipliers:
            each.choose_voxels(state.dose)

    def _loss(self, covered: bool) -> Loss:
        """Eq. 1 and the multipliers' terms; a dose that is scaled to coverage needs none for it."""
        size, own = self._rows + len(self._means), self._target.key
        held = [each for each in self._multipliers if not (covered and each.constraint.key == own)]
        return sum((each.loss(size) for each in held), self._objective)

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

    def _descent(self, state: State, loss: Loss, coverage: Coverage | None, price: float) -> _Descent:
        """Return the problem of a round, with its variables scaled alike near a state."""
        _, _, weights = loss.derivatives(state.dose)
        by_ends, by_units = self.columns.curvature(state.leaves, weights[: self._rows])
        means = float(by_ends[by_ends > 0].mean()) if by_ends.any() else 1e-12, max(float(by_units.mean()), 1e-12)
        ends, units = (
            np.maximum(each, _FLATTEST * mean) ** -0.5 for each, mean in zip((by_ends, by_units), means, strict=True)
        )
        problem = self.columns, loss, coverage, self._means, self._beyond
        limits = self.bounds, self._ranges, self._arcs
        stiff_ends, stiff_units = (_STIFF * mean for mean in means)
        return _Descent(*problem, *limits, np.concatenate([ends, ends, units]), stiff_ends, stiff_units, price)


@dataclass(frozen=True, eq=False)
class _Descent:
    """A round's problem, in pairs' centres, half their gaps, and fluence, so that gaps are bounds.

    Parameters
    ----------
    columns, loss, coverage, means, beyond
        The loss of the dose of leaves, how that is scaled first, if it is, and what K leaves out of it.
    bounds, ranges, arcs
        What leaves must keep to, and control points of each arc.
    scale : ndarray, shape (variables,)
        By which variables are divided.
    stiff_ends, stiff_units : float
        Of the penalties on ends, and on all units.
    price : float
        Of a unit of fluence.
    """

    columns: ApertureColumns
    loss: Loss
    coverage: Coverage | None
    means: list[DoseConstraint]
    beyond: Beyond
    bounds: Bounds
    ranges: Ranges
    arcs: tuple[slice, ...]
    scale: Array
    stiff_ends: float
    stiff_units: float
    price: float

    def minimised(self, leaves: Leaves, steps: int) -> Leaves:
        """Return better leaves, by L-BFGS-B."""
        limits, ((lowest, _), (_, highest)) = self.bounds, self.ranges
        centre, half = (leaves.left + leaves.right).ravel() / 2, (leaves.right - leaves.left).ravel() / 2
        widest = np.maximum((highest - lowest).ravel() / 2, limits.gap_mm / 2)
        units = np.ones(leaves.units.size)
        low = np.concatenate([lowest.ravel(), 0 * half + limits.gap_mm / 2, limits.least * units])
        high = np.concatenate([highest.ravel(), widest, limits.most * units])
        start = np.clip(np.concatenate([centre, half, leaves.units]), low, high)
        shape = leaves.left.shape

        def value_and_slope(scaled: Array) -> tuple[float, Array]:
            value, slope = self._value_and_slope(_leaves_of(self.scale * scaled, shape))
            return value, self.scale * slope

        settings: dict[str, Any] = {"bounds": np.column_stack([low, high]) / self.scale[:, None]}
        settings["options"] = {"maxiter": steps, "maxcor": 50, "ftol": 1e-9}
        found = minimize(value_and_slope, start / self.scale, jac=True, method="L-BFGS-B", **settings)
        return _leaves_of(np.clip(self.scale * found.x, low, high), shape)

    def _value_and_slope(self, leaves: Leaves) -> tuple[float, Array]:
        rows, limits = self.columns.rows, self.bounds
        dose, units = with_means(self.columns.dose(leaves, self.beyond), self.means), float(leaves.units.sum())
        factor, by_dose = (1.0, 0 * dose) if self.coverage is None else self.coverage.factor(dose)
        value, pull, _ = self.loss.derivatives(factor * dose)
        over = max(factor * units - limits.total, 0.0)
        by_sum = self.price + 2 * self.stiff_units * over
        pull = factor * pull + (pull @ dose + by_sum * units) * by_dose
        on_rows = pull[:rows].copy()
        for each, mean in zip(self.means, pull[rows:], strict=True):
            on_rows[each.rows] += mean * each.shares
        by_left, by_right, by_units = self.columns.slopes(leaves, on_rows, self.beyond)
        value += self.price * factor * units + self.stiff_units * over**2
        value += self.stiff_ends * self._add_too_far(leaves, by_left, by_right)
        by_units += by_sum * factor
        return value, np.concatenate([(by_left + by_right).ravel(), (by_right - by_left).ravel(), by_units])

    def _add_too_far(self, leaves: Leaves, by_left: Array, by_right: Array) -> float:
        """Return the sum of squares of what leaves travel or reach too far; add its slopes, times their stiffness."""
        total, twice = 0.0, 2 * self.stiff_ends
        ends = zip((leaves.left, leaves.right), self.ranges, (by_left, by_right), strict=True)
        for places, (low, high), slope in ends:
            outside = places - np.clip(places, low, high)
            total += float((outside**2).sum())
            slope += twice * outside
            for own in self.arcs:
                way = np.diff(places[own], axis=0)
                beyond = way - np.clip(way, -self.bounds.travel_mm, self.bounds.travel_mm)
                total += float((beyond**2).sum())
                slope[own][1:] += twice * beyond
                slope[own][:-1] -= twice * beyond
        return total


def _leaves_of(variables: Array, shape: tuple[int, ...]) -> Leaves:
    ends = int(np.prod(shape))
    centre, half = variables[:ends].reshape(shape), variables[ends : 2 * ends].reshape(shape)
    return Leaves(centre - half, centre + half, variables[2 * ends :])
