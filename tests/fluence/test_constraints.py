"""Dose constraints of the inner loop against SciPy on problems small enough for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import optimize, sparse
from solving import solve

from radplan_env.fluence import DoseConstraint, FluenceSolution, Term
from radplan_env.fluence.constraints import rows_of
from radplan_env.fluence.matrix import InfluenceMatrix, MatrixWithRows

Vector = NDArray[np.float64]
Rows = list[NDArray[np.int64]]


def problem(seed: int, voxels: int = 60, bixels: int = 12) -> tuple[sparse.csr_array, Rows]:
    """A random sparse K and a partition of its rows in target, organ and rest."""
    rng = np.random.default_rng(seed)
    dense = rng.uniform(0, 1, (voxels, bixels)) * (rng.uniform(size=(voxels, bixels)) < 0.4)
    dense[np.arange(bixels), np.arange(bixels)] += 0.5
    rows = np.split(rng.permutation(voxels), [voxels // 3, 2 * voxels // 3])
    return sparse.csr_array(dense.astype(np.float32)), [np.sort(part) for part in rows]


def terms(rows: Rows) -> list[Term]:
    return [
        Term("PTV", rows[0], 10, 60, one_sided=False),
        Term("Rectum", rows[1], 0.1, 10, one_sided=True),
        Term("Body", rows[2], 0.1, 25, one_sided=True),
    ]


def least(matrix: sparse.csr_array, rows: Rows, bounds: Vector, offset: Vector, start: Vector) -> float:
    """The least value of Eq. 1, written out from the paper, where ``bounds @ x <= offset``; by SLSQP."""
    dense = matrix.toarray().astype(float)
    scale = sum(term.weight for term in terms(rows)) * 60

    def value_and_gradient(x: Vector) -> tuple[float, Vector]:
        value, gradient = 0.0, np.zeros_like(x)
        for term in terms(rows):
            excess = dense[term.rows] @ x - term.dose_gy
            if term.one_sided:
                excess = np.maximum(excess, 0)
            value += term.weight * np.mean(excess**2)
            gradient += 2 * term.weight * dense[term.rows].T @ excess / term.rows.size
        return value / scale, gradient / scale

    peer = optimize.minimize(
        value_and_gradient,
        start,
        jac=True,
        method="SLSQP",
        bounds=[(0, None)] * matrix.shape[1],
        constraints=[{"type": "ineq", "fun": lambda x: offset - bounds @ x, "jac": lambda x: -bounds}],
        options={"maxiter": 2000, "ftol": 1e-9},
    )
    assert peer.success
    return float(peer.fun * scale)


def free(matrix: sparse.csr_array, rows: Rows) -> FluenceSolution:
    """The solution without constraints."""
    return solve(matrix, terms(rows))


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.floats(0.5, 0.95))
def test_a_bound_on_the_mean_costs_no_more_than_it_must(seed: int, share: float) -> None:
    matrix, rows = problem(seed)
    before = free(matrix, rows)
    bound = share * float(before.dose_gy[rows[1]].mean())
    solution = solve(matrix, terms(rows), [DoseConstraint("Rectum", rows[1], "≤", bound, None)])
    assert solution.dose_gy[rows[1]].mean() == pytest.approx(bound, rel=1e-3)
    assert solution.converged and solution.constraints[0].metric == "mean"
    mean = matrix.toarray()[rows[1]].mean(axis=0)[None].astype(float)
    best = least(matrix, rows, mean, np.array([bound]), share * before.fluence)
    assert solution.objective == pytest.approx(best, rel=2e-3)


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.floats(0.5, 0.95))
def test_a_bound_on_the_maximum_costs_no_more_than_it_must(seed: int, share: float) -> None:
    matrix, rows = problem(seed)
    before = free(matrix, rows)
    bound = share * float(before.dose_gy[rows[1]].max())
    solution = solve(matrix, terms(rows), [DoseConstraint("Rectum", rows[1], "≤", bound, 0.0)])
    assert solution.dose_gy[rows[1]].max() == pytest.approx(bound, rel=1e-3)
    assert solution.converged
    organ = matrix.toarray()[rows[1]].astype(float)
    best = least(matrix, rows, organ, np.full(len(organ), bound), share * before.fluence)
    assert solution.objective == pytest.approx(best, rel=2e-3)


@pytest.mark.parametrize("seed", range(6))
def test_slsqp_finds_nothing_better_for_the_voxels_a_dose_volume_bound_exempts(seed: int) -> None:
    matrix, rows = problem(seed)
    bound = 0.7 * float(np.percentile(free(matrix, rows).dose_gy[rows[1]], 70))
    solution = solve(matrix, terms(rows), [DoseConstraint("Rectum", rows[1], "≤", bound, 30.0)])
    organ = solution.dose_gy[rows[1]]
    assert np.percentile(organ, 70) == pytest.approx(bound, rel=1e-3)
    assert solution.converged
    lowered = rows[1][np.argsort(organ)[: int(0.7 * (organ.size - 1)) + 2]]
    bounded = matrix.toarray()[lowered].astype(float)
    best = least(matrix, rows, bounded, np.full(len(bounded), bound), 0.5 * solution.fluence)
    assert solution.objective == pytest.approx(best, rel=2e-3)


@pytest.mark.parametrize("backend", ["newton", "ipopt"])
def test_bounds_of_every_kind_hold_together(backend: str) -> None:
    if backend == "ipopt":
        pytest.importorskip("ipyopt")
    matrix, rows = problem(4)
    loose = solve(matrix, terms(rows), [DoseConstraint("PTV", rows[0], "=", 60)]).dose_gy
    wanted = [
        DoseConstraint("PTV", rows[0], "=", 60),
        DoseConstraint("PTV", rows[0], "≥", 0.97 * 60, 98.0),
        DoseConstraint("Rectum", rows[1], "≤", 0.95 * loose[rows[1]].max(), 0.0),
        DoseConstraint("Rectum", rows[1], "≤", 0.95 * loose[rows[1]].mean(), None),
        DoseConstraint("Body", rows[2], "≤", 0.97 * loose[rows[2]].mean(), None),
    ]
    solution = solve(matrix, terms(rows), wanted, backend=backend)
    assert [constraint.met for constraint in solution.constraints] == [True] * len(wanted)
    assert all(constraint.error(solution.dose_gy) <= 1e-3 for constraint in wanted)
    assert solution.dose_gy.shape == (matrix.shape[0],)


def test_a_mean_is_raised_too() -> None:
    matrix, rows = problem(1)
    bound = 1.2 * float(free(matrix, rows).dose_gy[rows[2]].mean())
    solution = solve(matrix, terms(rows), [DoseConstraint("Body", rows[2], "≥", bound, None)])
    assert solution.dose_gy[rows[2]].mean() == pytest.approx(bound, rel=1e-3)


def test_a_bound_that_is_kept_anyway_costs_nothing() -> None:
    matrix, rows = problem(2)
    before = free(matrix, rows)
    for percent in (None, 0.0, 40.0):
        idle = DoseConstraint("Rectum", rows[1], "≤", 2 * float(before.dose_gy[rows[1]].max()), percent)
        assert solve(matrix, terms(rows), [idle]).objective == pytest.approx(before.objective, rel=2e-3)


@pytest.mark.parametrize("percent", [None, 0.0, 20.0])
def test_what_an_earlier_solve_held_does_not_weigh_on_one_that_need_not(percent: float | None) -> None:
    matrix, rows = problem(3)
    before = solve(matrix, terms(rows))
    tight = DoseConstraint("Rectum", rows[1], "≤", 0.5 * float(before.dose_gy[rows[1]].mean()), percent)
    wide = DoseConstraint("Rectum", rows[1], "≤", 2 * float(before.dose_gy[rows[1]].max()), percent)
    held = solve(matrix, terms(rows), [tight])
    assert held.objective > 1.1 * before.objective
    assert solve(matrix, terms(rows), [wide], held).objective == pytest.approx(before.objective, rel=3e-3)


def test_bounds_that_exclude_each_other_are_reported_and_leave_numbers() -> None:
    matrix, rows = problem(5)
    dense = matrix.toarray()
    dense[rows[1][0]] = dense[rows[0]].mean(axis=0)  # a voxel that gets what the target gets on average
    wanted = [
        DoseConstraint("PTV", rows[0], "=", 60),
        DoseConstraint("Rectum", rows[1], "≤", 1.0, 0.0),
        DoseConstraint("Rectum", rows[1], "≤", 0.01, None),
    ]
    solution = solve(sparse.csr_array(dense), terms(rows), wanted)
    assert solution.constraints[0].met  # coverage never gives
    assert not any(constraint.met for constraint in solution.constraints[1:])
    assert not solution.converged
    assert np.isfinite(solution.fluence).all() and np.isfinite(solution.objective)


def test_the_larger_problems_solved_in_single_precision_keep_their_bounds() -> None:
    rng = np.random.default_rng(0)
    matrix = sparse.random_array((3000, 1100), density=0.02, rng=rng, dtype=np.float32, format="csr")
    rows = np.split(np.arange(3000), [800, 1800])
    coverage = DoseConstraint("PTV", rows[0], "=", 60)
    loose = solve(matrix, terms(rows), [coverage]).dose_gy
    wanted = [
        coverage,
        DoseConstraint("Rectum", rows[1], "≤", 0.95 * loose[rows[1]].mean(), None),
        DoseConstraint("Rectum", rows[1], "≤", 0.9 * np.percentile(loose[rows[1]], 90), 10.0),
    ]
    solution = solve(matrix, terms(rows), wanted)
    assert solution.converged
    assert all(constraint.error(solution.dose_gy) <= 1e-3 for constraint in wanted)


def test_the_same_constraints_give_the_same_numbers() -> None:
    matrix, rows = problem(8)
    wanted = [DoseConstraint("Rectum", rows[1], "≤", 5.0, None), DoseConstraint("PTV", rows[0], "=", 60)]
    one, two = (solve(matrix, terms(rows), wanted) for _ in range(2))
    np.testing.assert_array_equal(one.fluence, two.fluence)


def test_a_matrix_with_rows_below_multiplies_as_the_whole_does() -> None:
    matrix, rows = problem(6)
    rng = np.random.default_rng(0)
    extra = rng.uniform(size=(2, matrix.shape[1]))
    whole, ours = np.vstack([matrix.toarray().astype(float), extra]), MatrixWithRows(InfluenceMatrix(matrix), extra)
    x, v, c = rng.uniform(size=matrix.shape[1]), rng.normal(size=62), rng.uniform(size=62)
    assert ours.shape == whole.shape
    np.testing.assert_allclose(ours.dose(x), whole @ x)
    for some in (np.arange(62), np.array([3, 50, 61]), rows[1]):
        np.testing.assert_allclose(ours.dose(x, some), whole[some] @ x)
        np.testing.assert_allclose(ours.adjoint(v[some], some), v[some] @ whole[some])
        gradient, diagonal = ours.adjoint_and_diagonal(v[some], c[some], some)
        np.testing.assert_allclose(gradient, v[some] @ whole[some])
        np.testing.assert_allclose(diagonal, c[some] @ whole[some] ** 2)
        columns = np.array([7, 2, 11])
        dense, used = ours.scaled_rows(c[some], some, columns, np.float64)
        np.testing.assert_allclose(dense, c[some, None] * whole[np.ix_(some, columns)])
        np.testing.assert_array_equal(np.delete(dense, np.arange(3)[used], axis=1), 0)


def test_without_bounds_on_means_the_matrix_is_k_itself() -> None:
    matrix, rows = problem(7)
    ours = InfluenceMatrix(matrix)
    whole, bounded = rows_of(ours, [DoseConstraint("PTV", rows[0], "=", 60)])
    assert whole is ours
    np.testing.assert_array_equal(bounded[0], rows[0])


def two_targets() -> tuple[sparse.csr_array, list[Term], DoseConstraint, DoseConstraint]:
    """Two targets with a bixel each; the second lies in an organ that gets what it gets."""
    targets, organ = np.split(np.arange(40), 2), np.arange(40, 60)
    dense = np.zeros((60, 2), dtype=np.float32)
    dense[targets[0], 0] = dense[targets[1], 1] = dense[organ, 1] = 1.0
    return (
        sparse.csr_array(dense),
        [Term("PTV_7000", targets[0], 10, 70, False), Term("Parotid", organ, 0.1, 10, True)],
        DoseConstraint("PTV_7000", targets[0], "=", 70, coverage=True),
        DoseConstraint("PTV_5600", targets[1], "≥", 56, coverage=True),
    )


@pytest.mark.parametrize("percent", [None, 0.0, 50.0])
@pytest.mark.parametrize("most_gy", [3.0, 50.0])
def test_every_targets_coverage_outranks_limits(most_gy: float, percent: float | None) -> None:
    matrix, terms, *coverage = two_targets()
    parotid = DoseConstraint("Parotid", np.arange(40, 60), "≤", most_gy, percent)
    solution = solve(matrix, terms, [*coverage, parotid])
    assert [constraint.met for constraint in solution.constraints] == [True, True, False]
    assert solution.fluence == pytest.approx([70, 56], rel=2e-3)


def test_coverage_gives_when_no_limit_is_left_to() -> None:
    matrix, terms, primary, second = two_targets()
    within = replace(second, rows=primary.rows, dose_gy=77)
    organ = DoseConstraint("Parotid", np.arange(40, 60), "≤", 30, 0.0)
    solution = solve(matrix, terms, [primary, within, organ])
    assert [constraint.met for constraint in solution.constraints] == [True, False, True]
    assert solution.fluence[0] == pytest.approx(70, rel=2e-3)
