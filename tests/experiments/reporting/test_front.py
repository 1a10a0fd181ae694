"""Who is dominated, in which direction, and what the picture shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from radplan_experiments.cohort import UsageError
from radplan_experiments.reporting import front
from radplan_experiments.reporting.front import Metric, Point

CASE = "synthetic/test/0"


def test_dominators_of_known_points() -> None:
    """A staircase, a point behind two of its steps, one level with a step, and a step twice."""
    costs = [(1, 5), (2, 3), (4, 1), (3, 4), (4, 3), (2, 3)]
    by = front.dominators(costs)
    np.testing.assert_array_equal(by, [-1, -1, -1, 1, 1, -1])


@given(arrays(float, st.tuples(st.integers(1, 12), st.integers(2, 3)), elements=st.integers(0, 4)))
def test_dominators_agree_with_the_definition(costs: Any) -> None:
    by = front.dominators(costs)
    for point, dominator in zip(costs, by, strict=True):
        beaten = any((other <= point).all() and (other < point).any() for other in costs)
        assert beaten == (dominator >= 0)
        if beaten:
            assert (costs[dominator] <= point).all() and (costs[dominator] < point).any()
            assert by[dominator] == -1  # by a point of the front


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("Rectum mean", 1),
        ("PTV_7020 D95%", -1),
        ("PTV_7020 DC0.03cc", -1),
        ("PTV_7020 HI", 1),
        ("Rectum D95%", 1),
    ],
)
def test_better_is_higher_for_coverage_and_lower_for_all_else(text: str, sign: int) -> None:
    assert Metric.parse(text).sign == sign


@pytest.mark.parametrize("text", ["Rectum", "mean dose of Rectum", " mean"])
def test_what_is_no_metric_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="'Rectum mean'"):
        Metric.parse(text)


def test_metrics_that_a_plan_lacks_are_named(plan_summary: Callable[..., dict[str, Any]]) -> None:
    plan = plan_summary(80)
    with pytest.raises(UsageError, match="no Bladder; there are PTV_7020, Rectum"):
        Metric.parse("Bladder mean").of(plan)
    with pytest.raises(UsageError, match="Rectum has no D7%; it has mean"):
        Metric.parse("Rectum D7%").of(plan)


def test_plans_compete_within_their_case_whatever_swept_them(plan_summary: Callable[..., dict[str, Any]]) -> None:
    metrics = Metric("Rectum", "mean"), Metric("PTV_7020", "mean")
    points = [
        Point(CASE, "weights", "× 1", plan_summary(80, rectum_mean=20)),
        Point(CASE, "gpt-radplan", "spare the rectum", plan_summary(75, rectum_mean=18)),
        Point("synthetic/test/1", "weights", "× 1", plan_summary(70, rectum_mean=30)),
    ]
    frame = front.frame_of(points, metrics)
    assert frame["dominated by"].tolist() == ["gpt-radplan: spare the rectum", "", ""]
    assert frame["Rectum mean"].tolist() == [20, 18, 30]
    figure = front.draw(frame, metrics, CASE)
    hollow = [line for line in figure.axes[0].lines if line.get_fillstyle() == "none" and len(line.get_xdata())]
    assert [list(line.get_xdata()) for line in hollow] == [[20]]
    assert "Rectum mean [Gy], lower is better" in figure.axes[0].get_xlabel()
