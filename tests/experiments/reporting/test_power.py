"""The power of paired comparisons, against SciPy's noncentral t, published sample sizes and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from radplan_experiments.reporting.power import LEVEL, POWER, detectable_difference, patients_needed, power


@pytest.mark.parametrize(("patients", "effect"), [(3, 2.0), (7, 1.0), (11, 0.9), (40, 0.4), (400, 0.1)])
def test_power_is_that_of_the_noncentral_t(patients: int, effect: float) -> None:
    critical = scipy.stats.t.isf(LEVEL / 2, patients - 1)
    noncentral = scipy.stats.nct(patients - 1, effect * math.sqrt(patients))
    expected = noncentral.sf(critical) + scipy.stats.norm.sf(critical + effect * math.sqrt(patients))
    assert power(3 * effect, 3.0, patients) == pytest.approx(expected, abs=2e-3)


def test_without_a_difference_the_power_is_the_level() -> None:
    assert power(0.0, 1.0, 9) == pytest.approx(LEVEL, rel=1e-4)


def test_power_is_the_share_of_simulated_tests_that_find_the_difference() -> None:
    samples = np.random.default_rng(1).normal(1.2, 1.5, (20_000, 11))
    found = scipy.stats.ttest_1samp(samples, 0, axis=1).pvalue < LEVEL
    assert power(1.2, 1.5, 11) == pytest.approx(found.mean(), abs=0.01)


@pytest.mark.parametrize(("effect", "needed"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_patients_needed_are_those_of_published_tables(effect: float, needed: int) -> None:
    """Sample sizes of the paired t-test at 80 % power, two-sided 5 %, as G*Power has them."""
    assert patients_needed(1 / effect) == needed


@settings(max_examples=20, deadline=None)
@given(st.floats(0.2, 5), st.integers(2, 60))
def test_what_is_detectable_has_the_power_and_scales_with_the_deviation(deviation: float, patients: int) -> None:
    difference = detectable_difference(deviation, patients)
    assert power(difference, deviation, patients) == pytest.approx(POWER, abs=1e-6)
    assert detectable_difference(2 * deviation, patients) == pytest.approx(2 * difference)
    assert detectable_difference(deviation, patients + 1) < difference
    assert patients_needed(deviation, difference * (1 + 1e-9)) == patients


def test_one_patient_detects_nothing() -> None:
    assert math.isnan(detectable_difference(1.0, 1))
    assert patients_needed(0.0) == 2
