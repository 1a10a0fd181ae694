"""Dose constraints by an augmented Lagrangian around any solver of the smooth problem over x ≥ 0."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import compress

import numpy as np
from threadpoolctl import threadpool_limits

from radplan_env import threads

from .beside import Beside
from .constraints import CONSTRAINT_TOLERANCE, DoseConstraint, Multipliers, rows_of
from .giving import begin_again, those_that_give
from .loss import Loss
from .matrix import DoseOperator, InfluenceMatrix, Rows, Vector
from .minimiser import Minimiser, Subproblem
from .newton import Minimum
from .objective import Objective, Term
from .solver import KKT_TOLERANCE, FluenceProblem, FluenceSolution

_ROUGH_TOLERANCE = 1e-2  # of the solve without constraints that a cold start begins with
_BLAS_THREADS = 1  # more fight over the cores (measured: 120 s instead of 10 s on two busy ones) and change rounding
_MAX_UPDATES = 30
_RENEWALS = 1  # of the dose beyond K, after the first rounds: later ones change little (docs/inner-loop.md)
# Relative error of a constraint up to which the dose of the last round's fluence may still be off: that of an equality,
# and that of a limit, whose margin it must not use up.
_RENEWED, _RENEWED_LIMIT = 5e-4, CONSTRAINT_TOLERANCE
_UPDATES_THAT_CHOOSE = 16  # afterwards the exempt voxels stay, so that the multipliers can settle
_AFTER_GIVING = 8  # likewise, of those that follow once bounds have given
# Of the objective without any dose: 1 % of a target's dose, squared. A smaller objective counts as this.
_NEGLIGIBLE = 1e-4
_LEAST_SCALE = 1e-3  # of the objective, for prices of bounds, likewise
_PENALTY = 10.0  # of the constraints' terms, relative to the curvature the heaviest term would have on the target
_HIGHEST_PENALTY = 4.0**3  # relative to the first one; beyond it, single precision's rounding governs the steps
_CHOSEN = 1e-3  # error below which exempt voxels stay as well, or choices may take turns for ever
_SLOW = 0.25  # an update that leaves more than this of the error raises the penalty
_STALLED, _PATIENCE = 0.9, 4  # upper bounds are out of reach when so many updates leave more than this of the error


class LagrangianSolver:
    """Solves Eq. 1 for one dose-influence matrix: the `InnerSolver` of our backends.

    Parameters
    ----------
    matrix : InfluenceMatrix
        Dose per unit fluence, in Gy.
    minimiser : callable
        Makes the minimiser of one solve from K, with rows added for means, and the problem.
    """

    def __init__(self, matrix: InfluenceMatrix, minimiser: Callable[[DoseOperator, FluenceProblem], Minimiser]) -> None:
        self.matrix = matrix
        self._minimiser = minimiser

    def dose(self, fluence: Vector) -> Vector:
        """Return K x in Gy, shape (voxels,)."""
        return self.matrix.dose(fluence)

    def solve_batch(self, problems: Sequence[FluenceProblem]) -> list[FluenceSolution]:
        """Return the solution of each problem; see `InnerSolver`. They are solved one on each core at a time.

        A core of its own serves a solve better than a share of each product. Each solution is, to the last bit, that
        of its problem alone.
        """
        solutions: list[FluenceSolution | None] = [None] * len(problems)

        def task(index: int) -> None:
            solutions[index] = self._solve(problems[index])

        with threadpool_limits(_BLAS_THREADS, user_api="blas"):
            threads.run(task, len(problems))
        return [solution for solution in solutions if solution is not None]

    def _solve(self, problem: FluenceProblem) -> FluenceSolution:
        matrix, rows = rows_of(self.matrix, problem.constraints)
        objective = Objective(problem.terms, matrix.shape[0])
        multipliers = [
            Multipliers(constraint, bounded, first_penalty(problem.terms, constraint, bounded))
            for constraint, bounded in zip(problem.constraints, rows, strict=True)
        ]
        if problem.start is None:
            fluence = self._uniform_fluence(problem.terms)
        else:
            fluence = problem.start.fluence
            for each in multipliers:
                if (known := problem.start.multipliers.get(each.constraint.key)) is not None:
                    each.lower, each.upper = known[0].copy(), known[1].copy()
        minimum, iterations = _minimise_lagrangian(
            self._minimiser(matrix, problem),
            matrix,
            objective,
            multipliers,
            fluence,
            Beside(problem.beyond_k, problem.constraints, matrix.shape[0]),
            start_gy=None if problem.start is None else problem.start.dose_gy,
        )
        return FluenceSolution.of(
            problem,
            minimum.fluence,
            minimum.dose[: self.matrix.shape[0]],
            kkt_residual=minimum.kkt_residual,
            iterations=iterations,
            multipliers={each.constraint.key: (each.lower, each.upper) for each in multipliers},
        )

    def _uniform_fluence(self, terms: Sequence[Term]) -> Vector:
        """Equal fluence everywhere, at the level that suits the first target best."""
        uniform = np.ones(self.matrix.shape[1])
        target = next((term for term in terms if not term.one_sided), None)
        if target is None:
            return 0 * uniform
        dose = self.matrix.dose(uniform, target.rows)
        mean = float(dose.mean() if target.volumes_cc is None else target.shares @ dose)
        return uniform * (target.dose_gy / mean) if mean > 0 else uniform


def _minimise_lagrangian(
    minimiser: Minimiser,
    matrix: DoseOperator,
    objective: Objective,
    multipliers: list[Multipliers],
    fluence: Vector,
    beside: Beside,
    *,
    start_gy: Vector | None,
) -> tuple[Minimum, int]:
    """Alternate between fluence and multipliers; a cold start first solves without the constraints.

    Bounds that turn out to exclude each other give: they leave the multipliers, and become part of the objective.

    The minimiser sees K x alone: the dose beyond K, which is fixed while it works, shifts the losses' thresholds.
    """
    empty = objective.loss.derivatives(np.zeros(matrix.shape[0]))[0]
    negligible = _NEGLIGIBLE * empty
    total, voxels = 0, matrix.shape[0]
    if start_gy is None:
        fluence = minimiser.improved(objective.loss, fluence)
        tolerance = _ROUGH_TOLERANCE if multipliers else KKT_TOLERANCE
        free = Subproblem(objective.loss, Loss.zero(voxels), np.zeros(0, dtype=bool), tolerance, negligible, near=False)
        minimum = minimiser.minimise(free, fluence, matrix.dose(fluence))
        total, fluence, of_k = minimum.iterations, minimum.fluence, minimum.dose
        if not multipliers and not beside.follows:
            return replace(minimum, dose=matrix.dose(fluence)), total
    else:
        of_k = matrix.dose(fluence)
    if start_gy is None:
        beside.renew(fluence)
    else:
        beside.start_from(fluence, start_gy, of_k)
    for each in multipliers:
        each.choose_voxels(of_k + beside.dose)
    scale = max(objective.loss.derivatives(of_k + beside.dose)[0], _LEAST_SCALE * empty)
    given: list[Multipliers] = []  # to the objective, as soft terms
    errors = [np.inf] * len(multipliers)
    limited = any(each.constraint.relation == "≤" for each in multipliers)
    lowest, stalled, chosen, near = np.inf, 0, False, False
    choices = _UPDATES_THAT_CHOOSE
    tolerance = _ROUGH_TOLERANCE if multipliers else KKT_TOLERANCE
    for update in range(_MAX_UPDATES):
        loss = sum((each.loss(voxels) for each in given), objective.loss).beside(beside.dose)
        bounds = sum((each.loss(voxels) for each in multipliers), Loss.zero(voxels)).beside(beside.dose)
        pulling = np.concatenate([np.zeros(0, dtype=bool), *(each.pulling for each in multipliers)])
        subproblem = Subproblem(loss, bounds, pulling, tolerance, negligible, near)
        minimum = minimiser.minimise(subproblem, fluence, of_k)
        total += minimum.iterations
        fluence, of_k = minimum.fluence, minimum.dose
        short = [each.short_gy(minimum.dose + beside.dose) for each in multipliers]
        if update < _RENEWALS:
            beside.renew(fluence)
        dose = minimum.dose + beside.dose
        previous, errors = errors, [each.error(dose) for each in multipliers]
        idle_pull = sum(each.idle_pull(dose) for each in multipliers)
        settled = idle_pull <= KKT_TOLERANCE * max(minimum.value, negligible)
        if settled and all(error <= CONSTRAINT_TOLERANCE for error in errors):
            if minimum.kkt_residual <= KKT_TOLERANCE:
                beside.renew(fluence)
                dose = minimum.dose + beside.dose
                if all(each.error(dose) <= _renewed(each.constraint) for each in multipliers):
                    break
            tolerance, near = KKT_TOLERANCE, True
            continue
        worst = max(errors, default=0.0)
        falls = worst <= max(_STALLED * lowest, CONSTRAINT_TOLERANCE)
        lowest, stalled = (worst, 0) if falls else (lowest, stalled + 1)
        if limited and stalled >= _PATIENCE and update >= choices:
            break
        for each in multipliers:
            each.update(dose)
        gives = those_that_give(multipliers, errors, previous, scale)
        near = not any(gives)
        if not near:
            begin_again(multipliers, gives, errors, scale, dose)
            given += compress(multipliers, gives)
            multipliers[:] = [each for each in multipliers if each not in given]
            errors, lowest, stalled, chosen = [np.inf] * len(multipliers), np.inf, 0, False
            choices = update + _AFTER_GIVING
            continue
        tolerance = min(max(worst, KKT_TOLERANCE), tolerance)
        better = minimiser.multipliers(minimum, subproblem, np.concatenate(short)) if chosen else None
        at, choosing = 0, not chosen
        chosen = chosen or worst <= _CHOSEN or update + 1 >= choices
        for each, lack, error, before in zip(multipliers, short, errors, previous, strict=True):
            if better is not None:
                each.take(better[2][at : at + lack.size])
                at += lack.size
            elif error > max(_SLOW * before, CONSTRAINT_TOLERANCE):
                each.penalty = min(4.0 * each.penalty, _HIGHEST_PENALTY * each.first_penalty)
            if choosing:
                each.choose_voxels(dose)
            else:
                each.spare_fewer(dose)
        if better is not None:
            fluence, of_k, _ = better
    beside.renew(minimum.fluence)
    return replace(minimum, dose=matrix.dose(minimum.fluence) + beside.dose), total


def _renewed(constraint: DoseConstraint) -> float:
    return _RENEWED if constraint.relation == "=" else _RENEWED_LIMIT


def first_penalty(terms: Sequence[Term], constraint: DoseConstraint, rows: Rows) -> float:
    """Return the first penalty per row; of a structure larger than the targets, few voxels are near an upper bound."""
    heaviest = max((term.weight for term in terms), default=0.0) or 1.0
    targets = [term.rows.size for term in terms if not term.one_sided]
    bounded = min([rows.size, *targets]) if constraint.relation == "≤" else rows.size
    return _PENALTY * 2 * heaviest / bounded
