"""Which planning knowledge goes with which criterion."""

from __future__ import annotations

import pytest
from made_up_plans import parameters, summary, task

from agents.gpt_radplan.levers import Lever, kind, shortfalls, tried
from agents.gpt_radplan.memory import Memory, Step
from agents.gpt_radplan.prompts import render
from agents.gpt_radplan.task import Task
from radplan_env.protocol import load_protocol

KINDS = {
    "prostate": {
        "coverage": ["PTV_7020 D95%"],
        "homogeneity": ["PTV_7020 D0.03cc", "PTV_7020 D2%", "PTV_7020 HI"],
        "conformity": ["PTV_7020 CI", "OutsideTargets D1cc"],
        "overlap": ["Rectum D0.03cc", "Bladder D0.03cc"],
        "high_dose": ["Rectum D8cc", "Bladder D10%", "Femur_Head_L D0.03cc", "Femur_Head_R D0.03cc"],
    },
    "head_and_neck": {
        "coverage": [f"PTV_{rx} D{percent}%" for rx in (7000, 6300, 5600, 5200) for percent in (95, 99)],
        "homogeneity": ["PTV_7000 D0.03cc", "PTV_7000 HI"],
        "conformity": ["PTV_7000 CI", "OutsideTargets D1cc"],
        "overlap": ["Bone_Mandible D0.1cc"],
        "high_dose": ["SpinalCord D0.1cc", "Brainstem D0.1cc"],
    },
}


@pytest.mark.parametrize("name", KINDS)
def test_each_criterion_has_its_kind(name: str) -> None:
    protocol = load_protocol(name)
    prescriptions = {target.structure: target.prescription_gy for target in protocol.targets}
    info = task()
    described = Task.of({**info, "protocol": {**info["protocol"], "prescriptions_gy": prescriptions}})
    known = {criterion: kind for kind, criteria in KINDS[name].items() for criterion in criteria}
    for criterion in protocol.criteria:
        plain = {
            "structure": criterion.structure,
            "metric": criterion.metric,
            "at_most": criterion.is_at_most,
            "limit": criterion.limit,
            "unit": criterion.unit,
        }
        assert kind(plain, described) == known.get(criterion.name, "volume"), criterion.name


def test_failures_come_in_order_of_priority_then_of_excess() -> None:
    plan = summary(70, {"PTV_7020 CI": -0.3, "Rectum mean": -0.1, "Rectum D25%": -0.2, "Rectum D0.03cc": -0.01})
    failed = shortfalls(plan, Task.of(task()))
    assert [item.criterion for item in failed] == ["Rectum D0.03cc", "Rectum D25%", "Rectum mean", "PTV_7020 CI"]


def test_a_hot_spot_in_an_organ_is_the_targets() -> None:
    described = Task.of(task())
    failed = shortfalls(summary(70, {"Rectum D0.03cc": -0.01}), described)
    text = render("remedies", task=described, shortfalls=failed, tried={})
    assert "raise the weight of PTV_7020" in text
    assert "lower the weight of Rectum" in text
    assert "raise the weight of Rectum" not in text


def test_what_was_tried_is_told_with_what_it_did() -> None:
    memory = Memory(3)
    memory.add(Step(1, summary(80)))
    pressed = parameters(Rectum=10)
    memory.add(Step(2, summary(82.5, chosen=pressed), base=memory.last))
    relaxed = {**pressed, "Body": {**pressed["Body"], "objective_dose_gy": 25.0}}
    memory.add(Step(3, summary(81, chosen=relaxed), base=memory.last))
    assert tried(memory) == {
        "raise the weight of Rectum": ["step 2: +2.5"],
        "lower the objective_dose of Body": ["step 3: -1.5"],
    }
    assert tried(Memory(0)) == {}


@pytest.mark.parametrize("text", ["raise the weight of Rectum", "lower the objective_dose of PTV_7020"])
def test_a_lever_is_spoken_and_understood(text: str) -> None:
    assert str(Lever.spoken(text)) == text


@pytest.mark.parametrize("text", ["", "press the rectum", "raise the weight of Rectum.", "raise the dose of Rectum"])
def test_what_is_no_lever_is_not_understood(text: str) -> None:
    assert Lever.spoken(text) is None


def test_a_remedy_at_the_end_of_its_range_is_none() -> None:
    failing = {"Rectum mean": -0.1, "PTV_7020 HI": -0.1}
    pressed = parameters(PTV_7020=10_000)
    by_name = {item.criterion: item for item in shortfalls(summary(70, failing, pressed), Task.of(task()))}
    assert [str(lever) for lever in by_name["Rectum mean"].remedies] == ["raise the weight of Rectum"]
    assert [str(lever) for lever in by_name["PTV_7020 HI"].remedies] == ["lower the objective_dose of PTV_7020"]
