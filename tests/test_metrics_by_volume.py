"""Metrics of points that stand for volumes of their own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from radplan_env import metrics
from radplan_env.metrics import parse_metric

NAMES = ("mean", "min", "max", "D95%", "D2%", "D50%", "D0.1cc", "DC0.1cc", "V30Gy", "HI", "CI", "R50")
MODELS = ("gEUD(a=8)", "gEUD(a=-10)", "EUD(n=1.17,ab=3)", "NTCP(n=0.09,m=0.13,td50=76.9,ab=3)")

volumes_and_doses = st.integers(1, 40).flatmap(
    lambda size: st.tuples(
        arrays(np.float64, size, elements=st.floats(0.0078125, 1, width=32)),
        arrays(np.float64, size, elements=st.floats(0, 90, width=32)),
    )
)


def value(name: str, dose: np.ndarray, cc: np.ndarray | float) -> float:
    return parse_metric(name).evaluate(
        dose, voxel_cc=cc, rx_gy=70.0, body_dose=dose, body_cc=cc, targets_cc=0.5, fractions=35
    )


@pytest.mark.parametrize("name", NAMES + MODELS)
@settings(max_examples=25)
@given(volumes_and_doses, st.integers(0, 39), st.floats(0.1, 0.9))
def test_splitting_a_point_changes_nothing(
    name: str, points: tuple[np.ndarray, np.ndarray], which: int, share: float
) -> None:
    cc, dose = points
    which %= dose.size
    parts = np.append(cc, (1 - share) * cc[which])
    parts[which] *= share
    assert value(name, np.append(dose, dose[which]), parts) == pytest.approx(value(name, dose, cc), abs=1e-9)


@pytest.mark.parametrize("name", NAMES + MODELS)
@settings(max_examples=25)
@given(volumes_and_doses)
def test_only_shares_of_volume_matter_to_the_rest(name: str, points: tuple[np.ndarray, np.ndarray]) -> None:
    cc, dose = points
    if "cc" in name or name == "R50":
        return
    assert value(name, dose, 8 * cc) == pytest.approx(value(name, dose, cc), abs=1e-9)


@pytest.mark.parametrize("name", ["mean", "min", "max", "D95%", "D2%", "D0.1cc", "DC0.1cc", "V30Gy", *MODELS])
@settings(max_examples=25)
@given(volumes_and_doses, st.integers(0, 39), st.floats(0, 20))
def test_more_dose_anywhere_lowers_none(
    name: str, points: tuple[np.ndarray, np.ndarray], which: int, more_gy: float
) -> None:
    cc, dose = points
    hotter = dose.copy()
    hotter[which % dose.size] += more_gy
    assert value(name, hotter, cc) >= value(name, dose, cc) - 1e-9


@settings(max_examples=25)
@given(volumes_and_doses, st.floats(0.5, 2))
def test_scaling_the_dose_scales_doses(points: tuple[np.ndarray, np.ndarray], factor: float) -> None:
    cc, dose = points
    for name in ("mean", "min", "max", "D95%", "D0.1cc", "DC0.1cc", "gEUD(a=8)", "gEUD(a=-10)"):
        assert value(name, factor * dose, cc) == pytest.approx(factor * value(name, dose, cc), abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_points_of_one_volume_are_voxels_but_for_interpolation(name: str) -> None:
    dose = np.random.default_rng(0).normal(66, 4, 4_001)
    dose.sort()
    gap = float(np.diff(dose)[50:-50].max())
    by_volume = value(name, dose, np.full(dose.size, 0.01))
    assert by_volume == pytest.approx(value(name, dose, 0.01), rel=1e-12, abs=2 * gap)


def test_one_number_is_every_voxel_alike_to_the_last_bit() -> None:
    dose = np.random.default_rng(1).uniform(0, 75, 5_003).astype(np.float32)
    assert metrics.volume_at_dose(dose, 30, 0.064) == metrics.volume_at_dose(dose, 30)
    assert metrics.conformity_index(dose[:900], dose, 70, 0.064, 0.064) == metrics.conformity_index(
        dose[:900], dose, 70
    )
    for targets in range(1, 400):
        share = metrics.intermediate_dose_spill(dose, targets, 70)
        assert metrics.intermediate_dose_spill(dose, 0.064 * targets, 70, 0.064) == share


def test_a_histogram_by_hand() -> None:
    dose, cc = np.array([10.0, 70.0, 40.0]), np.array([2.0, 1.0, 1.0])
    assert metrics.mean_dose(dose, cc) == pytest.approx(32.5)
    assert metrics.dose_at_volume(dose, 25, cc) == 70
    assert metrics.dose_at_volume(dose, 25.1, cc) == 40
    assert metrics.dose_at_volume_cc(dose, 1.5, cc) == 40
    assert metrics.coldest_dose_at_volume_cc(dose, 1.5, cc) == 10
    assert metrics.volume_at_dose(dose, 40, cc) == 50
    assert metrics.dvh(dose, np.array([0, 10, 10.1, 41, 71]), cc) == pytest.approx([100, 100, 50, 25, 0])
