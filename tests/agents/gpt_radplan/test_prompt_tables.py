"""What the model reads of the numbers."""

from __future__ import annotations

import re

from made_up_plans import PROTOCOL, parameters, summary, task

from radplan_agents.gpt_radplan import tables
from radplan_agents.gpt_radplan.task import Task

TASK = Task.of(task())


def test_failing_criteria_come_first_with_their_margin() -> None:
    plan = summary(70, {"PTV_7020 CI": -0.1, "Rectum mean": -0.1})
    lines = tables.criteria_table(plan["criteria"], TASK).splitlines()[1:]
    assert len(lines) == len(PROTOCOL.criteria)
    assert re.match(r"FAIL +3 +Rectum mean +27.03 Gy +≤ 24.57 Gy +over by 2.46 Gy$", lines[0])
    assert re.match(r"FAIL +4 +PTV_7020 CI +0.795 +≥ 0.883 +short by 0.088$", lines[1])
    assert all(line.startswith("PASS") for line in lines[2:])


def test_passing_criteria_come_with_the_tightest_first_and_what_is_held_last() -> None:
    plan = summary(90, {"Rectum mean": 0.01, "Bladder D50%": 0.9, "PTV_7020 D95%": 0.0})
    lines = tables.criteria_table(plan["criteria"], TASK).splitlines()[1:]
    assert re.match(r"PASS +3 +Rectum mean +24.32 Gy +≤ 24.57 Gy +0.25 Gy to spare$", lines[0])
    assert re.match(r"PASS +3 +Bladder D50% .* +29.06 Gy to spare$", lines[-2])
    assert re.match(r"PASS +1 +PTV_7020 D95% .* held$", lines[-1])


def test_examples_tell_what_other_patients_reached_where_this_plan_fails() -> None:
    other = summary(95, {"Rectum mean": 0.5})
    other["criteria"] = [criterion for criterion in other["criteria"] if criterion["metric"] != "CI"]
    plan = summary(80, {"Rectum mean": -0.1, "PTV_7020 CI": -0.1})
    lines = tables.criteria_table(plan["criteria"], TASK, [other]).splitlines()
    assert re.search(r"Rectum mean .* over by 2.46 Gy +12.2[89]$", lines[1])
    assert re.search(r"PTV_7020 CI .* short by 0.088 +-$", lines[2])
    assert lines[3].endswith("to spare")


def test_a_criterion_met_by_its_tolerance_does_not_look_broken() -> None:
    plan = summary(90)
    plan["criteria"][1].update(margin=-0.01)
    assert "within tolerance" in tables.criteria_table(plan["criteria"], TASK)


def test_what_passes_is_told_by_structure_with_its_room() -> None:
    plan = summary(70, {"Rectum mean": -0.1, "Rectum V31Gy": 0.394, "PTV_7020 D95%": 0.0})
    lines = tables.room_by_structure(plan["criteria"], TASK).splitlines()
    assert lines[0] == "PTV_7020: DC0.03cc 5, D0.03cc 5, D2% 5, HI 5, CI 5"
    assert lines[1] == "Rectum: D0.03cc 5, V31Gy 39, D25% 5, D8cc 5"


def test_parameters_at_an_end_of_their_range_say_so() -> None:
    lines = tables.parameters_table(parameters(Body=1000, Rectum=0.1), TASK).splitlines()
    assert re.match(r"Body +1000 \(highest\) +30$", lines[-1])
    assert re.match(r"Rectum +0.1 \(lowest\) +0 \(lowest\)$", lines[3])
    assert re.match(r"PTV_7020 +1000 +71$", lines[1])
