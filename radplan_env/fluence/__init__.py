"""The inner loop: fluence optimisation, Eq. 1 of GPT-RadPlan (arXiv 2406.15609)."""

from .constraints import DoseConstraint
from .objective import Objective, Term
from .solver import BACKENDS, CONSTRAINT_TOLERANCE, ConstraintReport, FluenceProblem, FluenceSolution, FluenceSolver

__all__ = [
    "BACKENDS",
    "CONSTRAINT_TOLERANCE",
    "ConstraintReport",
    "DoseConstraint",
    "FluenceProblem",
    "FluenceSolution",
    "FluenceSolver",
    "Objective",
    "Term",
]
