"""What the DVH expert reports: its judgement, and the figures of code."""

from __future__ import annotations

import pytest
from made_up_plans import summary
from pydantic import ValidationError

from agents.gpt_radplan.dvh_report import report_on


def test_the_figures_are_those_of_the_plan_whatever_the_expert_thinks() -> None:
    plan = summary(80, {"Rectum mean": 0.01, "Bladder D50%": 0.9})
    form = report_on(["Rectum mean", "Bladder D50%"])
    report = form(tight=["Bladder D50%"], room=["Rectum mean"], remark="Rectum mean fails by 9 Gy. ")
    assert report.text(plan["criteria"]).splitlines() == [
        "Tight: Bladder D50% (29.06 Gy to spare)",
        "Room: Rectum mean (0.25 Gy to spare)",
        "Rectum mean fails by 9 Gy.",
    ]
    nothing = form(tight=[], room=[], remark="-").text(plan["criteria"])
    assert nothing.splitlines()[:2] == ["Tight: nothing", "Room: nothing"]


def test_only_what_is_met_may_be_named() -> None:
    with pytest.raises(ValidationError):
        report_on(["Rectum mean"])(tight=["PTV_7020 CI"], room=[], remark="-")
