"""Scaling to coverage: exact where it was made, right in slope, and blind to the units."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radplan_env.delivery.coverage import Coverage
from radplan_env.fluence import DoseConstraint

ROWS = np.arange(20, 320)


def target(seed: int) -> DoseConstraint:
    volumes = np.random.default_rng(seed).uniform(0.5, 2.0, ROWS.size)
    return DoseConstraint("PTV", ROWS, "=", 70.0, volumes_cc=volumes)


def dose(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(60.0, 3.0, 400)


@given(seed=st.integers(0, 99), units=st.floats(0.1, 10.0))
def test_a_dose_is_scaled_to_cover_whatever_its_units(seed: int, units: float) -> None:
    held, given_dose = target(seed), dose(seed)
    coverage = Coverage.near(held, given_dose)
    factor, _ = coverage.factor(units * given_dose)
    assert held.achieved_gy(factor * units * given_dose) == pytest.approx(70.0, rel=1e-9)


def test_slopes_are_those_of_finite_differences() -> None:
    coverage, at, step = Coverage.near(target(0), dose(0)), dose(1), 1e-5
    _, slope = coverage.factor(at)
    direction = np.random.default_rng(2).normal(size=at.size)
    ahead, behind = (coverage.factor(at + sign * step * direction)[0] for sign in (1, -1))
    assert slope @ direction == pytest.approx((ahead - behind) / (2 * step), rel=1e-6)
    assert not slope[: ROWS[0]].any()


def test_no_dose_is_left_as_it_is() -> None:
    factor, slope = Coverage.near(target(0), np.zeros(400)).factor(np.zeros(400))
    assert factor == 1.0
    assert not slope.any()
