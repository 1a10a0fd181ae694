"""The inner loop: minimise Eq. 1 over the fluence, subject to each target's coverage and other dose constraints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_limits

from radplan_env import threads

from . import ipopt, newton
from .coarse import CoarseProblem
from .constraints import DoseConstraint, Multipliers, Relation, rows_of
from .gram import Gram
from .loss import Loss
from .matrix import DoseOperator, InfluenceMatrix, Rows, Vector
from .objective import Objective, Term

KKT_TOLERANCE = 1e-3
"""How far the objective may be above its minimum, relative to it: see `newton.kkt_residual`."""
CONSTRAINT_TOLERANCE = 5e-5
"""Relative error of a constraint the solver aims at; what counts as met is wider (`MET_TOLERANCE`)."""
MET_TOLERANCE: Mapping[Relation, float] = {"=": 1e-3, "≥": 5e-3, "≤": 1e-3}

BACKENDS: Mapping[str, newton.Minimiser] = {"newton": newton.minimise, "ipopt": ipopt.minimise}
"""Solvers of the smooth, bound-constrained problem, by name."""

_ROUGH_TOLERANCE = 1e-2  # of the solve without constraints that a cold start begins with
_UPDATE_RIDGE = 1e-3  # between updates of the multipliers little changes
_MAX_ITERATIONS = (25, 60)  # in single, and then in double precision
_SINGLE_PRECISION_FROM = 1000  # bixels; below, double precision costs next to nothing
_BLAS_THREADS = 1  # more fight over the cores (measured: 120 s instead of 10 s on two busy ones) and change rounding
_MAX_UPDATES = 30
_UPDATES_THAT_CHOOSE = 8  # afterwards the exempt voxels stay, so that the multipliers can settle
# Of the objective without any dose: 1 % of a target's dose, squared. A smaller objective counts as this.
_NEGLIGIBLE = 1e-4
_PENALTY = 10.0  # of the constraints' terms, relative to the curvature the heaviest term would have on the target
_HIGHEST_PENALTY = 4.0**6  # relative to the first one; a bound out of reach must not drown everything else
_SLOW = 0.25  # an update that leaves more than this of the error raises the penalty
_STALLED, _PATIENCE = 0.9, 4  # upper bounds are out of reach when so many updates leave more than this of the error


@dataclass(frozen=True)
class ConstraintReport:
    """Whether one constraint was met."""

    structure: str
    metric: str
    relation: str
    dose_gy: float
    achieved_gy: float
    met: bool


@dataclass(frozen=True)
class FluenceSolution:
    """The inner loop's result.

    Attributes
    ----------
    fluence : ndarray, shape (bixels,)
    dose_gy : ndarray, shape (voxels,)
        K x, in the order of K's rows.
    objective : float
        Value of Eq. 1, without the constraint's terms.
    objective_by_structure : dict of str to float
    kkt_residual : float
        Of the Lagrangian; see `newton.kkt_residual`.
    converged : bool
        Whether the residual fell below `KKT_TOLERANCE`, with every constraint's error below its tolerance.
    iterations : int
        Newton steps.
    constraints : tuple of ConstraintReport
    multipliers : mapping of (structure, metric, relation) to pair of ndarray
        Lagrange multipliers by constraint (lower, upper bounds), for the next warm start.
    """

    fluence: Vector
    dose_gy: Vector
    objective: float
    objective_by_structure: Mapping[str, float]
    kkt_residual: float
    converged: bool
    iterations: int
    constraints: tuple[ConstraintReport, ...]
    multipliers: Mapping[tuple[str, str, str], tuple[Vector, Vector]] = field(default_factory=dict, repr=False)

    def summary(self) -> dict[str, Any]:
        """Return the report, without the arrays, in plain dicts, lists and numbers."""
        return {
            "objective": self.objective,
            "objective_by_structure": dict(self.objective_by_structure),
            "kkt_residual": self.kkt_residual,
            "converged": self.converged,
            "iterations": self.iterations,
            "constraints": [asdict(constraint) for constraint in self.constraints],
        }

    @classmethod
    def from_summary(cls, summary: Mapping[str, Any], fluence: Vector, dose_gy: Vector) -> FluenceSolution:
        """Put a report and its arrays together again."""
        constraints = tuple(ConstraintReport(**constraint) for constraint in summary["constraints"])
        return cls(**{**summary, "constraints": constraints}, fluence=fluence, dose_gy=dose_gy)


@dataclass(frozen=True)
class FluenceProblem:
    """One inner solve: what to minimise, what to hold, where to start.

    Parameters
    ----------
    terms : sequence of Term
    constraints : sequence of DoseConstraint
    start : FluenceSolution, optional
        An earlier solution for the same matrix, to start from.
    """

    terms: Sequence[Term]
    constraints: Sequence[DoseConstraint] = ()
    start: FluenceSolution | None = None


class FluenceSolver:
    """Solves Eq. 1 for one dose-influence matrix, again and again.

    Parameters
    ----------
    matrix : scipy.sparse.csr_array, shape (voxels, bixels)
        Dose per unit fluence, in Gy.
    backend : str
        One of `BACKENDS`.

    Raises
    ------
    ValueError
        If the backend is unknown.
    """

    def __init__(self, matrix: sparse.csr_array, backend: str = "newton") -> None:
        if backend not in BACKENDS:
            raise ValueError(f"unknown solver backend {backend!r}: choose from {', '.join(BACKENDS)}")
        self._minimise = BACKENDS[backend]
        self.matrix = InfluenceMatrix(matrix)
        self._coarse = CoarseProblem(self.matrix)
        large = matrix.shape[1] >= _SINGLE_PRECISION_FROM
        self._precisions = (np.float32, np.float64) if large else (np.float64,)

    def solve(
        self,
        terms: Sequence[Term],
        constraints: Sequence[DoseConstraint] = (),
        start: FluenceSolution | None = None,
    ) -> FluenceSolution:
        """Find the fluence that minimises the terms' sum and meets the constraints.

        Parameters
        ----------
        terms : sequence of Term
        constraints : sequence of DoseConstraint
            Met where they can be; the solution's `constraints` say which were. Of those that exclude each other, all
            may be missed.
        start : FluenceSolution, optional
            An earlier solution for the same matrix, to start from.

        Returns
        -------
        FluenceSolution
        """
        with threadpool_limits(_BLAS_THREADS, user_api="blas"):
            return self._solve(FluenceProblem(terms, constraints, start))

    def solve_batch(self, problems: Sequence[FluenceProblem]) -> list[FluenceSolution]:
        """Solve several problems, one on each core at a time.

        A core of its own serves a solve better than a share of each product. Each solution is, to the last bit, what
        `solve` gives for it alone.
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
            Multipliers(constraint, bounded, _penalty(problem.terms, constraint, bounded))
            for constraint, bounded in zip(problem.constraints, rows, strict=True)
        ]
        if problem.start is None:
            fluence = self._uniform_fluence(problem.terms)
        else:
            fluence = problem.start.fluence
            for each in multipliers:
                if (known := problem.start.multipliers.get(each.constraint.key)) is not None:
                    each.lower, each.upper = known[0].copy(), known[1].copy()
        cold = problem.start is None
        minimum, iterations = self._minimise_lagrangian(matrix, objective, multipliers, fluence, cold=cold)
        minimum = replace(minimum, dose=minimum.dose[: self.matrix.shape[0]])
        return _solution(objective, multipliers, minimum, iterations)

    def _uniform_fluence(self, terms: Sequence[Term]) -> Vector:
        """Equal fluence everywhere, at the level that suits the first target best."""
        uniform = np.ones(self.matrix.shape[1])
        target = next((term for term in terms if not term.one_sided), None)
        if target is None:
            return 0 * uniform
        mean = float(self.matrix.dose(uniform, target.rows).mean())
        return uniform * (target.dose_gy / mean) if mean > 0 else uniform

    def _minimise_lagrangian(
        self,
        matrix: DoseOperator,
        objective: Objective,
        multipliers: Sequence[Multipliers],
        fluence: Vector,
        *,
        cold: bool,
    ) -> tuple[newton.Minimum, int]:
        """Alternate between fluence and multipliers; a cold start first solves without the constraints."""

        # Their rounding depends on their history: kept, one solve would sway the next.
        grams = [Gram(matrix, dtype) for dtype in self._precisions]

        negligible = _NEGLIGIBLE * objective.loss.derivatives(np.zeros(matrix.shape[0]))[0]

        def minimise(loss: Loss, start: Vector, tolerance: float, ridge: float) -> newton.Minimum:
            iterations = 0
            for gram, most in zip(grams, _MAX_ITERATIONS[-len(grams) :], strict=True):
                minimum = self._minimise(
                    matrix,
                    loss,
                    start,
                    gram,
                    tolerance=tolerance,
                    max_iterations=most,
                    negligible=negligible,
                    ridge=ridge,
                )
                iterations += minimum.iterations
                if minimum.kkt_residual <= tolerance:
                    break
                start, ridge = minimum.fluence, _UPDATE_RIDGE
            return replace(minimum, iterations=iterations)

        total, voxels = 0, matrix.shape[0]
        if cold:
            fluence = self._coarse.start(objective.loss, fluence)
            tolerance = _ROUGH_TOLERANCE if multipliers else KKT_TOLERANCE
            minimum = minimise(objective.loss, fluence, tolerance, newton.FIRST_RIDGE)
            total, fluence = minimum.iterations, minimum.fluence
            if not multipliers:
                return minimum, total
        for each in multipliers:
            each.choose_voxels(matrix.dose(fluence))
        errors = [np.inf] * len(multipliers)
        limited = any(each.constraint.relation == "≤" for each in multipliers)
        lowest, stalled = np.inf, 0
        tolerance = _ROUGH_TOLERANCE if multipliers else KKT_TOLERANCE
        highest = [_HIGHEST_PENALTY * each.penalty for each in multipliers]
        for update in range(_MAX_UPDATES):
            loss = sum((each.loss(voxels) for each in multipliers), objective.loss)
            ridge = newton.FIRST_RIDGE if update == 0 else _UPDATE_RIDGE
            minimum = minimise(loss, fluence, tolerance, ridge)
            total += minimum.iterations
            fluence = minimum.fluence
            previous, errors = errors, [each.constraint.error(minimum.dose) for each in multipliers]
            idle_pull = sum(each.idle_pull(minimum.dose) for each in multipliers)
            settled = idle_pull <= KKT_TOLERANCE * max(minimum.value, negligible)
            if settled and all(error <= CONSTRAINT_TOLERANCE for error in errors):
                if minimum.kkt_residual <= KKT_TOLERANCE:
                    break
                tolerance = KKT_TOLERANCE
                continue
            worst = max(errors)
            falls = worst <= max(_STALLED * lowest, CONSTRAINT_TOLERANCE)
            lowest, stalled = (worst, 0) if falls else (lowest, stalled + 1)
            if limited and stalled >= _PATIENCE and update >= _UPDATES_THAT_CHOOSE:
                break
            tolerance = min(max(worst, KKT_TOLERANCE), tolerance)
            for each, error, before, most in zip(multipliers, errors, previous, highest, strict=True):
                each.update(minimum.dose)
                if error > max(_SLOW * before, CONSTRAINT_TOLERANCE):
                    each.penalty = min(4.0 * each.penalty, most)
                if update < _UPDATES_THAT_CHOOSE:
                    each.choose_voxels(minimum.dose)
        return minimum, total


def _penalty(terms: Sequence[Term], constraint: DoseConstraint, rows: Rows) -> float:
    """Return the first penalty per row; of a structure larger than the targets, few voxels are near an upper bound."""
    heaviest = max((term.weight for term in terms), default=0.0) or 1.0
    targets = [term.rows.size for term in terms if not term.one_sided]
    bounded = min([rows.size, *targets]) if constraint.relation == "≤" else rows.size
    return _PENALTY * 2 * heaviest / bounded


def _solution(
    objective: Objective, multipliers: Sequence[Multipliers], minimum: newton.Minimum, iterations: int
) -> FluenceSolution:
    reports = tuple(_report(each.constraint, minimum.dose) for each in multipliers)
    shares = objective.by_structure(minimum.dose)
    return FluenceSolution(
        fluence=minimum.fluence,
        dose_gy=minimum.dose,
        objective=sum(shares.values()),
        objective_by_structure=shares,
        kkt_residual=minimum.kkt_residual,
        converged=minimum.kkt_residual <= KKT_TOLERANCE and all(report.met for report in reports),
        iterations=iterations,
        constraints=reports,
        multipliers={each.constraint.key: (each.lower, each.upper) for each in multipliers},
    )


def _report(constraint: DoseConstraint, dose: Vector) -> ConstraintReport:
    return ConstraintReport(
        structure=constraint.structure,
        metric=constraint.metric,
        relation=constraint.relation,
        dose_gy=float(constraint.dose_gy),
        achieved_gy=constraint.achieved_gy(dose),
        met=bool(constraint.error(dose) <= MET_TOLERANCE[constraint.relation]),
    )
