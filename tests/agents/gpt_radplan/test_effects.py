"""The arithmetic that the model is spared."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from made_up_plans import parameters, summary

from agents.gpt_radplan.effects import changes, movements, noticeable, outcomes


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


@pytest.mark.parametrize(
    ("margin", "predicted", "came_true"),
    [(0.1, "better", True), (0.1, "worse", False), (0.0, "worse", True), (0.05, "better", False)],
)
def test_a_prediction_comes_true_if_the_criterion_goes_that_way(margin: float, predicted: str, came_true: bool) -> None:
    said = [SimpleNamespace(criterion="Rectum mean", effect=predicted)]
    (outcome,) = outcomes(said, summary(80), summary(80, {"Rectum mean": margin}))
    assert outcome.came_true is came_true
