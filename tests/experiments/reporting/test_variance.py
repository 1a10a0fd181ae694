"""The split of variances, on simulated scores of known variances, against SciPy, and what must not change it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from radplan_experiments.reporting.variance import complete_cases, variances

Array = NDArray[np.float64]
SCORES = st.floats(0, 100)


def by_name(scores: Array) -> dict[str, dict[str, Array]]:
    """Scores of shape (agents, patients, seeds), by names."""
    return {f"agent {i}": {f"case {j}": own for j, own in enumerate(rows)} for i, rows in enumerate(scores)}


def simulated(rng: np.random.Generator, seeds: int) -> dict[str, dict[str, Array]]:
    """Ten agents on 30 patients with the standard deviations 2, 5, 1.5, 1 and 0.7, the parts in their order below."""
    shape = (10, 30, seeds)
    return by_name(
        70
        + rng.normal(0, 5, (1, 30, 1))
        + rng.normal(0, 2, (10, 1, 1))
        + rng.normal(0, 1.5, (10, 30, 1))
        + rng.normal(0, 1, (10, 1, seeds))
        + rng.normal(0, 0.7, shape)
    )


def test_known_variances_are_found_again() -> None:
    rng = np.random.default_rng(0)
    found = [variances(simulated(rng, seeds=3)) for _ in range(200)]
    names = ("patients", "agents", "agents by patients", "seeds on all patients", "seeds on single patients")
    means = {name: np.mean([each.parts[name] for each in found if each is not None]) for name in names}
    assert list(means.values()) == pytest.approx([25, 4, 2.25, 1, 0.49], rel=0.12)


def test_agents_without_chance_play_once() -> None:
    """Half of the agents have a single run: their seeds add nothing, and the means over seeds are what counts."""
    rng = np.random.default_rng(1)
    agents = []
    for _ in range(100):
        scores = simulated(rng, seeds=3)
        for name in list(scores)[:5]:
            scores[name] = {case: np.full(1, own.mean()) for case, own in scores[name].items()}
        found = variances(scores)
        assert found is not None
        agents.append((found.seeds, found.noise))
    assert np.mean(agents, axis=0) == pytest.approx([0.5, 0.245], rel=0.15)


@given(st.lists(st.tuples(SCORES, SCORES), min_size=3, max_size=12))
def test_two_agents_make_the_paired_t_test(pairs: list[tuple[float, float]]) -> None:
    """The deviation is that of the differences, and an agents' share above zero means t² > 1."""
    scores = np.array(pairs).T
    found = variances(by_name(scores[..., None]))
    difference = scores[0] - scores[1]
    assert found is not None
    assert found.deviation == pytest.approx(difference.std(ddof=1), abs=1e-6)
    if found.deviation > 1e-3:
        t = scipy.stats.ttest_rel(*scores).statistic
        assert found.agents == pytest.approx(max(t**2 - 1, 0) * found.interaction / len(pairs), abs=1e-6)


@given(st.integers(0, 99), st.floats(-20, 20), st.floats(0.5, 3))
def test_shares_sum_to_one_and_heed_neither_order_nor_scale(seed: int, shift: float, scale: float) -> None:
    scores = np.random.default_rng(seed).normal(70, 5, (4, 6, 2))
    found, moved = variances(by_name(scores)), variances(by_name(shift + scale * scores[::-1, ::-1]))
    assert found is not None and moved is not None
    assert sum(found.shares.values()) == pytest.approx(1)
    assert moved.shares == pytest.approx(found.shares)
    assert moved.deviation == pytest.approx(scale * found.deviation)
    assert all(share >= 0 for share in found.shares.values())


def test_only_patients_that_all_planned_with_all_seeds_enter() -> None:
    scores: dict[str, Mapping[str, Array]] = dict(by_name(np.random.default_rng(2).normal(70, 5, (3, 5, 2))))
    scores["agent 1"] = {case: own for case, own in scores["agent 1"].items() if case != "case 3"}
    scores["agent 2"] = {**scores["agent 2"], "case 0": np.array([70.0])}
    assert complete_cases(scores) == ["case 1", "case 2", "case 4"]
    found = variances(scores)
    assert found is not None and found.cases == 3


def test_too_little_is_not_split() -> None:
    assert variances(by_name(np.ones((1, 5, 1)))) is None
    assert variances(by_name(np.ones((3, 1, 1)))) is None
    assert variances({}) is None
    same = variances(by_name(np.ones((3, 4, 1))))
    assert same is not None and all(math.isnan(share) for share in same.shares.values())
    assert "seeds on all patients" not in same.parts
