"""What differs between two plans, and what that did."""

from __future__ import annotations

import pytest
from made_up_plans import parameters, summary

from radplan_agents.plan_changes import changes, limit_changes, limits_held, movements, noticeable, plan_changes


def test_what_moved_and_which_way_is_good() -> None:
    before = summary(80, {"Rectum V31Gy": -0.10, "PTV_7020 CI": 0.05})
    moved = movements(before, summary(82, {"Rectum V31Gy": 0.10, "PTV_7020 CI": -0.05}))
    rectum, ci = moved["Rectum V31Gy"], moved["PTV_7020 CI"]
    assert rectum.change == pytest.approx(-0.2 * 34)  # less of the rectum is better
    assert ci.change == pytest.approx(-0.1 * 0.883)  # less conformity is worse
    assert (rectum.effect, ci.effect) == ("better", "worse")
    assert (str(rectum), str(ci)) == ("Rectum V31Gy -6.8 % (now PASS)", "PTV_7020 CI -0.088 (now FAIL)")
    assert moved["Bladder D50%"].effect is None


def test_only_what_is_worth_it_is_told_the_largest_first() -> None:
    after = summary(80, {"Rectum mean": 0.07, "Rectum D25%": -0.10, "Bladder D50%": 0.055})
    assert [m.criterion for m in noticeable(movements(summary(80), after))] == ["Rectum D25%", "Rectum mean"]


def test_changes_of_weight_and_dose_are_told() -> None:
    after = parameters(Rectum=12.5)
    after["Body"] = {**after["Body"], "objective_dose_gy": 24.5}
    assert changes(parameters(), after) == ["Rectum weight 5 → 12.5", "Body objective dose 30 → 24.5 Gy"]


def test_what_plans_were_made_with_is_told_whole() -> None:
    before = summary()
    after = {
        **summary(chosen=parameters(Rectum=10)),
        "smoothness": 12.0,
        "limits": [{"structure": "Rectum", "metric": "D8cc", "at_most": 68.0}],
        "gantry_angles_deg": [0.0, 90.0, 202.5],
    }
    before["gantry_angles_deg"] = [10.0, 100.0, 212.5]
    assert plan_changes(before, before) == []
    assert plan_changes(before, after) == [
        "Rectum weight 5 → 10",
        "Fluence smoothness 3 → 12",
        "limit Rectum D8cc ≤ 68 Gy",
        "Gantry angles 10, 100, 212.5° → 0, 90, 202.5°",
    ]


def test_limits_that_came_moved_and_went_are_told() -> None:
    rectum, spared = (
        {"structure": "Rectum", "metric": "D8cc", "at_most": 68.0},
        {"structure": "Bladder", "metric": "V65Gy"},
    )
    before = {"limits": [rectum, spared | {"at_most": 15.0}]}
    after = {"limits": [rectum | {"at_most": 66.5}, {"structure": "PTV_7020", "metric": "CI", "at_least": 0.9}]}
    assert limits_held(before) == ["Rectum D8cc ≤ 68 Gy", "Bladder V65Gy ≤ 15 %"]
    assert limit_changes(before, before) == []
    assert limit_changes(before, after) == [
        "limit Rectum D8cc ≤ 66.5 Gy",
        "limit PTV_7020 CI ≥ 0.9",
        "no limit Bladder V65Gy",
    ]
