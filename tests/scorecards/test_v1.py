"""Scorecard v1: utilities, fixed weights, neutral terms, screens, and what a protocol may write."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radplan_env.dose_view import DoseView
from radplan_env.protocol import ProtocolError, available_protocols, load_protocol, read_protocol
from radplan_env.scorecards import Verdict, load_scorecard, scorecard_for
from radplan_env.scorecards.utility import complication_free, logistic
from radplan_env.scorecards.v1_section import TermOfV1

V1 = load_scorecard("v1")
HEAD_AND_NECK = load_protocol("head_and_neck")
PROSTATE = load_protocol("prostate")

values = st.floats(-20, 200)


@given(values, values)
def test_utilities_are_bounded_and_monotone(one: float, other: float) -> None:
    low, high = sorted((one, other))
    for utility in (lambda x: logistic(x, 30, 45), lambda x: complication_free(x, 39.9, 0.4)):
        assert 0 <= utility(high) <= utility(low) <= 1
        if high - low > 1e-3 and 10 < low < 60:
            assert utility(high) < utility(low)
    assert logistic(low, 0.97, 0.93) <= logistic(high, 0.97, 0.93)


def test_utilities_at_their_marks() -> None:
    assert logistic(30, 30, 45) == pytest.approx(0.9)
    assert logistic(45, 30, 45) == pytest.approx(0.1)
    assert logistic(37.5, 30, 45) == pytest.approx(0.5)
    assert logistic(0.97, 0.97, 0.93) == pytest.approx(0.9)
    assert complication_free(39.9, 39.9, 0.4) == 0.5


def test_nothing_is_earned_beyond_the_credit() -> None:
    term = TermOfV1(
        structure="PTV_5600", metric="D98%", weight=1, neutral=0.5, good=54, bad=52, credit_to=56, source="test"
    )
    assert term.utility(60) == term.utility(56) > term.utility(55)


def view(doses: dict[str, float], **beside: Any) -> DoseView:
    """Uniform doses in Gy."""
    voxels = {name: np.full(200 if name == "Body" else 150, gy) for name, gy in doses.items()}
    return DoseView(voxels, 0.1, HEAD_AND_NECK.prescription_gy, 35, **beside)


NECK = {"Body": 20.0, "OutsideTargets": 15.0, "Beyond20mm": 10.0, "PTV_7000": 71.0, "PTV_7000.core": 71.5}


def verdict(doses: dict[str, float], **beside: Any) -> Verdict:
    return V1.verdict(view({**NECK, **doses}, **beside), HEAD_AND_NECK)


def test_points_add_up_and_weights_stay_whatever_a_patient_lacks() -> None:
    few, more = verdict({}), verdict({"Parotid_L": 10.0, "SpinalCord": 20.0})
    assert few.available == more.available
    assert sum(few.available.values()) == pytest.approx(100)
    assert sum(few.terms.values()) == pytest.approx(few.score)
    neutral = {term.name: term.neutral for term in V1._section(HEAD_AND_NECK).terms}
    assert few.terms["Parotid_L mean"] == pytest.approx(few.available["Parotid_L mean"] * neutral["Parotid_L mean"])
    assert more.terms["Parotid_L mean"] > few.terms["Parotid_L mean"]


def test_sparing_an_organ_never_lowers_the_score() -> None:
    spared = [verdict({"Parotid_L": gy, "Larynx": gy, "SpinalCord": gy}).score for gy in (50.0, 40.0, 26.0, 10.0, 2.0)]
    assert spared == sorted(spared)
    assert len(set(spared)) == len(spared)


def test_an_elective_target_is_not_paid_for_more_than_its_prescription() -> None:
    def score(gy: float) -> float:
        return verdict({"PTV_5600": gy, "PTV_5600.core": gy, "PTV_5600.alone": gy}).score

    assert score(56.5) > score(53)
    assert score(56.5) > score(60) > score(66)


def test_a_larynx_within_the_target_is_not_counted() -> None:
    burned = verdict({"Larynx": 70.0})
    treated = verdict({"Larynx": 70.0}, in_targets_percent={"Larynx": 60.0})
    without = verdict({})
    assert treated.score == without.score > burned.score


@pytest.mark.parametrize(
    ("doses", "reason"),
    [
        ({"PTV_7000.core": 60.0}, "cold spot in the tumour"),
        ({"SpinalCord": 46.0}, "spinal cord"),
        ({"Brainstem": 55.0}, "brainstem"),
        ({"Beyond20mm": 67.0}, "streak far from the targets"),
        ({"OutsideTargets": 78.0}, "hot spot outside the targets"),
    ],
)
def test_what_a_physicist_refuses_at_a_glance(doses: dict[str, float], reason: str) -> None:
    assert verdict({}).screened
    refused = verdict(doses)
    assert refused.screened is False
    assert any(reason in each for each in refused.reasons)


def test_a_rectum_given_up_is_refused() -> None:
    pelvis = {"OutsideTargets": 15.0, "Beyond20mm": 10.0, "PTV_7020": 71.0, "PTV_7020.core": 71.5}
    doses = {"Body": np.full(200, 20.0)} | {name: np.full(150, gy) for name, gy in pelvis.items()}

    def reasons(above_50_gy: int) -> str:
        rectum = np.repeat([20.0, 60.0], [150 - above_50_gy, above_50_gy])
        seen = DoseView(doses | {"Rectum": rectum}, 0.1, PROSTATE.prescription_gy, 26)
        return " ".join(V1.verdict(seen, PROSTATE).reasons)

    assert reasons(70) == ""
    assert "rectum given up" in reasons(80)


@pytest.mark.parametrize(("factor", "passes"), [(0.969, False), (0.971, True), (1.029, True), (1.031, False)])
def test_plans_that_must_be_scaled_far_are_screened_out(factor: float, passes: bool) -> None:
    assert verdict({}, scaled_by=factor).screened is passes


@pytest.mark.parametrize(("mu_per_gy", "passes"), [(None, True), (600.0, True), (601.0, False)])
def test_delivered_plans_of_too_many_monitor_units_are_screened_out(mu_per_gy: float | None, passes: bool) -> None:
    judged = verdict({}, mu_per_gy=mu_per_gy)
    assert judged.screened is passes
    assert judged.score == verdict({}).score
    assert passes or judged.reasons == ("monitor units: 601 for each Gy, screened at ≤ 600",)


def test_what_a_plan_must_keep_to_under_a_shift_is_no_matter_without_one() -> None:
    bounds = {bound.name: bound for bound in V1.bounds_if_shifted(HEAD_AND_NECK)}
    assert bounds["SpinalCord D0.1cc"].words == "SpinalCord D0.1cc ≤ 50 Gy"
    assert bounds["PTV_7000.core D98%"].words == "PTV_7000.core D98% ≥ 66.5 Gy"
    assert not any("5600" in name for name in bounds)
    assert load_scorecard("v0").bounds_if_shifted(HEAD_AND_NECK) == ()


@pytest.mark.parametrize("name", available_protocols())
def test_terms_of_the_packages_protocols(name: str) -> None:
    protocol = load_protocol(name)
    if not protocol.scorecards.get("v1"):
        assert scorecard_for(protocol).name == "v0"
        return
    assert scorecard_for(protocol).name == "v1"
    assert V1.faults(protocol.scorecards["v1"], protocol) == []
    assert sum(term.points for term in V1.terms(protocol)) == pytest.approx(100)
    assert all(term.source for term in V1.terms(protocol))


def test_a_protocol_without_terms_is_judged_by_v0() -> None:
    plain = HEAD_AND_NECK.to_dict()
    del plain["scorecards"]
    assert scorecard_for(read_protocol(plain, "test")).name == "v0"
    assert V1.faults({}, HEAD_AND_NECK) == ["protocol 'head_and_neck' has no section scorecards: v1; score it by v0"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"structure": "Heart"}, "'Heart' of mean is neither a structure of the protocol"),
        ({"structure": "SpinalCord.core"}, "'SpinalCord.core'"),
        ({"metric": "D95"}, "no metric 'D95'"),
        ({"m": None}, "give good and bad, or td50 and m"),
        ({"weight": 0}, "greater than 0"),
        ({"wieght": 3}, "Extra inputs"),
    ],
)
def test_errors_name_the_term(change: dict[str, Any], message: str) -> None:
    plain = HEAD_AND_NECK.to_dict()
    terms = plain["scorecards"]["v1"]["terms"]
    index = next(i for i, term in enumerate(terms) if term["structure"] == "Parotid_L")
    terms[index] = {**terms[index], **change}
    with pytest.raises(ProtocolError, match=message.replace("(", r"\(")):
        read_protocol(plain, "test")
