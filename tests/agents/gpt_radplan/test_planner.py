"""What the planner of the small forms may propose, and what becomes of a proposal that it may not make."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_plans import START, parameters, summary, task
from scripted_replies import change, proposal

from radplan_agents.gpt_radplan.memory import Memory, Step
from radplan_agents.gpt_radplan.options import Options
from radplan_agents.gpt_radplan.small.planner import SmallPlanner
from radplan_agents.gpt_radplan.task import Task
from radplan_agents.llm import Failed, MockClient, Reply, Session

TASK = Task.of(task())


def proposed(*script: Any, memory: Memory | None = None) -> tuple[Any, Session, MockClient]:
    """What the planner makes of these replies, by default after the start parameters alone."""
    if memory is None:
        memory = Memory(3)
        memory.add(Step(1, summary()))
    client = MockClient(script)
    session = Session(client)
    desk: Any = None  # the forms need none
    answer = SmallPlanner(session, TASK, Options(forms="small"), (), desk).propose(memory, None, "")
    return answer, session, client


def offered(client: MockClient) -> Any:
    """What the schema of the first request says of each part of a proposal."""
    schema = client.requests[0].json_schema
    assert schema is not None
    return schema["properties"]


FAULTY = {
    "unknown_structure": proposal(change("Heart")),
    "unknown_criterion": proposal(change(), predictions=[{"criterion": "Heart mean", "effect": "better"}]),
    "unknown_start": proposal(change(), start_from="best"),  # there is one plan only
    "unknown_lever": proposal(change(direction="sideways")),
    "stopped_too_soon": proposal(action="stop"),  # nothing was tried yet
    "not_finite": proposal(change(amount=float("nan"))),
    "out_of_bounds": proposal(change(amount=50)),
    "changed_twice": proposal(change("Body"), change("Body", direction="lower")),
    "no_change": proposal(change("Rectum", parameter="objective_dose", direction="lower")),  # it is 0 already
    "wrong_schema": proposal(change(), notes="extra"),
    "no_json": "Raise the weight of Body.",
    "empty": " ",
    "refused": Reply(text="", refusal="I give no medical advice."),
    "truncated": Reply(text=proposal(change())[:40], finish_reason="length"),
}


@pytest.mark.parametrize("fault", FAULTY)
def test_an_answer_that_cannot_be_used_is_named(fault: str) -> None:
    answer, session, _ = proposed(*[FAULTY[fault]] * 3)
    assert isinstance(answer, Failed)
    assert session.record()["faults"] == {fault: 3}


@pytest.mark.parametrize(
    ("amount", "fault"),
    [
        (-2.0, "out_of_bounds"),
        (0.0, "out_of_bounds"),
        (0.9, "out_of_bounds"),
        (1.0, "no_change"),
        (5.01, "out_of_bounds"),
    ],
)
def test_a_weight_moves_by_a_factor_between_one_and_five(amount: float, fault: str) -> None:
    _, session, _ = proposed(*[proposal(change(amount=amount))] * 3)
    assert session.record()["faults"] == {fault: 3}


def test_a_factor_of_one_beside_other_changes_changes_nothing() -> None:
    answer, session, _ = proposed(proposal(change("Rectum", direction="lower", amount=1), change("Body", amount=2)))
    assert answer.parameters == parameters(Body=200)
    assert session.record()["faults"] == {}


@pytest.mark.parametrize("amount", [2.0, 0.5])
def test_a_weight_is_halved_by_a_factor_of_two_or_of_one_half(amount: float) -> None:
    answer, session, _ = proposed(proposal(change("Rectum", direction="lower", amount=amount)))
    assert answer.parameters == parameters(Rectum=START["Rectum"]["weight"] / 2)
    assert session.record()["faults"] == {}


@pytest.mark.parametrize(("direction", "amount"), [("raise", 0.5), ("lower", 0.19)])
def test_a_factor_that_means_the_opposite_or_too_much_is_refused(direction: str, amount: float) -> None:
    _, session, _ = proposed(*[proposal(change(direction=direction, amount=amount))] * 3)
    assert session.record()["faults"] == {"out_of_bounds": 3}


def test_a_mistake_may_be_mended() -> None:
    answer, session, client = proposed(FAULTY["out_of_bounds"], proposal(change(amount=5)))
    assert answer.parameters == parameters(Body=500)
    assert session.record()["faults"] == {"out_of_bounds": 1}
    assert "between 1 and 5" in client.requests[1].messages[-1].text


def test_both_parameters_of_several_structures_may_move() -> None:
    changes = [
        change("Rectum", direction="lower", amount=4),
        change("Rectum", parameter="objective_dose", amount=12.5),
        change("Femur_Head_L", parameter="objective_dose", direction="lower", amount=7),
    ]
    after = proposed(proposal(*changes))[0].parameters
    assert after["Rectum"] == {"weight": START["Rectum"]["weight"] / 4, "objective_dose_gy": 12.5}
    assert after["Femur_Head_L"]["objective_dose_gy"] == START["Femur_Head_L"]["objective_dose_gy"] - 7
    assert {name for name in START if after[name] != START[name]} == {"Rectum", "Femur_Head_L"}


@given(
    structure=st.sampled_from(list(START)),
    parameter=st.sampled_from(["weight", "objective_dose"]),
    direction=st.sampled_from(["raise", "lower"]),
    amount=st.floats(1.01, 5),
)
def test_a_change_goes_its_way_and_stays_in_range(
    structure: str, parameter: str, direction: str, amount: float
) -> None:
    said = change(structure, parameter=parameter, direction=direction, amount=amount)
    answer, session, _ = proposed(*[proposal(said)] * 3)
    quantity = {"weight": "weight", "objective_dose": "objective_dose_gy"}[parameter]
    low, high = TASK.ranges[structure][quantity]
    before = START[structure][quantity]
    if before == (high if direction == "raise" else low):
        assert session.record()["faults"] == {"no_change": 3}
        return
    after = answer.parameters[structure][quantity]
    assert low <= after <= high
    assert (after > before) == (direction == "raise")


def trajectory() -> Memory:
    """The second plan is worse than the first."""
    memory = Memory(3)
    memory.add(Step(1, summary(80)))
    memory.add(Step(2, summary(70, chosen=parameters(Rectum=25)), base=memory.last))
    return memory


@pytest.mark.parametrize(("start", "rectum"), [("best", 5.0), ("last", 25.0)])
def test_a_change_begins_from_the_best_or_the_last_plan(start: str, rectum: float) -> None:
    answer, _, _ = proposed(proposal(change(amount=1.5), start_from=start), memory=trajectory())
    assert answer.base.number == {"best": 1, "last": 2}[start]
    assert answer.parameters == parameters(Rectum=rectum, Body=150)


def test_parameters_that_were_tried_are_not_tried_again() -> None:
    back = proposal(change("Rectum", direction="lower", amount=5))
    answer, session, client = proposed(back, proposal(change()), memory=trajectory())
    assert session.record()["faults"] == {"already_tried": 1}
    assert "step 1 had these very parameters" in client.requests[1].messages[-1].text
    assert answer.parameters == parameters(Rectum=25, Body=200)


def test_it_may_stop_after_a_step_without_gain() -> None:
    answer, _, client = proposed(proposal(action="stop", reasoning="The overlap forbids it."), memory=trajectory())
    assert answer.parameters is None
    assert answer.said.reasoning == "The overlap forbids it."
    assert offered(client)["action"]["enum"] == ["change", "stop"]


def test_what_cannot_be_done_is_not_offered() -> None:
    """To stop before anything was tried, to begin from another plan than the only one, to foresee what is held."""
    _, _, client = proposed(proposal(change()))
    assert offered(client)["action"]["enum"] == ["change"]
    assert offered(client)["start_from"]["enum"] == ["last"]
    foreseen = client.requests[0].json_schema["$defs"]["Prediction"]["properties"]["criterion"]["enum"]
    assert set(TASK.criteria) - set(foreseen) == {"PTV_7020 D95%"}
