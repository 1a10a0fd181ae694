"""One solve, as the tests of the inner loop ask for it."""

from __future__ import annotations

from collections.abc import Sequence

from scipy import sparse

from radplan_env.fluence import DoseConstraint, FluenceProblem, FluenceSolution, Smoothness, Term, inner_solver


def solve(
    matrix: sparse.csr_array,
    terms: Sequence[Term],
    constraints: Sequence[DoseConstraint] = (),
    start: FluenceSolution | None = None,
    backend: str = "newton",
    smoothness: Smoothness | None = None,
) -> FluenceSolution:
    problem = FluenceProblem(terms, constraints, start, smoothness)
    (solution,) = inner_solver(backend, matrix).solve_batch([problem])
    return solution
