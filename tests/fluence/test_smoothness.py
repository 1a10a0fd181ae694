"""The penalty on rough fluences: against least squares and IPOPT, and what it does to a plan."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import optimize, sparse
from solving import solve

from radplan_env.fluence import DoseConstraint, Smoothness, Term


def problem(seed: int, voxels: int = 60, bixels: int = 12) -> tuple[sparse.csr_array, list[NDArray[np.int64]]]:
    rng = np.random.default_rng(seed)
    dense = rng.uniform(0, 1, (voxels, bixels)) * (rng.uniform(size=(voxels, bixels)) < 0.4)
    dense[np.arange(bixels), np.arange(bixels)] += 0.5
    rows = np.split(rng.permutation(voxels), [voxels // 3, 2 * voxels // 3])
    return sparse.csr_array(dense.astype(np.float32)), [np.sort(part) for part in rows]


def chain(weight: float, bixels: int = 12, gy_per_fluence: float = 2.0) -> Smoothness:
    """Each bixel beside the next."""
    return Smoothness(weight, np.column_stack([np.arange(bixels - 1), np.arange(1, bixels)]), gy_per_fluence, bixels)


def test_two_bixels_have_the_answer_of_school_algebra() -> None:
    # (x0 - 10)² / 2 + x1² / 2 + w (x0 - x1)²: x0 - x1 = 10 / (1 + 4w), x0 + x1 = 10
    terms = [Term("PTV", np.array([0]), 0.5, 10, False), Term("Rectum", np.array([1]), 0.5, 0, True)]
    smooth = Smoothness(3.0, np.array([[0, 1]]), 1.0, 2)
    solution = solve(sparse.csr_array(np.eye(2, dtype=np.float32)), terms, smoothness=smooth)
    difference = 10 / 13
    assert solution.fluence == pytest.approx([5 + difference / 2, 5 - difference / 2], rel=1e-5)
    assert solution.roughness == pytest.approx(3 * difference**2, rel=1e-4)


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.floats(0.01, 100))
def test_with_organs_at_zero_gy_it_is_a_non_negative_least_squares_problem(seed: int, weight: float) -> None:
    matrix, rows = problem(seed)
    terms = [
        Term("PTV", rows[0], 1, 60, one_sided=False),
        Term("Rectum", np.concatenate(rows[1:]), 0.3, 0, one_sided=True),
    ]
    smooth = chain(weight)
    stacked = [matrix.toarray()[t.rows] * np.sqrt(t.weight / t.rows.size) for t in terms]
    aim = [np.full(t.rows.size, t.dose_gy * np.sqrt(t.weight / t.rows.size)) for t in terms]
    differences = np.diff(np.eye(12), axis=0) * smooth.gy_per_fluence * np.sqrt(weight / 11)
    _, residual = optimize.nnls(np.vstack([*stacked, differences]), np.concatenate([*aim, np.zeros(11)]))
    solution = solve(matrix, terms, smoothness=smooth)
    assert solution.objective == pytest.approx(residual**2, rel=1e-4, abs=1e-6)
    assert solution.converged


@pytest.mark.parametrize("seed", range(3))
def test_ipopt_agrees(seed: int) -> None:
    pytest.importorskip("ipyopt")
    matrix, rows = problem(seed)
    terms = [
        Term("PTV", rows[0], 10, 60, one_sided=False),
        Term("Rectum", rows[1], 2, 10, one_sided=True),
        Term("Body", rows[2], 3, 25, one_sided=True),
    ]
    held = [DoseConstraint("PTV", rows[0], "=", 60)]
    ours, theirs = (solve(matrix, terms, held, backend=name, smoothness=chain(5.0)) for name in ("newton", "ipopt"))
    assert theirs.objective == pytest.approx(ours.objective, rel=1e-3)
    assert theirs.constraints[0].met and ours.constraints[0].met


def test_the_larger_problems_solved_in_single_precision_agree_with_lbfgsb() -> None:
    bixels, voxels = 1100, 2000
    rng = np.random.default_rng(0)
    k = sparse.random_array((voxels, bixels), density=0.03, random_state=1, dtype=np.float32).tocsr()
    rows = np.split(rng.permutation(voxels), [500, 1000])
    terms = [
        Term("PTV", np.sort(rows[0]), 10, 60, one_sided=False),
        Term("Rectum", np.sort(rows[1]), 2, 10, one_sided=True),
        Term("Body", np.sort(rows[2]), 3, 40, one_sided=True),
    ]
    smooth = chain(20.0, bixels)
    solution = solve(sparse.csr_array(k), terms, smoothness=smooth)

    def value_and_gradient(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        value = float(np.mean((smooth.gy_per_fluence * np.diff(x)) ** 2)) * smooth.weight
        gradient = smooth.gradient(x)
        dose = k @ x
        for term in terms:
            excess = dose[term.rows] - term.dose_gy
            excess = np.maximum(excess, 0) if term.one_sided else excess
            value += term.weight * float(np.mean(excess**2))
            gradient = gradient + 2 * term.weight / term.rows.size * (k[term.rows].T @ excess)
        return value, gradient

    peer = optimize.minimize(
        value_and_gradient,
        solution.fluence,
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, None)] * bixels,
        options={"maxiter": 2000, "maxfun": 4000},
    )
    assert solution.converged
    assert solution.objective == pytest.approx(value_and_gradient(solution.fluence)[0], rel=1e-6)
    assert solution.objective <= peer.fun * (1 + 1.5e-3)


def test_more_weight_makes_a_smoother_fluence_and_a_worse_dose() -> None:
    matrix, rows = problem(4)
    terms = [Term("PTV", rows[0], 10, 60, one_sided=False), Term("Body", rows[2], 3, 25, one_sided=True)]
    solutions = [solve(matrix, terms, smoothness=chain(weight)) for weight in (0.01, 1.0, 100.0)]
    rough = [float(np.mean(np.diff(solution.fluence) ** 2)) for solution in solutions]
    eq1 = [sum(solution.objective_by_structure.values()) for solution in solutions]
    assert rough == sorted(rough, reverse=True)
    assert eq1 == sorted(eq1)
