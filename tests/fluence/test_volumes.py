"""Rows that stand for different volumes: as if each were there as often as its volume says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import optimize, sparse
from solving import solve

from radplan_env.fluence import DoseConstraint, Term
from radplan_env.fluence.volumes import dose_at_volume, positions, shares

seeds = st.integers(0, 10_000)
Rows = list[NDArray[np.int64]]


def problem(seed: int, voxels: int = 60, bixels: int = 12) -> tuple[sparse.csr_array, Rows, Rows]:
    """A random K, its rows in target, organ and rest, and how often each row is there."""
    rng = np.random.default_rng(seed)
    dense = rng.uniform(0, 1, (voxels, bixels)) * (rng.uniform(size=(voxels, bixels)) < 0.4)
    dense[np.arange(bixels), np.arange(bixels)] += 0.5
    rows = [np.sort(part) for part in np.split(rng.permutation(voxels), [voxels // 3, 2 * voxels // 3])]
    return sparse.csr_array(dense.astype(np.float32)), rows, [rng.integers(1, 5, part.size) for part in rows]


def terms(rows: Rows, volumes: Rows | None = None) -> list[Term]:
    wanted = (("PTV", 10, 60, False), ("Rectum", 2, 10, True), ("Body", 3, 25, True))
    given = [None] * 3 if volumes is None else [0.01 * v for v in volumes]
    return [Term(n, r, w, d, one_sided, v) for (n, w, d, one_sided), r, v in zip(wanted, rows, given, strict=True)]


def repeated(matrix: sparse.csr_array, rows: Rows, counts: Rows) -> tuple[sparse.csr_array, Rows]:
    """K with every row as often as it counts, and where they are."""
    index = np.concatenate([np.repeat(r, c) for r, c in zip(rows, counts, strict=True)])
    ends = np.cumsum([c.sum() for c in counts])
    return matrix[index], np.split(np.arange(index.size), ends[:-1])


@settings(max_examples=15)
@given(seeds)
def test_a_row_of_twice_the_volume_is_two_rows(seed: int) -> None:
    matrix, rows, counts = problem(seed)
    weighted = solve(matrix, terms(rows, counts))
    many, many_rows = repeated(matrix, rows, counts)
    assert weighted.objective == pytest.approx(solve(many, terms(many_rows)).objective, rel=1e-4)


@settings(max_examples=15)
@given(seeds)
def test_a_mean_by_volume_costs_what_it_costs_with_every_row_repeated(seed: int) -> None:
    matrix, rows, counts = problem(seed)
    free = solve(matrix, terms(rows, counts))
    bound = 0.7 * float(shares(rows[1], 0.01 * counts[1]) @ free.dose_gy[rows[1]])
    if bound < 0.5:
        return
    weighted = solve(
        matrix, terms(rows, counts), [DoseConstraint("Rectum", rows[1], "≤", bound, None, 0.01 * counts[1])]
    )
    many, many_rows = repeated(matrix, rows, counts)
    peer = solve(many, terms(many_rows), [DoseConstraint("Rectum", many_rows[1], "≤", bound, None)])
    assert weighted.constraints[0].achieved_gy == pytest.approx(peer.constraints[0].achieved_gy, rel=1e-3)
    assert weighted.objective == pytest.approx(peer.objective, rel=2e-3)


@pytest.mark.parametrize("seed", range(6))
def test_d95_by_volume_equals_its_dose_and_slsqp_finds_nothing_better(seed: int) -> None:
    matrix, rows, counts = problem(seed)
    wanted = DoseConstraint("PTV", rows[0], "=", 60, 95.0, 0.01 * counts[0])
    solution = solve(matrix, terms(rows, counts), [wanted])
    dose = matrix.toarray()[rows[0]] @ solution.fluence
    assert dose_at_volume(dose, wanted.shares, 95.0) == pytest.approx(60, rel=1e-3)
    assert solution.converged
    dense = matrix.toarray().astype(float)
    order = np.argsort(dose)
    raised = dense[rows[0]][order[wanted.exempt(order) :]]
    scale = solution.objective

    def value(x: NDArray[np.float64]) -> float:
        total = 0.0
        for term in terms(rows, counts):
            excess = dense[term.rows] @ x - term.dose_gy
            excess = np.maximum(excess, 0) if term.one_sided else excess
            total += term.weight * float(np.average(excess**2, weights=term.volumes_cc))
        return total / scale

    peer = optimize.minimize(
        value,
        1.05 * solution.fluence,
        method="SLSQP",
        bounds=[(0, None)] * matrix.shape[1],
        constraints=[{"type": "ineq", "fun": lambda x: raised @ x - 60, "jac": lambda x: raised}],
        options={"maxiter": 2000, "ftol": 1e-10},
    )
    assert value(solution.fluence) == pytest.approx(1, rel=1e-6)
    assert value(solution.fluence) <= peer.fun * 1.002


@settings(max_examples=30)
@given(seeds, st.floats(0, 100))
def test_quantiles_of_equal_volumes_are_numpys_and_others_follow_the_volume(seed: int, percent: float) -> None:
    rng = np.random.default_rng(seed)
    dose = rng.normal(50, 10, 40)
    equal = np.full(40, 1 / 40)
    assert dose_at_volume(dose, equal, percent) == pytest.approx(np.percentile(dose, 100 - percent))
    share = rng.uniform(0.5, 2, 40)
    share /= share.sum()
    quantile = dose_at_volume(dose, share, percent)
    above, at_least = share[dose > quantile].sum(), share[dose >= quantile].sum()
    assert above - share.max() <= percent / 100 <= at_least + share.max()
    assert dose_at_volume(-dose, share, 100 - percent) == pytest.approx(-quantile)
    assert positions(share)[0] == 0 and positions(share)[-1] == pytest.approx(1)


def test_volumes_that_do_not_fit_are_refused() -> None:
    rows = np.arange(3)
    for volumes in (np.ones(2), np.array([1.0, 0.0, 1.0]), np.array([1.0, np.nan, 1.0])):
        with pytest.raises(ValueError, match="3 rows need as many positive volumes"):
            shares(rows, volumes)
