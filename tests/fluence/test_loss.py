"""The loss as a function of the dose: derivatives and the best step along a line."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from radplan_env.fluence.loss import Loss

seeds = st.integers(0, 10_000)


def random_loss(rng: np.random.Generator, voxels: int = 30) -> Loss:
    """Pieces of every kind: one-sided, two-sided, without weight; several on a voxel, none on others."""
    pieces = 40
    return Loss(
        rng.integers(0, voxels - 3, pieces),
        rng.uniform(0, 70, pieces),
        rng.choice([0.0, 1.0, 5.0], pieces),
        rng.choice([0.0, 2.0], pieces),
        voxels,
        constant=3.0,
    )


@settings(max_examples=30)
@given(seeds)
def test_derivatives_are_those_of_the_formula(seed: int) -> None:
    rng = np.random.default_rng(seed)
    loss, dose = random_loss(rng), rng.uniform(0, 80, 30)
    value, slope, curvature = loss.derivatives(dose)
    excess = dose[loss.rows] - loss.threshold
    by_hand = np.where(excess > 0, loss.over, loss.under) * excess**2
    assert value == pytest.approx(3 + by_hand.sum())
    numeric = optimize.approx_fprime(dose, lambda d: loss.derivatives(d)[0], 1e-6)
    np.testing.assert_allclose(slope, numeric, atol=2e-2)
    assert ((curvature == 0) <= (slope == 0)).all()


@settings(max_examples=50)
@given(seeds, st.floats(0.1, 20))
def test_no_other_step_along_the_line_is_better(seed: int, longest: float) -> None:
    rng = np.random.default_rng(seed)
    loss, dose, direction = random_loss(rng), rng.uniform(0, 80, 30), rng.normal(size=30) * 10
    step = loss.best_step(dose, direction, longest)
    assert 0 <= step <= longest
    best = loss.derivatives(dose + step * direction)[0]
    others = [loss.derivatives(dose + other * direction)[0] for other in np.linspace(0, longest, 200)]
    assert best <= min(others) * (1 + 1e-6)


@settings(max_examples=30)
@given(seeds)
def test_voxels_not_near_add_nothing_to_the_loss(seed: int) -> None:
    rng = np.random.default_rng(seed)
    loss, dose = random_loss(rng), rng.uniform(0, 80, 30)
    near = np.flatnonzero(loss.near(dose, 0.0))
    assert loss.on(near).derivatives(dose[near])[0] == pytest.approx(loss.derivatives(dose)[0])
    assert (loss.near(dose, 0.5) >= loss.near(dose, 0.0)).all()
