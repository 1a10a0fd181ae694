"""Scorecard v0: what a criterion's value earns, what priorities are worth, and what it is made of."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radplan_env.case import Case
from radplan_env.dose_view import DoseView
from radplan_env.protocol import OUTSIDE_TARGETS, BoundProtocol, ProtocolError, load_protocol, read_protocol
from radplan_env.scorecards import load_scorecard
from radplan_env.scorecards.v0 import credit

SITES = ("prostate", "head_and_neck", "tg119")
V0 = load_scorecard("v0")


@pytest.mark.parametrize("site", SITES)
def test_credit_at_unacceptable_limit_and_ideal(site: str) -> None:
    for criterion in load_protocol(site).criteria:
        beyond = 0.1 * (criterion.ideal - criterion.unacceptable)
        assert credit(criterion, criterion.unacceptable) == 0
        assert credit(criterion, criterion.unacceptable - beyond) < 0
        assert credit(criterion, criterion.unacceptable - 2 * beyond) == pytest.approx(
            2 * credit(criterion, criterion.unacceptable - beyond)
        )
        assert credit(criterion, (criterion.unacceptable + criterion.bound.threshold) / 2) == pytest.approx(0.4)
        assert credit(criterion, criterion.bound.threshold) == pytest.approx(0.8)
        assert credit(criterion, (criterion.bound.threshold + criterion.ideal) / 2) == pytest.approx(0.9)
        assert credit(criterion, criterion.ideal) == 1
        assert credit(criterion, criterion.ideal + beyond) == 1


@given(st.floats(0, 100))
def test_four_fifths_of_the_points_are_for_passing(value: float) -> None:
    for criterion in load_protocol("prostate").criteria:
        if criterion.passes(value):
            assert credit(criterion, value) >= 0.8 - 1e-12
        else:
            assert credit(criterion, value) <= 0.8


@pytest.mark.parametrize("site", SITES)
def test_terms_are_the_criteria_and_worth_100(site: str) -> None:
    protocol = load_protocol(site)
    terms = V0.terms(protocol)
    assert [term.name for term in terms] == [criterion.name for criterion in protocol.criteria]
    assert sum(term.points for term in terms) == pytest.approx(100)
    for term, criterion in zip(terms, protocol.criteria, strict=True):
        assert (term.all_at, term.none_at) == (criterion.ideal, criterion.unacceptable)
        assert credit(criterion, term.all_at) == 1 and credit(criterion, term.none_at) == 0
    explained = V0.explain(protocol)
    assert all(term.name in explained and term.source in explained for term in terms)


def test_a_score_is_the_sum_of_its_terms_between_0_and_100() -> None:
    """Worked by hand: half the body at 40 Gy, the core at 25 Gy, the target at 50 Gy."""
    protocol = load_protocol("tg119")
    masks = dict.fromkeys(protocol.slots, np.ones((2, 2, 2), bool))
    case = Case.from_arrays(id="box", ct_hu=np.zeros((2, 2, 2)), structures=masks, voxel_size_mm=(5, 5, 5))
    bound: BoundProtocol = protocol.bind(case)
    target, core, outside = np.full(100, 50.0), np.full(100, 25.0), np.full(100, 40.0)
    doses = {"PTV_5000": target, "Core": core, "Body": np.r_[outside, target], OUTSIDE_TARGETS: outside}
    view = DoseView(doses, 0.1, bound.prescription_gy)
    verdict = V0.verdict(view, bound)
    at_limit = {"PTV_5000 D95%": 1.0, "Core D10%": 0.8, "PTV_5000 D10%": 1.0, f"{OUTSIDE_TARGETS} D0.03cc": 1.0}
    coverage = 0.8 + 0.2 * 0.05 / 0.05  # the ideal is the limit less its tolerance of 0.1 %
    at_limit["PTV_5000 D95%"] = coverage
    expected = {name: share * verdict.available[name] for name, share in at_limit.items()}
    assert dict(verdict.terms) == pytest.approx(expected)
    assert verdict.score == pytest.approx(sum(expected.values())) == pytest.approx(96)
    assert verdict.screened is None and verdict.reasons == ()


def test_v0_takes_its_numbers_from_the_criteria() -> None:
    content = load_protocol("prostate").to_dict() | {"scorecards": {"v0": {"weight": 3}}}
    with pytest.raises(ProtocolError, match=r"scorecards\.v0: unknown key weight; v0 takes its numbers"):
        read_protocol(content, "mine")
