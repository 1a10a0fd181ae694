"""Protocols: what the package's say, how they bind to a case, and what a wrong file is told."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import radplan_env
from radplan_env.case import Case, CaseError
from radplan_env.protocol import (
    OUTSIDE_TARGETS,
    Criterion,
    ProtocolError,
    available_protocols,
    equispaced_angles,
    load_protocol,
    read_protocol,
)

PROTOCOLS = Path(radplan_env.__file__).parent / "protocols"
SITES = ("head_and_neck", "prostate", "tg119")


def case_with(*structures: str) -> Case:
    mask = np.ones((2, 2, 2), bool)
    masks = dict.fromkeys(("Body", *structures), mask)
    return Case.from_arrays(id="box", ct_hu=np.zeros((2, 2, 2)), structures=masks, voxel_size_mm=(5, 5, 5))


def limits(site: str) -> dict[str, float]:
    return {criterion.name: criterion.limit for criterion in load_protocol(site).criteria}


def test_available_protocols() -> None:
    assert available_protocols() == SITES


@pytest.mark.parametrize("site", SITES)
def test_every_protocol_starts_in_range_and_says_where_it_is_from(site: str) -> None:
    protocol = load_protocol(site)
    assert protocol.name == site
    assert protocol.source and all(criterion.source for criterion in protocol.criteria)
    start = protocol.start_parameters()
    assert tuple(start.structures) == protocol.slots
    assert start.gantry_angles_deg is None
    for slot in (*protocol.targets, *protocol.organs):
        low, high = slot.weight_range
        assert high / low >= 1e3, "the useful range of weights spans three decades (FACTS)"


def test_prostate_criteria() -> None:
    rx = 70.2
    assert limits("prostate") == pytest.approx(
        {
            "PTV_7020 D95%": rx,
            "PTV_7020 DC0.03cc": 0.87 * rx,
            "PTV_7020 D0.03cc": 77.22,
            "PTV_7020 D2%": 75.1,
            "Rectum V31Gy": 34,
            "Rectum D0.03cc": 1.02 * rx,
            "Rectum mean": 0.35 * rx,
            "Rectum D25%": 0.58 * rx,
            "Rectum D8cc": 0.76 * rx,
            "Bladder D0.03cc": 1.07 * rx,
            "Bladder D10%": 0.94 * rx,
            "Bladder D50%": 0.46 * rx,
            "Femur_Head_L D0.03cc": 0.78 * rx,
            "Femur_Head_L D10cc": 0.51 * rx,
            "Femur_Head_R D0.03cc": 0.78 * rx,
            "Femur_Head_R D10cc": 0.51 * rx,
            "PTV_7020 HI": 5.4,
            "PTV_7020 CI": 0.883,
            "OutsideTargets D0.03cc": 1.07 * rx,
            "Body R50": 7,
        }
    )


def test_head_and_neck_criteria() -> None:
    assert limits("head_and_neck") == pytest.approx(
        {
            "PTV_7000 D95%": 70,
            "PTV_6300 D95%": 63,
            "PTV_5600 D95%": 56,
            "PTV_5200 D95%": 52,
            "PTV_7000 D99%": 66.5,
            "PTV_6300 D99%": 59.85,
            "PTV_5600 D99%": 53.2,
            "PTV_5200 D99%": 49.4,
            "PTV_7000 DC0.03cc": 60.76,
            "PTV_6300 DC0.03cc": 50.4,
            "PTV_5600 DC0.03cc": 43.512,
            "PTV_5200 DC0.03cc": 44.512,
            "PTV_7000 D0.03cc": 77,
            "SpinalCord D0.1cc": 45,
            "Brainstem D0.1cc": 50,
            "Bone_Mandible D0.1cc": 73.5,
            "Parotid_L mean": 26,
            "Parotid_R mean": 26,
            "Cavity_Oral mean": 35,
            "Larynx mean": 45,
            "Esophagus mean": 45,
            "PTV_7000 HI": 5.4,
            "PTV_7000 CI": 0.847,
            "OutsideTargets D0.03cc": 74.9,
            "Body R50": 3,
        }
    )


def test_tg119_criteria() -> None:
    assert limits("tg119") == pytest.approx(
        {"PTV_5000 D95%": 50, "Core D10%": 25, "PTV_5000 D10%": 55, "OutsideTargets D0.03cc": 55}
    )


def test_prescriptions_and_beams() -> None:
    prostate, neck = load_protocol("prostate"), load_protocol("head_and_neck")
    assert [target.prescription_gy for target in neck.targets] == [70, 63, 56, 52]
    assert neck.prescription_gy("PTV_5600") == 56
    assert neck.prescription_gy("Larynx") == neck.prescription_gy(OUTSIDE_TARGETS) == 70
    assert neck.gantry_angles_deg == (0, 40, 80, 120, 160, 200, 240, 280, 320)
    assert prostate.gantry_angles_deg == equispaced_angles(7)
    assert prostate.primary.prescription_gy / prostate.fractions == pytest.approx(2.7)


def test_coverage_tolerances() -> None:
    d95 = [criterion for criterion in load_protocol("head_and_neck").criteria if criterion.metric == "D95%"]
    assert [criterion.passes(0.9991 * criterion.limit) for criterion in d95] == [True] * 4
    assert [criterion.passes(0.9951 * criterion.limit) for criterion in d95] == [False, True, True, True]
    assert [criterion.passes(0.9949 * criterion.limit) for criterion in d95] == [False] * 4


def test_passing_includes_the_limit_and_never_nan() -> None:
    at_most = criterion(at_most=34, ideal=10, unacceptable=50)
    at_least = criterion(at_least=34, ideal=50, unacceptable=10)
    assert at_most.passes(34) and not at_most.passes(34.01)
    assert at_least.passes(34) and not at_least.passes(33.99)
    assert not at_most.passes(float("nan")) and not at_least.passes(float("nan"))


def criterion(**values: Any) -> Criterion:
    return Criterion(structure="Rectum", metric="V31Gy", priority=3, source="test", **values)


def test_bind_keeps_what_the_case_has() -> None:
    neck = load_protocol("head_and_neck")
    bound = neck.bind(case_with("PTV_7000", "PTV_5600", "SpinalCord", "Parotid_L", "Heart"))
    assert bound.structures == ("PTV_7000", "PTV_5600", "SpinalCord", "Parotid_L", "Body")
    assert bound.missing == tuple(name for name in neck.slots if name not in bound.structures)
    assert bound.unused == ("Heart",)
    kept = {criterion.structure for criterion in bound.criteria}
    assert kept == {"PTV_7000", "PTV_5600", "SpinalCord", "Parotid_L", "Body", OUTSIDE_TARGETS}
    assert tuple(bound.start_parameters().structures) == bound.structures
    assert bound.case_name == {name: name for name in bound.structures}


def test_a_sole_ptv_is_the_target_of_a_sole_target_protocol() -> None:
    bound = load_protocol("prostate").bind(case_with("PTV", "CTV", "Rectum"))
    assert bound.case_name["PTV_7020"] == "PTV"
    assert bound.structures == ("PTV_7020", "Rectum", "Body")
    assert bound.unused == ("CTV",)


def test_the_exact_name_comes_before_ptv() -> None:
    bound = load_protocol("prostate").bind(case_with("PTV", "PTV_7020"))
    assert bound.case_name["PTV_7020"] == "PTV_7020"


@pytest.mark.parametrize(
    ("site", "structures", "says"),
    [
        ("head_and_neck", ("PTV", "Larynx"), "Its targets: PTV"),
        ("head_and_neck", ("PTV_6300", "PTV_5600"), "Its targets: PTV_6300, PTV_5600"),
        ("prostate", ("Rectum",), "Its targets: none"),
    ],
)
def test_no_primary_target(site: str, structures: tuple[str, ...], says: str) -> None:
    with pytest.raises(CaseError, match=says):
        load_protocol(site).bind(case_with(*structures))


def test_protocols_travel_to_worker_processes() -> None:
    bound = load_protocol("prostate").bind(case_with("PTV"))
    assert pickle.loads(pickle.dumps(bound)) == bound


def test_names_and_paths(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(yaml.safe_dump(small()))
    assert load_protocol(mine).name == "small"
    assert load_protocol(str(mine)) == load_protocol(mine)
    assert load_protocol("head-and-neck") == load_protocol("head_and_neck")
    with pytest.raises(ProtocolError, match="there are head_and_neck, prostate, tg119"):
        load_protocol("lung")
    with pytest.raises(ProtocolError, match="cannot read protocol .*none.yaml"):
        load_protocol(tmp_path / "none.yaml")


def small() -> dict[str, Any]:
    """A valid protocol to break."""
    slot = {"start_weight": 10, "weight_range": [1, 1000], "start_objective_dose_gy": 51}
    d95 = {"structure": "PTV", "metric": "D95%", "at_least": "100 % of Rx", "ideal": 51, "unacceptable": 45}
    v20 = {"structure": "Rectum", "metric": "V20Gy", "at_most": 50, "ideal": 20, "unacceptable": 70}
    return {
        "name": "small",
        "title": "Small",
        "fractions": 25,
        "source": "test",
        "beams": 5,
        "targets": [
            {"structure": "PTV", "prescription_gy": 50, "objective_dose_range_gy": [50, 55], **slot},
        ],
        "organs": [
            {"structure": "Rectum", "objective_dose_range_gy": [0, 60], **slot},
            {"structure": "Body", "objective_dose_range_gy": [0, 60], **slot},
        ],
        "criteria": [
            {**d95, "priority": 1, "source": "test"},
            {**v20, "priority": 3, "source": "test"},
        ],
    }


def broken(*path: str | int, value: Any) -> dict[str, Any]:
    """Return the valid protocol with one entry replaced, or dropped where `value` is None."""
    protocol = small()
    entry: Any = protocol
    for key in path[:-1]:
        entry = entry[key]
    if value is None:
        del entry[path[-1]]
    else:
        entry[path[-1]] = value
    return protocol


@pytest.mark.parametrize(
    ("protocol", "key", "says"),
    [
        (broken("beam", value=5), "beam", "unknown key; did you mean beams?"),
        (
            broken("criteria", 0, "prioritty", value=1),
            "criteria.0.prioritty (PTV D95%)",
            "unknown key; did you mean priority?",
        ),
        (broken("targets", 0, "dose", value=1), "targets.0.dose (PTV)", "unknown key"),
        (broken("criteria", 0, "source", value=None), "criteria.0.source (PTV D95%)", "required"),
        (broken("criteria", 1, "metric", value="V20"), "criteria.1.metric (Rectum V20)", "no metric 'V20'"),
        (broken("criteria", 1, "at_least", value=10), "criteria.1 (Rectum V20Gy)", "one limit"),
        (broken("criteria", 1, "at_most", value=None), "criteria.1 (Rectum V20Gy)", "one limit"),
        (broken("criteria", 1, "at_most", value="fifty"), "criteria.1.at_most (Rectum V20Gy)", "number"),
        (
            broken("criteria", 1, "at_most", value="50 % of Rx"),
            "criteria.1.at_most (Rectum V20Gy)",
            "% of Rx applies to doses; V20Gy is a volume",
        ),
        (
            broken("criteria", 1, "at_most", value=80),
            "criteria.1 (Rectum V20Gy)",
            "got ideal 20, at_most 80, unacceptable 70",
        ),
        (broken("criteria", 1, "ideal", value=float("nan")), "criteria.1.ideal (Rectum V20Gy)", "finite"),
        (broken("criteria", 0, "ideal", value=44), "criteria.0 (PTV D95%)", "unacceptable < at_least < ideal"),
        (broken("criteria", 1, "priority", value=5), "criteria.1.priority (Rectum V20Gy)", "less than or equal to 4"),
        (
            broken("criteria", 1, "structure", value="rectum"),
            "criteria.1.structure (rectum V20Gy)",
            "not a TG-263 name",
        ),
        (broken("criteria", 1, "structure", value="Bladder"), "top level", "no target or organ"),
        (broken("criteria", 0, "structure", value="Rectum"), "top level", "no criterion for the primary"),
        (broken("criteria", 1, "metric", value="CI"), "top level", "CI is for targets"),
        (broken("criteria", value=[]), "criteria", "at least 1"),
        (broken("targets", value=[]), "targets", "at least 1"),
        (broken("targets", 0, "structure", value="Prostate"), "top level", "under targets"),
        (broken("organs", 0, "structure", value="CTV"), "top level", "move it to targets"),
        (broken("organs", 1, value=None), "top level", "Body"),
        (broken("organs", 0, "structure", value="Body"), "top level", "structure twice: Body"),
        (broken("organs", 0, "start_weight", value=0), "organs.0 (Rectum)", "start_weight 0"),
        (broken("organs", 0, "weight_range", value=[0, 10]), "organs.0 (Rectum)", "positive"),
        (broken("organs", 0, "start_objective_dose_gy", value=61), "organs.0 (Rectum)", "start_objective_dose_gy 61"),
        (broken("organs", 0, "objective_dose_range_gy", value=[60, 0]), "organs.0 (Rectum)", "60 < 0"),
        (broken("beams", value=0), "top level", "positive whole number"),
        (broken("gantry_angles_deg", value=[0, 90]), "top level", "not both"),
        (broken("beams", value=None), "gantry_angles_deg", "required"),
    ],
)
def test_a_wrong_protocol_names_file_and_key(tmp_path: Path, protocol: dict[str, Any], key: str, says: str) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(yaml.safe_dump(protocol))
    with pytest.raises(ProtocolError) as caught:
        load_protocol(file)
    message = str(caught.value)
    assert any(f"{key}: " in line and says in line for line in message.splitlines())
    assert str(file) in message and (message.count("\n") == 0) == ("faults:" not in message)


@pytest.mark.parametrize("text", ["a: [", "just a sentence", "", "name: a\nname: b\n"])
def test_not_a_protocol_at_all(tmp_path: Path, text: str) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(text)
    with pytest.raises(ProtocolError, match="wrong.yaml"):
        load_protocol(file)


def test_explicit_angles() -> None:
    protocol = small()
    del protocol["beams"]
    parse = type(load_protocol("prostate")).model_validate
    assert parse({**protocol, "gantry_angles_deg": [10, 350]}).gantry_angles_deg == (10, 350)
    for wrong in ([0, 0], [0, 360], [-10], []):
        with pytest.raises(ValueError, match="gantry_angles_deg"):
            parse({**protocol, "gantry_angles_deg": wrong})


def test_doses_that_do_not_fit_the_prescription_are_refused_with_the_numbers() -> None:
    """A copy for 60 Gy that kept the prostate's 70.2 Gy doses scored 14 in silence."""
    content = yaml.safe_load((PROTOCOLS / "prostate.yaml").read_text())
    content["targets"][0]["prescription_gy"] = 60
    with pytest.raises(ProtocolError) as caught:
        read_protocol(content, "60 Gy")
    message = str(caught.value)
    assert "targets.0 (PTV_7020): prescription 60 Gy: start_objective_dose_gy 71 is 118% of the prescription" in message
    assert "objective_dose_range_gy begins at 70.2" in message and "want at most 72 Gy" in message
    content["targets"][0] |= {"start_objective_dose_gy": "102 % of Rx", "objective_dose_range_gy": [60, "110 % of Rx"]}
    with pytest.raises(
        ProtocolError, match=r"criteria\.3 \(PTV_7020 D2%\): want ideal < at_most < unacceptable.*at_most 75\.1"
    ):
        read_protocol(content, "60 Gy")
    content["criteria"][3]["unacceptable"] = 80
    with pytest.raises(ProtocolError, match=r"criterion 'PTV_7020 D2%': at_most 75\.1 Gy, but 120% of .* is 72 Gy"):
        read_protocol(content, "60 Gy")


def test_every_fault_is_listed_at_once() -> None:
    content = broken("criteria", 0, "prioritty", value=1)
    content["criteria"][1]["at_most"] = "50 % of Rx"
    content["targets"][0]["start_objective_dose_gy"] = 71
    content["organs"][0]["start_wieght"] = 5
    content["colour"] = "blue"
    with pytest.raises(ProtocolError, match="5 faults") as caught:
        read_protocol(content, "mine")
    lines = str(caught.value).splitlines()[1:]
    wanted = ("did you mean priority", "V20Gy is a volume", "start_objective_dose_gy 71", "start_weight?", "colour")
    assert len(lines) == 5 and all(any(text in line for line in lines) for text in wanted)


def test_percent_of_rx_wherever_there_is_a_dose() -> None:
    content = small()
    content["targets"][0] |= {"start_objective_dose_gy": "102 % of Rx", "objective_dose_range_gy": ["100% of Rx", 55]}
    content["organs"][0] |= {"start_objective_dose_gy": "10 % of Rx", "objective_dose_range_gy": [0, "120 % of Rx"]}
    content["criteria"][0]["tolerance"] = "1 % of Rx"
    content["criteria"][0]["unacceptable"] = "90 % of Rx"
    protocol = read_protocol(content, "mine")
    assert protocol.primary.start_objective_dose_gy == 51 and protocol.primary.objective_dose_range_gy == (50, 55)
    assert protocol.organs[0].start_objective_dose_gy == 5 and protocol.organs[0].objective_dose_range_gy == (0, 60)
    assert (protocol.criteria[0].tolerance, protocol.criteria[0].unacceptable) == (0.5, 45)


def test_collimator_angles_are_one_for_all_beams_or_one_for_each() -> None:
    plain = read_protocol(small(), "mine")
    assert plain.collimator_angles_deg == (0,) * 5
    turned = read_protocol(small() | {"collimator_angles_deg": 10}, "mine")
    assert turned.collimator_angles_deg == (10,) * 5 and turned.digest() != plain.digest()
    each = read_protocol(small() | {"collimator_angles_deg": [0, 10, 20, 30, 350]}, "mine")
    assert each.collimator_angles_deg == (0, 10, 20, 30, 350)
    for wrong, says in (([0, 10], "2 collimator angles for 5 beams"), (400, "lie in")):
        with pytest.raises(ProtocolError, match=says):
            read_protocol(small() | {"collimator_angles_deg": wrong}, "mine")


@pytest.mark.parametrize("site", SITES)
def test_a_protocol_comes_back_from_its_own_yaml(site: str, tmp_path: Path) -> None:
    protocol, file = load_protocol(site), tmp_path / "copy.yaml"
    file.write_text(protocol.to_yaml(), encoding="utf-8")
    again = load_protocol(file)
    assert again == protocol and hash(again) == hash(protocol) and again.digest() == protocol.digest()


def test_the_section_of_the_scorecard_in_use_counts_and_no_other() -> None:
    plain = read_protocol(small(), "mine")
    other = read_protocol(small() | {"scorecards": {"not-installed": {"weight": 1}}}, "mine")
    assert other.digest("v0") == plain.digest("v0") == plain.digest()
    assert other.digest("not-installed") != plain.digest("not-installed")
