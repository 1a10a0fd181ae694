"""Statistics against SciPy, against rliable, against what theory says, and on data with known answers."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from radplan_experiments.reporting import stats

Array = NDArray[np.float64]

SCORES = st.floats(0, 100)
RAGGED = st.lists(st.lists(SCORES, min_size=1, max_size=4), min_size=1, max_size=6)
STATISTICS = (stats.interquartile_mean, stats.mean, stats.median)

# 11 cases × 3 seeds of two agents, and what rliable 1.2.0 says of them:
# rng = np.random.default_rng(0); X, Y = (np.round(rng.normal(m, 3, (3, 11)), 1) for m in (90, 89))
# metrics.aggregate_iqm(X), aggregate_mean, aggregate_median; probability_of_improvement(X, Y)
RNG = np.random.default_rng(0)
X, Y = (np.round(RNG.normal(mean, 3, (3, 11)), 1).T for mean in (90, 89))
RLIABLE = {"interquartile_mean": 89.46470588235293, "mean": 89.54242424242425, "median": 89.33333333333333}
RLIABLE_IMPROVEMENT = 0.4191919191919192
# library.get_interval_estimates({"x": X}, …, reps=4000): it heeds no seed, the ends vary by some hundredths
RLIABLE_OVER_SEEDS = {"interquartile_mean": (88.81, 90.16), "mean": (88.85, 90.22), "median": (88.5, 90.3)}


@pytest.mark.parametrize("statistic", STATISTICS)
def test_statistics_are_those_of_rliable(statistic: Callable[[Array], Array]) -> None:
    assert float(statistic(X)) == pytest.approx(RLIABLE[statistic.__name__], rel=1e-12)
    plain = np.quantile(stats.resample_seeds(list(X), statistic), [0.025, 0.975])
    np.testing.assert_allclose(plain, RLIABLE_OVER_SEEDS[statistic.__name__], atol=0.1)


def test_probability_of_improvement_is_that_of_rliable() -> None:
    assert stats.probability_of_improvement(X, Y).mean() == pytest.approx(RLIABLE_IMPROVEMENT, rel=1e-12)


def test_rliable_agrees_today() -> None:
    metrics = pytest.importorskip("rliable.metrics", reason="rliable is not installed")
    scores = np.random.default_rng(3).normal(size=(5, 8))
    assert float(stats.interquartile_mean(scores.T)) == pytest.approx(metrics.aggregate_iqm(scores))
    assert float(stats.median(scores.T)) == pytest.approx(metrics.aggregate_median(scores))


@given(RAGGED)
def test_interquartile_mean_is_the_trimmed_mean_between_the_extremes(runs: list[list[float]]) -> None:
    matrix = stats.balanced(runs)
    value = float(stats.interquartile_mean(matrix))
    assert value == pytest.approx(scipy.stats.trim_mean(matrix, 0.25, axis=None))
    assert matrix.min() - 1e-9 <= value <= matrix.max() + 1e-9


def test_outliers_do_not_move_the_interquartile_mean() -> None:
    assert float(stats.interquartile_mean(np.array([[0.0], [90], [92], [94], [96], [98], [100], [100]]))) == 95


@given(RAGGED)
def test_every_case_weighs_the_same_however_often_it_was_played(runs: list[list[float]]) -> None:
    matrix = stats.balanced(runs)
    np.testing.assert_allclose(matrix.mean(axis=1), [np.mean(own) for own in runs])
    assert float(stats.mean(matrix)) == pytest.approx(np.mean([np.mean(own) for own in runs]))


@given(RAGGED, st.data())
def test_of_two_one_improves_on_the_other(ours: list[list[float]], data: st.DataObject) -> None:
    theirs = data.draw(st.lists(st.lists(SCORES, min_size=1, max_size=4), min_size=len(ours), max_size=len(ours)))
    there, back = stats.probability_of_improvement(ours, theirs), stats.probability_of_improvement(theirs, ours)
    np.testing.assert_allclose(there + back, 1)
    assert np.all((there >= 0) & (there <= 1))
    np.testing.assert_allclose(stats.probability_of_improvement(ours, ours), 0.5)


def test_improvement_counts_pairs_of_seeds_and_ties_half() -> None:
    found = stats.probability_of_improvement([[1, 2], [5], [3]], [[1, 1], [4], [3]])
    np.testing.assert_allclose(found, [0.75, 1, 0.5])  # 1 = 1, 1 = 1, 2 > 1, 2 > 1; 5 > 4; 3 = 3


@pytest.mark.parametrize(("won", "cases"), [(0, 3), (3, 3), (11, 11), (7, 11)])
def test_share_interval_is_wilsons(won: int, cases: int) -> None:
    expected = scipy.stats.binomtest(won, cases).proportion_ci(method="wilson")
    shares = np.repeat([1.0, 0.0], [won, cases - won])
    np.testing.assert_allclose(stats.share_interval(shares), [expected.low, expected.high], atol=1e-12)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_share_interval_holds_the_share_and_is_mirrored(shares: list[float]) -> None:
    low, high = stats.share_interval(shares)
    assert 0 <= low <= np.mean(shares) + 1e-9 and np.mean(shares) - 1e-9 <= high <= 1
    np.testing.assert_allclose(stats.share_interval(1 - np.array(shares)), [1 - high, 1 - low], atol=1e-9)


def test_one_case_has_no_interval() -> None:
    assert np.isnan(stats.share_interval([1.0])).all()
    assert np.isnan(stats.interval_over_cases([80.0])).all()


@pytest.mark.parametrize("cases", [8, 12, 400])
def test_interval_of_the_mean_is_students_where_values_are_normal(cases: int) -> None:
    values = scipy.stats.norm.ppf((np.arange(cases) + 0.5) / cases)
    student = scipy.stats.ttest_1samp(values, 0).confidence_interval()
    assert 0.95 < np.ptp(stats.interval_over_cases(values)) / (student.high - student.low) < 1.02


def test_interval_over_cases_covers_at_its_level() -> None:
    """Eleven cases, three seeds, as a suite has, where the plain percentiles of the bootstrap fall short."""
    rng = np.random.default_rng(2)
    drawn = rng.normal(0, 2, (300, 11, 1)) + rng.normal(0, 1, (300, 11, 3))
    for statistic in (stats.mean, stats.interquartile_mean):
        ends = [stats.interval_over_cases(scores, statistic) for scores in drawn]
        assert 0.92 <= np.mean([low <= 0 <= high for low, high in ends]) <= 0.99
    resamples = rng.integers(11, size=(1000, 11))
    plain = [np.quantile(stats.mean(scores[resamples]), [0.025, 0.975]) for scores in drawn]
    assert np.mean([low <= 0 <= high for low, high in plain]) < 0.92


def test_interval_over_seeds_covers_at_its_level() -> None:
    """The cases stay as they are, however different: only the seeds are drawn anew."""
    rng = np.random.default_rng(3)
    cases = rng.normal(0, 20, (6, 1))
    drawn = cases + rng.normal(0, 1, (300, 6, 3))
    ends = [stats.interval_over_seeds(list(scores), stats.mean) for scores in drawn]
    assert 0.92 <= np.mean([low <= cases.mean() <= high for low, high in ends]) <= 0.98
    assert np.ptp(ends[0]) < 3


def test_two_cases_say_as_little_as_students_t_has_it() -> None:
    values = np.array([[90.0], [92.0]])
    low, high = stats.interval_over_cases(values, stats.mean)
    student = scipy.stats.ttest_1samp(values.ravel(), 0).confidence_interval()
    assert high - low > 0.7 * (student.high - student.low)
    np.testing.assert_array_equal(stats.interval_over_cases(values, stats.mean, bounds=(88, 92.5)), [88, 92.5])


def test_interval_holds_the_mean_narrows_with_the_cases_and_is_reproducible() -> None:
    values = np.random.default_rng(2).normal(size=(44, 4))
    low, high = stats.interval_over_cases(values)
    assert low.shape == (4,)
    assert np.all((low < values.mean(axis=0)) & (values.mean(axis=0) < high))
    np.testing.assert_array_equal(stats.interval_over_cases(values), [low, high])
    widths = [np.ptp(stats.interval_over_cases(np.tile([0.0, 1.0], n))) for n in (2, 5, 20, 80)]
    assert all(wide > narrow for wide, narrow in pairwise(widths))


def test_the_same_whether_resamples_fit_into_memory_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = stats.interval_over_cases(X, stats.interquartile_mean)
    monkeypatch.setattr(stats, "CHUNK", 1000)
    np.testing.assert_array_equal(stats.interval_over_cases(X, stats.interquartile_mean), whole)


def test_ragged_runs_resample_each_case_by_itself() -> None:
    """A case with one seed has no noise of its own, and is no other's."""
    resampled = stats.resample_seeds([np.array([0.0]), np.array([10.0, 20.0])], stats.mean)
    assert set(resampled) == {5.0, 7.5, 10.0}


def test_one_case_or_one_seed_has_no_interval() -> None:
    assert np.isnan(stats.interval_over_cases([3.0])).all()
    assert np.isnan(stats.interval_over_seeds([[1.0], [2.0]])).all()
