"""Dose that a fluence gives beside K x: against least squares with it taken off, and what holds of the sum."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import optimize, sparse

from radplan_env.fluence import DoseConstraint, FluenceProblem, FluenceSolution, Term, inner_solver

Vector = NDArray[np.float64]

BACKENDS = ["newton", "ipopt"]


def solved(backend: str, matrix: sparse.csr_array, problem: FluenceProblem) -> FluenceSolution:
    if backend == "ipopt":
        pytest.importorskip("ipyopt")
    (solution,) = inner_solver(backend, matrix).solve_batch([problem])
    return solution


def random_matrix(rng: np.random.Generator, voxels: int = 60, bixels: int = 12) -> sparse.csr_array:
    dense = rng.uniform(0, 1, (voxels, bixels)) * (rng.uniform(size=(voxels, bixels)) < 0.4)
    dense[np.arange(bixels), np.arange(bixels)] += 0.5
    return sparse.csr_array(dense.astype(np.float32))


@pytest.mark.parametrize("backend", BACKENDS)
def test_two_gy_that_are_there_already_need_not_be_given(backend: str) -> None:
    one = sparse.csr_array(np.array([[0.5]], dtype=np.float32))
    problem = FluenceProblem([Term("PTV", np.array([0]), 1, 10, False)], beyond_k=lambda _: np.array([2.0]))
    solution = solved(backend, one, problem)
    assert solution.fluence[0] == pytest.approx(16, rel=1e-3)
    assert solution.dose_gy[0] == pytest.approx(10, rel=1e-3)


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_with_organs_at_zero_gy_it_is_least_squares_with_the_fixed_dose_taken_off(backend: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    matrix, fixed = random_matrix(rng), rng.uniform(0, 6, 60)
    terms = [Term("PTV", np.arange(20), 1, 60, False), Term("Rectum", np.arange(20, 60), 0.3, 0, True)]
    share = np.concatenate([np.full(term.rows.size, np.sqrt(term.weight / term.rows.size)) for term in terms])
    aim = np.concatenate([np.full(20, 60.0), np.zeros(40)]) - fixed
    _, residual = optimize.nnls(matrix.toarray() * share[:, None], aim * share)
    solution = solved(backend, matrix, FluenceProblem(terms, beyond_k=lambda _: fixed))
    assert solution.objective == pytest.approx(residual**2, rel=1e-3)
    np.testing.assert_allclose(solution.dose_gy, matrix @ solution.fluence + fixed)


@pytest.mark.parametrize("backend", BACKENDS)
def test_constraints_hold_for_the_sum_where_it_follows_the_fluence(backend: str) -> None:
    rng = np.random.default_rng(3)
    matrix = random_matrix(rng)
    spread = 0.05 * matrix.sum() / matrix.shape[0] / matrix.shape[1]  # 5 % of the mean dose, the same everywhere

    def beyond(fluence: Vector) -> Vector:
        return np.full(60, spread * fluence.sum())

    target, organ = np.arange(20), np.arange(20, 60)
    terms = [Term("PTV", target, 10, 60, False), Term("Rectum", organ, 1, 0, True)]
    free = solved(backend, matrix, FluenceProblem(terms, [DoseConstraint("PTV", target, "=", 60)], beyond_k=beyond))
    limit = 0.99 * float(free.dose_gy[organ].mean())
    held = [DoseConstraint("PTV", target, "=", 60), DoseConstraint("Rectum", organ, "≤", limit, None)]
    for start in (None, free):
        solution = solved(backend, matrix, FluenceProblem(terms, held, start, beyond_k=beyond))
        dose = matrix @ solution.fluence + beyond(solution.fluence)
        np.testing.assert_allclose(solution.dose_gy, dose, rtol=1e-6)
        assert np.percentile(dose[target], 5) == pytest.approx(60, rel=1e-3)
        assert dose[organ].mean() <= limit * 1.001
        assert all(each.met for each in solution.constraints)
    whole = sparse.csr_array((matrix.toarray() + spread).astype(np.float32))
    best = solved(backend, whole, FluenceProblem(terms, held))
    assert solution.objective < 1.03 * best.objective
