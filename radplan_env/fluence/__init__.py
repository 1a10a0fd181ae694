"""The inner loop: fluence optimisation, Eq. 1 of GPT-RadPlan (arXiv 2406.15609)."""

from .constraints import CONSTRAINT_TOLERANCE, DoseConstraint
from .objective import Objective, Term
from .smoothness import Smoothness
from .solver import (
    ConstraintReport,
    FluenceProblem,
    FluenceSolution,
    InnerSolver,
    inner_solver,
    register_solver,
    solver_names,
)

__all__ = [
    "CONSTRAINT_TOLERANCE",
    "ConstraintReport",
    "DoseConstraint",
    "FluenceProblem",
    "FluenceSolution",
    "InnerSolver",
    "Objective",
    "Smoothness",
    "Term",
    "inner_solver",
    "register_solver",
    "solver_names",
]
