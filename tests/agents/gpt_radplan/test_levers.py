"""Which planning knowledge goes with which criterion."""

from __future__ import annotations

import pytest
from made_up_plans import parameters, summary, task

from radplan_agents.gpt_radplan.memory import Memory, Step
from radplan_agents.gpt_radplan.prompts import render
from radplan_agents.gpt_radplan.small.levers import Lever, kind, shortfalls, tried
from radplan_agents.gpt_radplan.task import Task
from radplan_env.protocol import load_protocol

KINDS = {
    "prostate": {
        "coverage": ["PTV_7020 D95%", "PTV_7020 DC0.03cc"],
        "homogeneity": ["PTV_7020 D0.03cc", "PTV_7020 D2%", "PTV_7020 HI"],
        "conformity": ["PTV_7020 CI", "OutsideTargets D0.03cc", "Body R50"],
        "overlap": ["Rectum D0.03cc", "Bladder D0.03cc"],
    },
    "head_and_neck": {
        "coverage": [
            f"PTV_{rx} {metric}" for rx in (7000, 6300, 5600, 5200) for metric in ("D95%", "D99%", "DC0.03cc")
        ],
        "homogeneity": ["PTV_7000 D0.03cc", "PTV_7000 HI"],
        "conformity": ["PTV_7000 CI", "OutsideTargets D0.03cc", "Body R50"],
        "overlap": ["Bone_Mandible D0.1cc"],
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
            "upper": criterion.upper,
            "limit": criterion.limit,
            "unit": criterion.unit,
        }
        assert kind(plain, described) == known.get(criterion.name, "volume"), criterion.name


def test_failures_come_in_order_of_priority_then_of_excess() -> None:
    plan = summary(70, {"PTV_7020 CI": -0.3, "Rectum mean": -0.1, "Rectum D25%": -0.2, "Rectum D0.03cc": -0.01})
    failed = shortfalls({"last": plan}, Task.of(task()))
    assert [item.criterion for item in failed] == ["Rectum D0.03cc", "Rectum D25%", "Rectum mean", "PTV_7020 CI"]


def test_what_fails_in_the_best_or_the_last_plan_is_told_of_both() -> None:
    """The remedies are for the first: at the end of its range a weight can be raised no further."""
    best = summary(80, {"Rectum mean": -0.1}, parameters(Rectum=1000))
    last = summary(78, {"Rectum mean": 0.1, "PTV_7020 CI": -0.1})
    rectum, ci = shortfalls({"best": best, "last": last}, Task.of(task()))
    assert rectum.standings == {
        "best": "FAIL, 27.03 Gy, over by 2.46 Gy",
        "last": "PASS, 22.11 Gy, 2.46 Gy to spare",
    }
    assert rectum.remedies == ()
    assert ci.standings["last"] == "FAIL, 0.795, short by 0.088"


def test_a_hot_spot_in_an_organ_is_the_targets() -> None:
    described = Task.of(task())
    failed = shortfalls({"last": summary(70, {"Rectum D0.03cc": -0.01})}, described)
    text = render("small/failing", shortfalls=failed, tried={}, feedback=None)
    assert "raise the weight of PTV_7020" in text
    assert "lower the weight of Rectum" in text
    assert "raise the weight of Rectum" not in text


def test_the_high_dose_part_of_an_organ_is_pressed_as_the_rest_is() -> None:
    """A higher objective dose lets it rise: measured by benchmarks/remedies.py."""
    (item,) = shortfalls({"last": summary(70, {"Rectum D8cc": -0.1})}, Task.of(task()))
    assert [str(lever) for lever in item.remedies] == ["raise the weight of Rectum"]


def test_every_criterion_that_may_fail_has_remedies() -> None:
    """Also those outside the targets, which have no parameters of their own."""
    names = [criterion.name for criterion in load_protocol("prostate").criteria]
    failed = shortfalls({"last": summary(20, dict.fromkeys(names, -0.1))}, Task.of(task()))
    assert sorted(item.criterion for item in failed) == sorted(names)
    assert all(item.remedies for item in failed)


def test_what_was_tried_is_told_with_what_it_did() -> None:
    memory = Memory(3)
    memory.add(Step(1, summary(80)))
    pressed = parameters(Rectum=10)
    memory.add(Step(2, summary(82.5, chosen=pressed), base=memory.last))
    relaxed = {**pressed, "Body": {**pressed["Body"], "objective_dose_gy": 25.0}}
    memory.add(Step(3, summary(81, chosen=relaxed), base=memory.last))
    eased = {**relaxed, "Body": {"weight": 50.0, "objective_dose_gy": 20.0}}
    memory.add(Step(4, summary(81.2, chosen=eased), base=memory.last))
    assert tried(memory) == {
        "raise the weight of Rectum": ["step 2: +2.5"],
        "lower the objective_dose of Body": ["step 3: -1.5", "step 4 with others: +0.2"],
        "lower the weight of Body": ["step 4 with others: +0.2"],
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
    by_name = {item.criterion: item for item in shortfalls({"last": summary(70, failing, pressed)}, Task.of(task()))}
    assert [str(lever) for lever in by_name["Rectum mean"].remedies] == ["raise the weight of Rectum"]
    assert [str(lever) for lever in by_name["PTV_7020 HI"].remedies] == ["lower the objective_dose of PTV_7020"]
