"""The score: what a perfect, a poor and a partial plan earn, and that better doses never earn less."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from radplan_env.case import Case
from radplan_env.evaluation import CriterionResult, Evaluation, evaluate
from radplan_env.protocol import OUTSIDE_TARGETS, BoundProtocol, Criterion, load_protocol
from radplan_env.scorecards.v0 import points

Doses = dict[str, NDArray[Any]]

SITES = ("prostate", "head_and_neck", "tg119")
VOXEL_CC = 0.125


def bound(site: str, *, without: tuple[str, ...] = (), rename: dict[str, str] | None = None) -> BoundProtocol:
    protocol = load_protocol(site)
    names = [(rename or {}).get(name, name) for name in protocol.slots if name not in without]
    masks = dict.fromkeys(names, np.ones((2, 2, 2), bool))
    case = Case.from_arrays(id="box", ct_hu=np.zeros((2, 2, 2)), structures=masks, voxel_size_mm=(5, 5, 5))
    return protocol.bind(case)


def doses(protocol: BoundProtocol, target_gy: Any = 1.0, organ_gy: Any = 0.0, voxels: int = 200) -> Doses:
    """Targets at `target_gy` times their prescription, every organ and all else at `organ_gy`."""
    targets = {t.structure: np.ones(voxels) * target_gy * t.prescription_gy for t in protocol.targets}
    organs = {o.structure: np.ones(voxels) * organ_gy for o in protocol.organs if o.structure != "Body"}
    elsewhere = np.ones(20 * voxels) * organ_gy
    body = np.concatenate([*targets.values(), elsewhere])
    by_name = {**targets, **organs, "Body": body, OUTSIDE_TARGETS: elsewhere}
    return {protocol.case_name.get(name, name): dose for name, dose in by_name.items()}


def evaluated(protocol: BoundProtocol, **how: Any) -> Evaluation:
    return evaluate(doses(protocol, **how), VOXEL_CC, protocol)


@pytest.mark.parametrize("site", ["prostate", "tg119"])
def test_dose_in_the_target_alone_is_perfect(site: str) -> None:
    plan = evaluated(bound(site))
    assert plan.score == pytest.approx(100)
    assert plan.met
    assert plan.terms == pytest.approx(plan.available)


def test_an_elective_target_in_the_primarys_isodose_costs_conformity() -> None:
    # 63 Gy is below 95 % of 70 Gy: the elective targets are not in the primary's isodose.
    assert evaluated(bound("head_and_neck")).score == pytest.approx(100)
    boosted = evaluated(bound("head_and_neck"), target_gy=1.06)
    assert boosted.metrics["PTV_7000"]["CI"] == pytest.approx(0.5)  # 63 Gy target above 66.5 Gy too


@pytest.mark.parametrize("site", SITES)
def test_a_ramp_through_the_target_and_a_flooded_body_earn_nothing(site: str) -> None:
    plan = evaluated(bound(site), target_gy=np.linspace(0.5, 1.5, 200), organ_gy=90.0)
    assert plan.score == pytest.approx(0)
    assert set(plan.terms) == {criterion.name for criterion in bound(site).criteria}
    assert not any(result.passed for result in plan.criteria)


@pytest.mark.parametrize("site", SITES)
def test_every_criterion_contributes_and_outranks_the_next_priority(site: str) -> None:
    plan = evaluated(bound(site))
    assert sum(plan.available.values()) == pytest.approx(100)
    for result in plan.criteria:
        assert plan.available[result.criterion.name] > 0
        for other in plan.criteria:
            if result.criterion.priority < other.criterion.priority:
                ours, theirs = plan.available[result.criterion.name], plan.available[other.criterion.name]
                assert ours >= 2 * theirs - 1e-9
    assert points(1) > points(2) > points(3) > points(4) > 0


PROSTATE = bound("prostate")
organ_doses = arrays(np.float64, 40, elements=st.floats(0, 90))


@given(organ_doses, organ_doses, st.sampled_from(["Bladder", "Rectum", "Femur_Head_L", "Femur_Head_R"]))
def test_less_dose_to_an_organ_never_lowers_the_score(dose: NDArray[Any], less: NDArray[Any], organ: str) -> None:
    before = doses(PROSTATE, target_gy=1.02, organ_gy=30.0)
    before[organ] = dose
    after = {**before, organ: np.maximum(dose - less, 0)}
    scores = [evaluate(each, VOXEL_CC, PROSTATE).score for each in (before, after)]
    assert scores[1] >= scores[0] - 1e-9


@pytest.mark.parametrize("site", SITES)
def test_a_hot_spot_outside_the_targets_ruins_any_plan(site: str) -> None:
    protocol = bound(site)
    burned = doses(protocol)
    rx_gy = protocol.primary.prescription_gy
    for name in (OUTSIDE_TARGETS, "Body"):
        burned[name][-1] = 2.5 * rx_gy  # a voxel that no other structure holds
    plan = evaluate(burned, VOXEL_CC, protocol)
    assert [r.criterion.name for r in plan.criteria if not r.passed] == [f"{OUTSIDE_TARGETS} D0.03cc"]
    assert plan.score < 70


@pytest.mark.parametrize("site", ["prostate", "head_and_neck"])
def test_a_cold_spot_smaller_than_any_percentage_is_seen(site: str) -> None:
    protocol = bound(site)
    cold = doses(protocol, voxels=1000)
    for target in protocol.targets:
        cold[protocol.case_name[target.structure]][0] = 0.5 * target.prescription_gy
        plan = evaluate(cold, VOXEL_CC, protocol)
        assert f"{target.structure} DC0.03cc" in {r.criterion.name for r in plan.criteria if not r.passed}
        assert next(r for r in plan.criteria if r.criterion.name == f"{target.structure} D95%").passed


def test_dose_dumped_beside_the_targets_costs_points() -> None:
    protocol = bound("prostate")
    spread = doses(protocol)
    beside = np.full(2000, 40.0)  # ten times the target's volume, at more than half the prescription
    spread[OUTSIDE_TARGETS], spread["Body"] = beside, np.concatenate([spread["PTV_7020"], beside])
    plan = evaluate(spread, VOXEL_CC, protocol)
    assert plan.metrics["Body"]["R50"] == pytest.approx(11)
    assert plan.terms["Body R50"] < 0


def test_missing_organs_leave_the_denominator() -> None:
    whole = evaluated(bound("prostate"))
    part = evaluated(bound("prostate", without=("Bladder", "Femur_Head_L")))
    assert part.score == pytest.approx(100)
    assert not [name for name in part.terms if name.startswith(("Bladder", "Femur_Head_L"))]
    assert sum(part.available.values()) == pytest.approx(100)
    assert part.available["Rectum mean"] > whole.available["Rectum mean"]
    assert "Bladder" not in part.metrics and "Bladder" not in part.dvh


def test_a_sole_ptv_is_reported_under_the_protocols_name() -> None:
    protocol = bound("prostate", rename={"PTV_7020": "PTV"})
    given_doses = doses(protocol)
    assert "PTV" in given_doses
    plan = evaluate(given_doses, VOXEL_CC, protocol)
    assert plan.metrics["PTV_7020"]["D95%"] == pytest.approx(70.2)


def test_metrics_of_targets_and_organs() -> None:
    plan = evaluated(bound("head_and_neck"), organ_gy=20.0)
    target = {"mean", "min", "max", "D99%", "D98%", "D95%", "D50%", "D5%", "D2%", "D0.03cc", "DC0.03cc", "HI"}
    organ = {"mean", "max", "D5%", "D50%", "V15Gy", "V30Gy", "D0.03cc"}
    assert set(plan.metrics["PTV_7000"]) == target | {"CI"}
    assert set(plan.metrics["PTV_5600"]) == target
    assert set(plan.metrics["Larynx"]) == organ
    assert set(plan.metrics["SpinalCord"]) == organ | {"D0.1cc"}
    assert set(plan.metrics["Body"]) == organ | {"R50"}
    assert set(plan.metrics[OUTSIDE_TARGETS]) == {"max", "D0.03cc", "D1cc"}
    assert plan.metrics["PTV_5600"]["D95%"] == pytest.approx(56)
    assert plan.metrics["Larynx"]["V15Gy"] == 100 and plan.metrics["Larynx"]["V30Gy"] == 0


def test_homogeneity_is_relative_to_each_targets_own_prescription() -> None:
    plan = evaluated(bound("head_and_neck"), target_gy=np.linspace(0.9, 1.1, 201), voxels=201)
    for target in ("PTV_7000", "PTV_5200"):
        assert plan.metrics[target]["HI"] == pytest.approx(18)


def test_dvhs_run_from_the_whole_structure_to_none_at_1_2_times_rx() -> None:
    plan = evaluated(bound("prostate"), organ_gy=30.0)
    assert set(plan.dvh) == set(bound("prostate").structures)
    edges, percent = plan.dvh["Rectum"]
    assert edges[0] == 0 and edges[-1] == pytest.approx(1.2 * 70.2)
    assert percent[0] == 100 and percent[-1] == 0
    assert np.all(np.diff(percent) <= 0)
    assert np.interp(29, edges, percent) == 100 and np.interp(31, edges, percent) == 0


def test_margins() -> None:
    common: dict[str, Any] = {"structure": "Rectum", "metric": "V31Gy", "priority": 3, "source": "test"}
    at_most = Criterion(at_most=40, ideal=10, unacceptable=50, **common)
    at_least = Criterion(at_least=40, ideal=50, unacceptable=10, tolerance=1, **common)
    assert CriterionResult(at_most, 30).margin == 10
    assert CriterionResult(at_most, 30).relative_margin == pytest.approx(0.25)
    assert CriterionResult(at_most, 45).margin == -5
    assert CriterionResult(at_least, 45).margin == 5
    within_tolerance = CriterionResult(at_least, 39.5)
    assert within_tolerance.passed and within_tolerance.margin == -0.5


@pytest.mark.parametrize("site", SITES)
def test_the_dictionary_is_plain(site: str) -> None:
    protocol = bound(site)
    single = {name: dose.astype(np.float32) for name, dose in doses(protocol, organ_gy=20.0).items()}
    plan = evaluate(single, VOXEL_CC, protocol)
    plain = plan.to_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert types_in(plain) <= {str, float, bool, int, dict, list, type(None)}
    assert plain["score"] == plan.score and plain["met"] is plan.met
    assert [criterion["value"] for criterion in plain["criteria"]] == [r.value for r in plan.criteria]


def types_in(value: Any) -> set[type]:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return {type(value)}.union(*(types_in(child) for child in children))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.1])
def test_a_dose_that_is_none(bad: float) -> None:
    broken = doses(PROSTATE)
    broken["Rectum"] = np.append(broken["Rectum"], bad)
    with pytest.raises(ValueError, match="dose in Rectum is NaN, infinite or negative"):
        evaluate(broken, VOXEL_CC, PROSTATE)


def test_a_structure_without_dose_or_voxels() -> None:
    lacking = doses(PROSTATE)
    del lacking["Rectum"], lacking[OUTSIDE_TARGETS]
    with pytest.raises(ValueError, match="no dose for Rectum, OutsideTargets"):
        evaluate(lacking, VOXEL_CC, PROSTATE)
    with pytest.raises(ValueError, match="Rectum has no voxels"):
        evaluate({**doses(PROSTATE), "Rectum": np.zeros(0)}, VOXEL_CC, PROSTATE)
