"""What the DVH expert reports: its judgement, and the figures of code."""

from __future__ import annotations

import pytest
from made_up_plans import summary, task
from pydantic import ValidationError

from radplan_agents.gpt_radplan.small.dvh_report import report_on
from radplan_agents.gpt_radplan.task import Task

TASK = Task.of(task())


def test_the_figures_are_those_of_the_plan_whatever_the_expert_thinks() -> None:
    plan = summary(80, {"Rectum mean": 0.01, "Bladder D50%": 0.9})
    form = report_on(plan["criteria"], TASK)
    report = form(tight=["Rectum mean", "Rectum mean"], room=["Bladder D50%"], remark="Rectum mean fails by 9 Gy. ")
    assert report.text(plan["criteria"]).splitlines() == [
        "Tight: Rectum mean (0.25 Gy to spare)",
        "Room: Bladder D50% (29.06 Gy to spare)",
        "Rectum mean fails by 9 Gy.",
    ]
    nothing = form(tight=[], room=[], remark="-").text(plan["criteria"])
    assert nothing.splitlines()[:2] == ["Tight: nothing", "Room: nothing"]


@pytest.mark.parametrize(
    ("tight", "room"),
    [
        (["PTV_7020 CI"], []),  # it fails
        (["PTV_7020 D95%"], []),  # it is held
        (["Bladder D50%"], []),
        ([], ["Rectum mean"]),
    ],
)
def test_what_is_tight_and_what_has_room_is_arithmetic(tight: list[str], room: list[str]) -> None:
    plan = summary(80, {"Rectum mean": 0.01, "Bladder D50%": 0.9, "PTV_7020 CI": -0.1})
    with pytest.raises(ValidationError):
        report_on(plan["criteria"], TASK)(tight=tight, room=room, remark="-")
