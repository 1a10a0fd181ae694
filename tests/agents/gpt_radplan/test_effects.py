"""The arithmetic that the model is spared."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from made_up_plans import summary

from radplan_agents.gpt_radplan.effects import outcomes


@pytest.mark.parametrize(
    ("margin", "predicted", "came_true"),
    [(0.1, "better", True), (0.1, "worse", False), (0.0, "worse", True), (0.05, "better", False)],
)
def test_a_prediction_comes_true_if_the_criterion_goes_that_way(margin: float, predicted: str, came_true: bool) -> None:
    said = [SimpleNamespace(criterion="Rectum mean", effect=predicted)]
    (outcome,) = outcomes(said, summary(80), summary(80, {"Rectum mean": margin}))
    assert outcome.came_true is came_true
