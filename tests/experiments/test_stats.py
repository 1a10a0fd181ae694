"""Bootstrap intervals, against what theory says of them."""

from __future__ import annotations

import numpy as np

from experiments.stats import bootstrap_interval


def test_interval_is_near_the_normal_one_for_many_cases() -> None:
    values = np.random.default_rng(1).normal(5, 2, 400)
    low, high = bootstrap_interval(values)
    half = 1.96 * values.std() / np.sqrt(len(values))
    np.testing.assert_allclose([low, high], [values.mean() - half, values.mean() + half], atol=0.03)


def test_interval_holds_the_mean_and_is_reproducible() -> None:
    values = np.random.default_rng(2).normal(size=(11, 4))
    low, high = bootstrap_interval(values)
    assert low.shape == (4,)
    assert np.all((low < values.mean(axis=0)) & (values.mean(axis=0) < high))
    np.testing.assert_array_equal(bootstrap_interval(values), [low, high])


def test_one_case_has_no_interval() -> None:
    assert np.isnan(bootstrap_interval([3.0])).all()
