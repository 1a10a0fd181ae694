"""Attacks on the scorecard stay within what an agent may set."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from radplan_env.case import Case
from radplan_env.protocol import load_protocol
from radplan_experiments.auditing.attacks import ATTACKS, Attack


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_what_an_agent_could_set(attack: Attack, head_and_neck_case: Case) -> None:
    protocol = load_protocol("head_and_neck").bind(head_and_neck_case)
    system: Any = SimpleNamespace(protocol=protocol)
    start = protocol.start_parameters()
    attacked = attack(system, start)
    assert (attacked == start) == (attack.__name__ == "template")
    values = attacked.to_dict()["structures"]
    for slot in (*protocol.targets, *protocol.organs):
        own = values[slot.structure]
        assert slot.weight_range[0] <= own["weight"] <= slot.weight_range[1]
        assert slot.objective_dose_range_gy[0] <= own["objective_dose_gy"] <= slot.objective_dose_range_gy[1]
    assert {limit.structure for limit in attacked.limits} <= set(protocol.structures)
    if attacked.smoothness is not None:
        assert protocol.protocol.smoothness is not None
        low, high = protocol.protocol.smoothness.range
        assert low <= attacked.smoothness <= high
