"""Dose-response models against values worked by hand and their own limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from radplan_env import radiobiology
from radplan_env.metrics import parse_metric

doses = arrays(np.float64, st.integers(1, 40), elements=st.floats(0.5, 90, width=32))


def test_two_gray_a_fraction_is_its_own_equivalent() -> None:
    assert radiobiology.eqd2(np.array([60.0]), 30, 3) == pytest.approx(60)
    assert radiobiology.eqd2(np.array([70.2]), 26, 3) == pytest.approx(70.2 * 5.7 / 5)


@given(doses, st.floats(-30, 30).filter(lambda a: abs(a) > 0.1))
def test_geud_lies_between_the_extremes_and_grows_with_a(dose: np.ndarray, a: float) -> None:
    eud = radiobiology.generalised_eud(dose, a)
    assert dose.min() - 1e-6 <= eud <= dose.max() + 1e-6
    assert radiobiology.generalised_eud(dose, a + 1 if abs(a + 1) > 0.1 else a + 2) >= eud - 1e-6


@given(doses)
def test_geud_of_one_is_the_mean(dose: np.ndarray) -> None:
    assert radiobiology.generalised_eud(dose, 1) == pytest.approx(dose.mean())


def test_a_voxel_without_dose_leaves_a_target_no_geud() -> None:
    assert radiobiology.generalised_eud(np.array([70.0, 0.0]), -10) == 0
    assert radiobiology.generalised_eud(np.zeros(3), 8) == 0


@given(st.floats(1, 100), st.floats(20, 80), st.floats(0.05, 0.5))
def test_ntcp_is_the_normal_distribution(eud: float, td50: float, m: float) -> None:
    assert radiobiology.ntcp(eud, td50, m) == pytest.approx(stats.norm.cdf((eud - td50) / (m * td50)), abs=1e-12)
    assert radiobiology.ntcp(td50, td50, m) == 0.5


def test_models_by_name() -> None:
    dose = np.full(9, 60.0)
    assert parse_metric("EUD(ab=3, n=1.17)").name == "EUD(n=1.17,ab=3)"
    assert parse_metric("EUD(n=1.17,ab=3)").evaluate(dose, fractions=30) == pytest.approx(60)
    risk = parse_metric("NTCP(n=0.09,m=0.13,td50=60,ab=3)")
    assert risk.unit == ""
    assert risk.evaluate(dose, fractions=30) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="needs fractions"):
        risk.evaluate(dose)


@pytest.mark.parametrize("name", ["gEUD", "gEUD(b=8)", "gEUD(a=8,n=1)", "EUD(n=1)", "NTCP(m=0.13)", "gEUD(a=)"])
def test_a_model_wants_its_own_parameters(name: str) -> None:
    with pytest.raises(ValueError, match="no metric"):
        parse_metric(name)
