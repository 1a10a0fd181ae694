"""Decisions of many comparisons: what intervals show, and that chance seldom shows anything."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radplan_experiments.reporting import stats
from radplan_experiments.reporting.equivalence import EQUIVALENT, decide, decisions

REVERSED = {"better": "worse", "worse": "better", "equivalent": "equivalent", "undecided": "undecided"}


@pytest.mark.parametrize(
    ("low", "high", "decision"),
    [
        (0.6, 2.0, "better"),
        (-3.0, -0.7, "worse"),
        (-0.4, 0.5, "equivalent"),
        (0.1, 0.4, "equivalent"),
        (0.2, 0.8, "undecided"),
        (-4.0, 4.0, "undecided"),
        (math.nan, math.nan, "undecided"),
    ],
)
def test_an_interval_decides_by_where_it_lies(low: float, high: float, decision: str) -> None:
    assert decide(low, high) == decision


@settings(max_examples=20)
@given(st.integers(0, 999))
def test_turned_round_they_are_turned_round(seed: int) -> None:
    each = list(np.random.default_rng(seed).normal([[0], [0.3], [1], [2]], [[0.2], [1], [1], [0.7]], (4, 9)))
    assert decisions([-own for own in each]) == [REVERSED[decision] for decision in decisions(each)]


def test_more_comparisons_decide_less_and_never_otherwise() -> None:
    rng = np.random.default_rng(0)
    each = [rng.normal(mean, 1, 20) for mean in (0.0, 0.8, 1.2, 1.6, -1.3, 3.0)]
    alone = [decisions([own])[0] for own in each]
    together = decisions(each)
    assert all(many in (one, "undecided") for one, many in zip(alone, together, strict=True))
    assert together[-1] == "better"


def test_easy_ones_make_room_for_the_next() -> None:
    """Holm's step-down: a comparison that would not hold among three is decided once the two clear ones are."""
    rng = np.random.default_rng(3)
    clear = [rng.normal(9, 0.5, 12) for _ in range(2)]
    levels = (1 - 0.05 / 3, 0.95)
    for scale in np.linspace(0.5, 3, 200):
        close = scale * rng.normal(1.2, 1, 12)
        strict, plain = (decide(*map(float, stats.interval_over_cases(close, level=level))) for level in levels)
        if (strict, plain) == ("undecided", "better"):
            assert decisions([*clear, close]) == ["better", "better", "better"]
            return
    pytest.fail("no comparison lies between the two levels")


def test_equal_agents_are_seldom_called_better() -> None:
    """60 runs of ten comparisons at the edge of equivalence: in about 5 % of them or fewer is any called better."""
    rng = np.random.default_rng(4)
    wrong = sum("better" in decisions(list(rng.normal(EQUIVALENT, 1.5, (10, 12)))) for _ in range(60))
    assert wrong <= 60 * 0.05 + 3 * math.sqrt(60 * 0.05 * 0.95)


def test_agents_of_the_same_plans_are_equivalent_and_few_patients_decide_nothing() -> None:
    assert decisions([np.zeros(6), np.full(6, 2.0), np.full(6, -2.0)]) == ["equivalent", "better", "worse"]
    assert decisions([np.zeros(5), np.full(5, 2.0)]) == ["undecided"] * 2
