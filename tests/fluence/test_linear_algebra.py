"""The solver's parts against NumPy and SciPy: products with K, Hessians, Cholesky factors, quadratic programs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, sparse

from radplan_env import threads
from radplan_env.fluence import bounded_qp
from radplan_env.fluence.cholesky import FreeBlock, NotPositiveDefiniteError, factorise
from radplan_env.fluence.gram import Gram
from radplan_env.fluence.loss import Loss
from radplan_env.fluence.matrix import InfluenceMatrix
from radplan_env.fluence.multiplier_step import multipliers
from radplan_env.fluence.newton import Minimum, minimise
from radplan_env.fluence.objective import Term
from radplan_env.fluence.pulls import Pulls
from radplan_env.fluence.target_grams import TargetGrams

PRECISIONS = (np.float32, np.float64)
seeds = st.integers(0, 10_000)


def random_matrix(seed: int, voxels: int = 90, bixels: int = 40, density: float = 0.3) -> sparse.csr_array:
    """Voxels and bixels that see nothing included."""
    matrix = sparse.random_array((voxels, bixels), density=density, random_state=seed, dtype=np.float32).tolil()
    matrix[0, :] = 0
    matrix[:, -1] = 0
    return sparse.csr_array(matrix)


def positive_definite(rng: np.random.Generator, size: int, dtype: Any) -> Any:
    factor = rng.normal(size=(2 * size, size))
    return (factor.T @ factor).astype(dtype)


@settings(max_examples=30)
@given(seeds, st.booleans())
def test_products_with_some_rows_are_scipys(seed: int, everything: bool) -> None:
    rng = np.random.default_rng(seed)
    k = random_matrix(seed)
    matrix, dense = InfluenceMatrix(k), k.toarray().astype(float)
    rows = np.arange(90) if everything else np.flatnonzero(rng.random(90) < 0.3)
    x, slope, curvature = rng.normal(size=40), rng.normal(size=rows.size), rng.random(rows.size)
    np.testing.assert_allclose(matrix.dose(x, rows), dense[rows] @ x, atol=1e-12)
    np.testing.assert_allclose(matrix.adjoint(slope, rows), dense[rows].T @ slope, atol=1e-12)
    gradient, diagonal = matrix.adjoint_and_diagonal(slope, curvature, rows)
    np.testing.assert_allclose(gradient, dense[rows].T @ slope, atol=1e-12)
    np.testing.assert_allclose(diagonal, curvature @ dense[rows] ** 2, atol=1e-12)


def test_more_bixels_than_sixteen_bits_can_name() -> None:
    columns = 70_000
    k = sparse.csr_array((np.ones(2, np.float32), np.array([3, columns - 1]), np.array([0, 1, 2])), shape=(2, columns))
    x = np.zeros(columns)
    x[-1] = 5
    assert InfluenceMatrix(k).dose(x).tolist() == [0, 5]


def test_products_round_alike_on_any_number_of_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    k = random_matrix(1, voxels=3000, bixels=300, density=0.4)
    matrix, rng = InfluenceMatrix(k), np.random.default_rng(0)
    rows, values = np.arange(3000), rng.normal(size=3000)

    def products() -> tuple[Any, Any]:
        gram = Gram(matrix)
        gram.update(np.abs(values), np.ones(300, bool), np.ones(300, bool))
        return matrix.adjoint(values, rows), np.tril(gram.lower)

    several = products()
    monkeypatch.setattr(threads, "cores", lambda: 1)
    for one, other in zip(several, products(), strict=True):
        assert np.array_equal(one, other)


def test_tasks_may_share_out_work_of_their_own() -> None:
    totals = [0] * 8

    def outer(index: int) -> None:
        threads.run(lambda inner: totals.__setitem__(index, totals[index] + inner), 5)

    threads.run(outer, 8)
    with ThreadPoolExecutor(3) as pool:  # and several threads at once, as a vector environment does
        list(pool.map(lambda _: threads.run(outer, 8), range(3)))
    assert totals == [40] * 8


@settings(max_examples=25)
@given(seeds, st.sampled_from(PRECISIONS), st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_the_hessian_follows_every_change_of_rows_and_columns(seed: int, dtype: Any, shares: list[float]) -> None:
    rng = np.random.default_rng(seed)
    k = random_matrix(seed)
    dense, gram = k.toarray().astype(float), Gram(InfluenceMatrix(k), dtype)
    curvature = rng.random(90)
    for share in shares:
        some = rng.random(90) < share
        curvature = np.where(some, rng.choice([0.0, 1.0, 30.0], 90) * rng.random(90), curvature)
        needed = rng.random(40) < rng.random()
        gram.update(curvature, needed, needed | (rng.random(40) < 0.1))
        assert set(np.flatnonzero(needed)) <= set(gram.columns)
        part = dense[:, gram.columns]
        expected = np.tril(part.T @ (curvature[:, None] * part))
        scale = max(expected.max(initial=0.0), 1e-30)
        np.testing.assert_allclose(np.tril(gram.lower), expected, atol=3e3 * np.finfo(dtype).eps * scale)


@settings(max_examples=25)
@given(seeds, st.sampled_from(PRECISIONS))
def test_known_parts_of_the_hessian_change_nothing(seed: int, dtype: Any) -> None:
    rng = np.random.default_rng(seed)
    k = InfluenceMatrix(random_matrix(seed))
    target, organ = (np.sort(part) for part in np.split(rng.permutation(90), [40]))
    terms = [
        Term("PTV", target, 3.0, 60, one_sided=False, volumes_cc=rng.uniform(0.1, 1, 40)),
        Term("Body", organ, 2.0, 20, one_sided=True),
    ]
    bases = TargetGrams(k, dtype).of(terms)
    known, plain = Gram(k, dtype, bases=bases), Gram(k, dtype)
    for _ in range(3):
        curvature = np.zeros(90)
        curvature[target] = 2 * 3.0 * terms[0].shares
        curvature[rng.permutation(90)[:20]] += rng.uniform(0, 5, 20)
        needed = rng.random(40) < 0.7
        for gram in (known, plain):
            gram.update(curvature, needed, needed)
        assert np.array_equal(known.columns, plain.columns)
        scale = max(np.abs(np.tril(plain.lower)).max(initial=0.0), 1e-30)
        np.testing.assert_allclose(np.tril(known.lower), np.tril(plain.lower), atol=3e3 * np.finfo(dtype).eps * scale)


def test_multipliers_of_newton_meet_the_bounds_at_once() -> None:
    k = InfluenceMatrix(random_matrix(3))
    start = np.full(40, 2.0)
    rows = np.flatnonzero(k.dose(start) > 0)[:10]
    wanted = k.dose(start)[rows] + 0.05
    loss = Loss(np.arange(90), k.dose(start), np.full(90, 1.0), np.full(90, 1.0), voxels=90)

    def bounds(pulls: Any) -> Loss:
        return Loss(rows, wanted + pulls / 8.0, np.zeros(10), np.full(10, 4.0), voxels=90)

    def minimum(pulls: Any, x: Any) -> Minimum:
        gram = Gram(k, np.float64)
        return minimise(k, loss, x, gram, tolerance=1e-12, max_iterations=60, bounds=bounds(pulls))

    pulls = np.full(10, 0.1)
    first = minimum(pulls, start)
    short = wanted - k.dose(first.fluence)[rows]
    found = multipliers(k, loss, bounds(pulls), short, first, Gram(k, np.float64), 1e-9)
    assert found is not None
    last = minimum(found[2], found[0])
    acting = found[2] > 0
    missed = wanted - k.dose(last.fluence)[rows]
    assert np.abs(missed[acting]).max() < 0.05 * np.abs(short).max()


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("size", [1, 50, 384, 900])
def test_the_factor_is_numpys(size: int, dtype: Any) -> None:
    matrix = positive_definite(np.random.default_rng(size), size, dtype)
    expected = np.linalg.cholesky(matrix.astype(float))
    factorise(matrix)
    np.testing.assert_allclose(np.tril(matrix), expected, rtol=1e3 * np.finfo(dtype).eps, atol=1e-3 * size**0.5)


def test_an_indefinite_matrix_is_refused() -> None:
    with pytest.raises(NotPositiveDefiniteError):
        factorise(np.diag([1.0, -1.0]))


@settings(max_examples=25)
@given(seeds, st.sampled_from(PRECISIONS))
def test_variables_that_join_or_leave_border_the_factor(seed: int, dtype: Any) -> None:
    rng = np.random.default_rng(seed)
    lower, free = positive_definite(rng, 60, dtype), rng.random(60) < 0.6
    block, whole = FreeBlock(lower, 2.0, free), lower.astype(float) + 2 * np.eye(60)
    for _ in range(3):
        now = free ^ (rng.random(60) < 0.15)
        given_values, gradient = np.where(now, 0.0, rng.normal(size=60)), rng.normal(size=60)
        solution, _ = block.solve(-gradient - whole @ given_values, given_values, now)
        assert np.array_equal(solution[~now], given_values[~now])
        np.testing.assert_allclose((whole @ solution + gradient)[now], 0, atol=2e5 * np.finfo(dtype).eps)


@settings(max_examples=40)
@given(seeds, st.sampled_from(PRECISIONS))
def test_the_quadratic_program_agrees_with_nnls(seed: int, dtype: Any) -> None:
    rng = np.random.default_rng(seed)
    a, b, x = rng.normal(size=(60, 25)), rng.normal(size=60), np.maximum(rng.normal(size=25), 0)
    hessian, ridge = (a.T @ a).astype(dtype), 1e-3
    # A proximal step from x: least squares with rows that hold the solution near x.
    held = np.vstack([a, np.sqrt(ridge) * np.eye(25)])
    expected, _ = optimize.nnls(held, np.concatenate([b, np.sqrt(ridge) * x]))
    step = bounded_qp.minimise(hessian, ridge, a.T @ (a @ x - b), x)
    np.testing.assert_allclose(x + step, expected, atol=1e-9 if dtype is np.float64 else 2e-4)


@settings(max_examples=20)
@given(seeds, st.sampled_from(PRECISIONS), st.sampled_from([0.5, 50.0]), st.booleans())
def test_with_bounds_on_doses_it_ends_where_the_gradient_does(
    seed: int, dtype: Any, stiffness: float, hold_more: bool
) -> None:
    rng = np.random.default_rng(seed)
    a, b, x = rng.normal(size=(60, 25)), rng.normal(size=60), np.maximum(rng.normal(size=25), 0)
    rows = np.sort(rng.integers(0, 90, 30))
    below = rng.random(30) < 0.5
    matrix = InfluenceMatrix(random_matrix(seed, bixels=25))
    weight = rng.uniform(0.5, 1.5, 30) * stiffness
    threshold = matrix.dose(x)[rows] + rng.normal(scale=0.3, size=30)
    bounds = Loss(rows, threshold, np.where(below, 0, weight), np.where(below, weight, 0), voxels=90)

    def gradient(fluence: Any) -> Any:
        _, slope, _ = bounds.derivatives(matrix.dose(fluence))
        return a.T @ (a @ fluence - b) + matrix.adjoint(slope, np.arange(90))

    held = np.where(below, threshold > matrix.dose(x)[rows], threshold < matrix.dose(x)[rows])
    held |= hold_more & (rng.random(30) < 0.5)
    pulls = Pulls(matrix, bounds, matrix.dose(x), np.arange(25), dtype, held=held, reach=np.inf)
    k = random_matrix(seed, bixels=25).toarray()[rows[held]]
    hessian = (a.T @ a + k.T @ (2 * weight[held, None] * k)).astype(dtype)
    end = x + bounded_qp.minimise(hessian, 1e-9, gradient(x) + pulls.slope, x, pulls)
    tolerance = 1e-6 if dtype is np.float64 else 2e-2
    assert (end >= 0).all()
    assert (gradient(end) >= -tolerance).all()
    np.testing.assert_allclose(gradient(end) * end, 0, atol=tolerance)
