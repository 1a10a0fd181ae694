"""What is remembered of a trajectory, and in what detail."""

from __future__ import annotations

import pytest
from made_up_plans import parameters, summary

from radplan_agents.gpt_radplan.memory import Memory, Step


def played(steps: int, scores: list[float], weights: list[float]) -> Memory:
    memory = Memory(steps)
    for number, (score, weight) in enumerate(zip(scores, weights, strict=True), start=1):
        base = memory.last if memory.trajectory else None
        memory.add(Step(number, summary(score, chosen=parameters(Body=weight)), base=base))
    return memory


def numbers(steps: list[Step]) -> list[int]:
    return [step.number for step in steps]


def test_the_last_steps_in_full_and_the_older_in_brief() -> None:
    memory = played(2, [50, 60, 70, 80, 90], [1, 2, 3, 4, 5])
    assert numbers(memory.in_full) == [4, 5]
    assert numbers(memory.in_brief) == [1, 2, 3]


def test_the_best_is_always_kept_in_full() -> None:
    memory = played(2, [50, 95, 70, 80, 90], [1, 2, 3, 4, 5])
    assert memory.best.number == 2
    assert numbers(memory.in_full) == [2, 4, 5]
    assert numbers(memory.in_brief) == [1, 3]


def test_plans_made_again_are_dropped() -> None:
    memory = played(2, [50, 50, 60, 60, 70], [1, 1, 2, 2, 3])
    assert numbers(memory.in_full) == [3, 5]
    assert numbers(memory.in_brief) == [1]


def test_the_earliest_of_equals_is_the_best() -> None:
    assert played(3, [50, 60, 60], [1, 2, 3]).best.number == 2


def test_without_memory_there_is_only_the_current_plan() -> None:
    memory = played(0, [90, 50], [1, 2])
    assert memory.best is memory.last
    assert not memory.in_full
    assert not memory.in_brief
    assert memory.find(parameters(Body=1)) is None


def test_the_best_before_the_last_is_another_start() -> None:
    assert list(played(3, [50, 60], [1, 2]).starts) == ["last"]
    starts = played(3, [50, 60, 55], [1, 2, 3]).starts
    assert {name: step.number for name, step in starts.items()} == {"best": 2, "last": 3}
    assert list(played(3, [50, 60, 60], [1, 2, 2]).starts) == ["last"]  # planned again, as after a failure
    assert list(played(0, [60, 50], [1, 2]).starts) == ["last"]


def test_a_step_has_gained_if_none_before_it_was_as_good() -> None:
    assert played(3, [50], [1]).has_gained
    assert played(3, [50, 60], [1, 2]).has_gained
    assert not played(3, [50, 60, 60], [1, 2, 3]).has_gained


def test_a_step_tells_what_was_changed_and_what_it_did() -> None:
    memory = Memory(3)
    memory.add(Step(1, summary(80, {"Rectum mean": -0.10})))
    after = summary(85, {"Rectum mean": 0.02, "PTV_7020 HI": -0.2}, parameters(Rectum=10))
    memory.add(Step(2, after, base=memory.last))
    assert memory.last.changes == ["Rectum weight 5 → 10"]
    assert memory.last.failing == ["PTV_7020 HI"]
    assert memory.last.effect == (
        "score 80.0 → 85.0 (+5.0); better: Rectum mean -2.9 Gy (now PASS); worse: PTV_7020 HI +1.350 (now FAIL)"
    )


def test_a_plan_gone_back_to_is_the_current_one_and_what_was_rejected_is_remembered() -> None:
    memory = played(3, [50, 70, 60], [1, 2, 3])
    assert memory.go_back(1) is memory.last
    assert (memory.last.number, memory.best.number, numbers(memory.before)) == (1, 2, [2, 3])
    assert memory.find(parameters(Body=3)) is not None
    with pytest.raises(ValueError, match="no plan 4"):
        memory.go_back(4)
