"""Limits are read, refused and turned into bounds on the dose that say the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radplan_env.limits import Limit
from radplan_env.metrics import parse_metric
from radplan_env.parameters import PlanningParameters, StructureParameters

VOXEL_CC = 0.125


@pytest.mark.parametrize(
    ("metric", "value", "bound"),
    [
        ("D25%", 40.0, (25.0, 40.0)),
        ("D5cc", 40.0, (10.0, 40.0)),
        ("D60cc", 40.0, (0.0, 40.0)),
        ("V31Gy", 34.0, (34.0, 31.0)),
        ("max", 40.0, (0.0, 40.0)),
        ("min", 40.0, (100.0, 40.0)),
        ("mean", 40.0, (None, 40.0)),
    ],
)
def test_each_metric_is_a_bound_on_a_dose(metric: str, value: float, bound: tuple[float | None, float]) -> None:
    assert Limit("Rectum", metric, at_most=value).dose_bound(50.0) == bound
    assert Limit("Rectum", metric, at_least=value).dose_bound(50.0) == bound


@given(
    st.lists(st.floats(0, 80), min_size=1, max_size=200),
    st.sampled_from(["D2%", "D50%", "D99%", "D0.03cc", "D8cc", "V31Gy", "V60Gy", "max", "min", "mean"]),
    st.floats(0.5, 80),
    st.booleans(),
)
def test_a_dose_within_the_bound_keeps_the_limit(doses: list[float], metric: str, value: float, at_most: bool) -> None:
    dose = np.array(doses)
    limit = Limit("Rectum", metric, **{"at_most" if at_most else "at_least": value})
    percent, gy = limit.dose_bound(dose.size * VOXEL_CC)
    reached = dose.mean() if percent is None else np.percentile(dose, 100 - percent)
    within = reached < gy * (1 - 1e-9) if at_most else reached > gy * (1 + 1e-9)
    if within:
        measured = parse_metric(metric).evaluate(dose, voxel_cc=VOXEL_CC)
        # V_d counts whole voxels, D_q interpolates between two: they may differ by one.
        one_voxel = 100 / dose.size if metric.startswith("V") else 1e-9
        assert measured <= value + one_voxel if at_most else measured >= value - one_voxel


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ({"metric": "HI", "at_most": 5}, "HI is an index"),
        ({"metric": "V31", "at_most": 5}, "no metric 'V31'"),
        ({"metric": "mean"}, "one of at_most and at_least"),
        ({"metric": "mean", "at_most": 5, "at_least": 4}, "one of at_most and at_least"),
        ({"metric": "mean", "at_most": 0}, "positive number of Gy"),
        ({"metric": "mean", "at_most": float("nan")}, "positive number of Gy"),
        ({"metric": "V31Gy", "at_most": 101}, "at most 100 %"),
        ({"metric": "mean", "at_most": 5, "weight": 1}, "weight"),
    ],
)
def test_what_is_no_limit_is_named(limit: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Limit.from_dict({"structure": "Rectum", **limit})


def test_parameters_keep_their_limits_on_every_way() -> None:
    limits = (Limit("Rectum", "V31.0Gy", at_most=34), Limit("PTV_7020", "D99%", at_least=66.7))
    parameters = PlanningParameters({"Rectum": StructureParameters(5, 0)}, limits=limits)
    assert PlanningParameters.from_dict(parameters.to_dict()) == parameters
    assert parameters.replace("Rectum", weight=7).limits == limits
    assert parameters.to_dict()["limits"][0] == {"structure": "Rectum", "metric": "V31Gy", "at_most": 34}


def test_two_limits_on_one_side_of_a_metric_are_refused() -> None:
    both = (Limit("Rectum", "D2%", at_most=60), Limit("Rectum", "D2%", at_least=10))
    assert PlanningParameters({}, limits=both).limits == both
    with pytest.raises(ValueError, match="same side of Rectum D2%"):
        PlanningParameters({}, limits=(*both, Limit("Rectum", "D2%", at_most=50)))
