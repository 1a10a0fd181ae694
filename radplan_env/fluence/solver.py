"""The inner loop's seam: the problem that a solver is given, the solution it hands back, and the solvers by name.

A solver minimises Eq. 1 over the fluence, subject to each target's coverage and other dose constraints. Ours are
`newton` and `ipopt`; another is registered by `register_solver` or an entry point of the group `radplan_env.solvers`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import import_module
from importlib.metadata import EntryPoint
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from radplan_env.beams import Bixels
from radplan_env.plugins import Registry

from .constraints import DoseConstraint, Relation
from .objective import Objective, Term
from .smoothness import Smoothness

Vector = NDArray[np.float64]

KKT_TOLERANCE = 1e-3
"""How far the objective may be above its minimum, relative to it: see `newton.kkt_residual`."""
MET_TOLERANCE: Mapping[Relation, float] = {"=": 1e-3, "≥": 5e-3, "≤": 1e-3}


class InnerSolver(Protocol):
    """Solves Eq. 1 for one dose-influence matrix, again and again."""

    def solve_batch(self, problems: Sequence[FluenceProblem]) -> list[FluenceSolution]:
        """Return the solution of each problem, which must not depend on the others.

        Constraints are met where they can be; the solution's `constraints` say which were.
        """
        ...

    def dose(self, fluence: Vector) -> Vector:
        """Return K x in Gy, shape (voxels,), of a fluence (bixels,)."""
        ...


SolverFactory = Callable[[sparse.csr_array, Bixels | None], InnerSolver]
"""Makes a solver for K (voxels, bixels), in Gy per unit fluence, and what its columns are, if that is known."""


def _ours(module: str) -> SolverFactory:
    def factory(matrix: sparse.csr_array, bixels: Bixels | None) -> InnerSolver:
        solver: InnerSolver = import_module(f".{module}", __package__).solver(matrix, bixels)
        return solver

    return factory


SOLVERS: Registry[SolverFactory] = Registry(
    "radplan_env.solvers", {"newton": _ours("newton_solver"), "ipopt": _ours("ipopt")}, EntryPoint.load
)
"""Solvers by name; those of this package are imported when they are used."""


def register_solver(name: str, factory: SolverFactory) -> None:
    """Make a solver known by name, in this process.

    Raises
    ------
    ValueError
        If the name is taken.
    """
    if name in SOLVERS:
        raise ValueError(f"there is a solver {name!r} already: choose another name")
    SOLVERS.built_in[name] = factory


def solver_names() -> list[str]:
    """Return the names of all solvers: ours, registered ones and those of installed packages."""
    return list(SOLVERS)


def inner_solver(name: str, matrix: sparse.csr_array, bixels: Bixels | None = None) -> InnerSolver:
    """Return the solver of this name for K.

    Parameters
    ----------
    name : str
        One of `solver_names()`.
    matrix : scipy.sparse.csr_array, shape (voxels, bixels)
        Dose per unit fluence, in Gy.
    bixels : Bixels, optional
        What K's columns are.

    Raises
    ------
    ValueError
        If there is none of this name.
    """
    if name not in SOLVERS:
        raise ValueError(f"unknown solver backend {name!r}: choose from {', '.join(SOLVERS)}")
    return SOLVERS[name](matrix, bixels)


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
        K x and what the problem adds to it, in the order of K's rows.
    objective : float
        Value of Eq. 1 and the roughness, without the constraints' terms.
    objective_by_structure : dict of str to float
        Eq. 1's terms.
    roughness : float
        The smoothness term, in Gy².
    kkt_residual : float
        Bound on how far the Lagrangian is above its minimum, relative to it; see `newton.kkt_residual`.
    converged : bool
        Whether the residual fell below `KKT_TOLERANCE`, with every constraint met.
    iterations : int
        The solver's steps.
    constraints : tuple of ConstraintReport
    multipliers : mapping of (structure, metric, relation) to pair of ndarray
        Lagrange multipliers by constraint (lower, upper bounds), for the solver's next warm start; may be empty.
    """

    fluence: Vector
    dose_gy: Vector
    objective: float
    objective_by_structure: Mapping[str, float]
    roughness: float
    kkt_residual: float
    converged: bool
    iterations: int
    constraints: tuple[ConstraintReport, ...]
    multipliers: Mapping[tuple[str, str, str], tuple[Vector, Vector]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        problem: FluenceProblem,
        fluence: Vector,
        dose_gy: Vector,
        *,
        kkt_residual: float,
        iterations: int,
        multipliers: Mapping[tuple[str, str, str], tuple[Vector, Vector]] | None = None,
    ) -> FluenceSolution:
        """Report what a fluence and its dose are worth as a problem's solution."""
        constraints = tuple(_report(constraint, dose_gy) for constraint in problem.constraints)
        shares = Objective(problem.terms, dose_gy.size).by_structure(dose_gy)
        roughness = 0.0 if problem.smoothness is None else problem.smoothness.value(fluence)
        return cls(
            fluence=fluence,
            dose_gy=dose_gy,
            objective=sum(shares.values()) + roughness,
            objective_by_structure=shares,
            roughness=roughness,
            kkt_residual=kkt_residual,
            converged=kkt_residual <= KKT_TOLERANCE and all(each.met for each in constraints),
            iterations=iterations,
            constraints=constraints,
            multipliers=multipliers or {},
        )

    def summary(self) -> dict[str, Any]:
        """Return the report, without the arrays, in plain dicts, lists and numbers."""
        return {
            "objective": self.objective,
            "objective_by_structure": dict(self.objective_by_structure),
            "roughness": self.roughness,
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
    smoothness : Smoothness, optional
        Added to the terms.
    beyond_k : callable, optional
        Returns the dose in Gy, shape (voxels,), that a fluence (bixels,) gives beside K x: d = K x + beyond_k(x). It
        hardly depends on details of the fluence: a solver holds it fixed and renews it between its rounds. The
        solution's dose has that of its own fluence.
    """

    terms: Sequence[Term]
    constraints: Sequence[DoseConstraint] = ()
    start: FluenceSolution | None = None
    smoothness: Smoothness | None = None
    beyond_k: Callable[[Vector], Vector] | None = None


def _report(constraint: DoseConstraint, dose: Vector) -> ConstraintReport:
    return ConstraintReport(
        structure=constraint.structure,
        metric=constraint.metric,
        relation=constraint.relation,
        dose_gy=float(constraint.dose_gy),
        achieved_gy=constraint.achieved_gy(dose),
        met=bool(constraint.error(dose) <= MET_TOLERANCE[constraint.relation]),
    )
