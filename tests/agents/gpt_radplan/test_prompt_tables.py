"""What the model reads of the numbers."""

from __future__ import annotations

import re

from made_up_plans import PROTOCOL, parameters, summary, task

from agents.gpt_radplan import tables
from agents.gpt_radplan.task import Task


def test_failing_criteria_come_first_with_their_margin() -> None:
    plan = summary(70, {"PTV_7020 CI": -0.1, "Rectum mean": -0.1})
    lines = tables.criteria_table(plan["criteria"]).splitlines()[1:]
    assert len(lines) == len(PROTOCOL.criteria)
    assert re.match(r"FAIL +3 +Rectum mean +27.03 Gy +≤ 24.57 Gy +-2.46$", lines[0])
    assert re.match(r"FAIL +4 +PTV_7020 CI +0.795 +≥ 0.883 +-0.088$", lines[1])
    assert all(line.startswith("PASS") for line in lines[2:])


def test_a_criterion_met_by_its_tolerance_does_not_look_broken() -> None:
    plan = summary(90)
    plan["criteria"][0].update(margin=-0.01)
    assert "within tolerance" in tables.criteria_table(plan["criteria"])


def test_what_passes_is_told_by_structure_with_its_room() -> None:
    plan = summary(70, {"Rectum mean": -0.1, "Rectum V31Gy": 0.394, "PTV_7020 D95%": 0.0})
    lines = tables.room_by_structure(plan["criteria"]).splitlines()
    assert lines[0] == "PTV_7020: D95% 0, D0.03cc 5, D2% 5, HI 5, CI 5"
    assert lines[1] == "Rectum: D0.03cc 5, V31Gy 39, D25% 5, D8cc 5"


def test_parameters_at_an_end_of_their_range_say_so() -> None:
    lines = tables.parameters_table(parameters(Body=1000, Rectum=0.1), Task.of(task())).splitlines()
    assert re.match(r"Body +1000 \(highest\) +30$", lines[-1])
    assert re.match(r"Rectum +0.1 \(lowest\) +0 \(lowest\)$", lines[3])
    assert re.match(r"PTV_7020 +1000 +71$", lines[1])
