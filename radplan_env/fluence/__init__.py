"""The inner loop: fluence optimisation, Eq. 1 of GPT-RadPlan (arXiv 2406.15609)."""

from .coverage import Coverage
from .objective import Objective, Term
from .solver import BACKENDS, ConstraintReport, FluenceProblem, FluenceSolution, FluenceSolver

__all__ = [
    "BACKENDS",
    "ConstraintReport",
    "Coverage",
    "FluenceProblem",
    "FluenceSolution",
    "FluenceSolver",
    "Objective",
    "Term",
]
