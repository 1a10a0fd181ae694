"""Dose-volume metrics against known answers, invariants and independent libraries."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from radplan_env import metrics
from radplan_env.metrics import parse_metric

RAMP = np.arange(101.0)  # 0, 1, ..., 100 Gy: D_q is 100 - q
VOXEL_CC = 0.064

doses = arrays(np.float64, st.integers(1, 60), elements=st.floats(0, 100, width=32))
percents = st.floats(0, 100)


@pytest.mark.parametrize("percent", [0, 0.5, 2, 5, 37.3, 50, 95, 98, 99, 100])
def test_dose_at_volume_of_a_ramp(percent: float) -> None:
    assert metrics.dose_at_volume(RAMP, percent) == pytest.approx(100 - percent)


def test_extremes_are_minimum_and_maximum() -> None:
    assert metrics.dose_at_volume(RAMP, 0) == metrics.max_dose(RAMP) == 100
    assert metrics.dose_at_volume(RAMP, 100) == metrics.min_dose(RAMP) == 0
    assert metrics.mean_dose(RAMP) == 50


def test_volume_at_dose_counts_the_voxel_at_the_dose() -> None:
    assert metrics.volume_at_dose(np.array([10.0, 20.0, 30.0, 40.0]), 30) == 50
    assert metrics.volume_at_dose(np.array([10.0, 20.0, 30.0, 40.0]), 30.1) == 25


def test_a_float32_voxel_receives_the_dose_it_was_rounded_from() -> None:
    rounded_down = np.full(4, 70.2, np.float32)
    assert float(rounded_down[0]) < 70.2
    assert metrics.volume_at_dose(rounded_down, np.float64(70.2)) == 100
    assert metrics.dvh(rounded_down, np.array([70.2]))[0] == 100


@pytest.mark.parametrize("cc", [0, 0.03, 0.5, 1, 50.5, 101])
def test_dose_at_volume_cc_is_that_of_the_same_share(cc: float) -> None:
    share_percent = 100 * cc / 101  # of 101 voxels of 1 cc, or twice as many of half a cc
    assert metrics.dose_at_volume_cc(RAMP, cc, 1.0) == pytest.approx(100 - share_percent)
    assert metrics.dose_at_volume_cc(RAMP, cc / 2, 0.5) == pytest.approx(100 - share_percent)


def test_less_than_a_voxel_lies_between_the_two_hottest() -> None:
    assert 99 < metrics.dose_at_volume_cc(RAMP, 0.03, VOXEL_CC) < 100


def test_a_structure_smaller_than_the_volume_has_its_maximum() -> None:
    assert metrics.dose_at_volume_cc(RAMP, 102, 1.0) == 100


def test_homogeneity_index_of_a_ramp() -> None:
    assert metrics.homogeneity_index(RAMP, rx_gy=50) == pytest.approx(100 * (95 - 5) / 50)


def test_conformity_index() -> None:
    target = np.array([70.0] * 8 + [50.0] * 2)  # 80 % covered
    body = np.concatenate([target, np.full(8, 68.0), np.full(100, 10.0)])  # the 95 % isodose is twice as large
    assert metrics.conformity_index(target, body, 70) == pytest.approx(8**2 / (10 * 16))
    assert metrics.conformity_index(target, target, 50) == 1
    assert metrics.conformity_index(target, body, 100) == 0


def test_the_coldest_volume_mirrors_the_hottest() -> None:
    assert metrics.coldest_dose_at_volume_cc(RAMP, 10.1, 1.0) == pytest.approx(10)
    assert metrics.coldest_dose_at_volume_cc(RAMP, 0, 1.0) == 0
    assert metrics.coldest_dose_at_volume_cc(RAMP[5:], 1000, 1.0) == 5, "a structure smaller than that: its minimum"
    hottest = metrics.dose_at_volume_cc(100 - RAMP, 7, 1.0)
    assert metrics.coldest_dose_at_volume_cc(RAMP, 7, 1.0) == pytest.approx(100 - hottest)
    assert metrics.parse_metric("DC0.03cc").evaluate(RAMP, voxel_cc=0.001) == pytest.approx(30 / 1.01)


def test_intermediate_dose_spill() -> None:
    body = np.array([70.0] * 10 + [35.0] * 20 + [34.9] * 70)
    assert metrics.intermediate_dose_spill(body, 10, 70) == 3
    with pytest.raises(ValueError, match="targets' volume"):
        metrics.intermediate_dose_spill(body, 0, 70)


def test_dvh_of_a_ramp() -> None:
    edges = np.array([0.0, 0.5, 50, 100, 101])
    assert metrics.dvh(RAMP, edges) == pytest.approx(np.array([101, 100, 51, 1, 0]) / 1.01)


def test_whole_numbers_are_doses_too() -> None:
    whole: Any = RAMP.astype(np.int64)
    edges = np.array([0.5, 49.5])
    assert metrics.dvh(whole, edges) == pytest.approx(metrics.dvh(RAMP, edges))


@given(doses, percents, percents)
def test_dose_at_volume_falls_with_volume(dose: np.ndarray, p: float, q: float) -> None:
    low, high = sorted((p, q))
    assert metrics.dose_at_volume(dose, low) >= metrics.dose_at_volume(dose, high) - 1e-9


@given(doses, percents)
def test_volume_at_dose_inverts_dose_at_volume(dose: np.ndarray, percent: float) -> None:
    voxel = 100 / dose.size
    volume = metrics.volume_at_dose(dose, metrics.dose_at_volume(dose, percent) - 1e-9)
    assert volume >= percent - voxel


@given(doses, percents, st.floats(0.1, 10))
def test_scaling_the_dose_scales_its_metrics(dose: np.ndarray, percent: float, factor: float) -> None:
    scaled = metrics.dose_at_volume(factor * dose, percent)
    assert scaled == pytest.approx(factor * metrics.dose_at_volume(dose, percent), abs=1e-9)
    index = metrics.homogeneity_index(factor * dose, factor * 70)
    assert index == pytest.approx(metrics.homogeneity_index(dose, 70), abs=1e-9)


@given(doses, st.randoms(use_true_random=False))
def test_the_order_of_voxels_does_not_matter(dose: np.ndarray, random: object) -> None:
    shuffled = dose.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for name in ("D95%", "D0.1cc", "V30Gy", "mean", "min", "max", "HI", "CI"):
        metric = parse_metric(name)
        one, other = (metric.evaluate(d, voxel_cc=VOXEL_CC, rx_gy=70.0, body_dose=dose) for d in (dose, shuffled))
        assert one == pytest.approx(other)


@given(doses, st.floats(0, 120))
def test_dvh_reads_as_volume_at_dose(dose: np.ndarray, gy: float) -> None:
    assert metrics.dvh(dose, np.array([gy]))[0] == pytest.approx(metrics.volume_at_dose(dose, gy))


@given(doses)
def test_conformity_lies_between_nothing_and_one(target: np.ndarray) -> None:
    body = np.concatenate([target, [0.0, 70.0]])
    assert 0 <= metrics.conformity_index(target, body, 70) <= 1


@pytest.mark.parametrize(
    ("name", "unit", "value"),
    [("D95%", "Gy", 5), ("D0.03cc", "Gy", 100 - 3 / 1.01), ("V31Gy", "%", 70 / 1.01), ("mean", "Gy", 50)]
    + [("min", "Gy", 0), ("max", "Gy", 100), ("HI", "", 180)],
)
def test_metrics_by_name(name: str, unit: str, value: float) -> None:
    metric = parse_metric(name)
    assert (metric.name, metric.unit) == (name, unit)
    assert metric.evaluate(RAMP, voxel_cc=0.01, rx_gy=50.0) == pytest.approx(value)


def test_names_are_canonical() -> None:
    assert parse_metric("D5.0%").name == "D5%"
    assert parse_metric("V30.50Gy").name == "V30.5Gy"


@pytest.mark.parametrize("name", ["D95", "D101%", "V30%", "V20cc", "Mean", "d95%", "D-5%", "D95% ", "", "gEUD"])
def test_unknown_metric(name: str) -> None:
    with pytest.raises(ValueError, match="no metric"):
        parse_metric(name)


@pytest.mark.parametrize(("name", "needs"), [("D1cc", "voxel_cc"), ("HI", "rx_gy"), ("CI", "body_dose")])
def test_a_metric_says_what_it_needs(name: str, needs: str) -> None:
    rx = None if needs == "rx_gy" else 70.0
    with pytest.raises(ValueError, match=f"{name} needs {needs}"):
        parse_metric(name).evaluate(RAMP, rx_gy=rx)


@pytest.mark.parametrize("name", ["D95%", "D1cc", "V30Gy", "mean", "min", "max", "HI", "CI"])
def test_no_voxels(name: str) -> None:
    with pytest.raises(ValueError, match="no voxels"):
        parse_metric(name).evaluate(np.zeros(0), voxel_cc=1.0, rx_gy=70.0, body_dose=RAMP)


def test_volumes_out_of_range() -> None:
    with pytest.raises(ValueError, match="between 0 and 100"):
        metrics.dose_at_volume(RAMP, 100.1)
    with pytest.raises(ValueError, match="positive"):
        metrics.dose_at_volume_cc(RAMP, -1, 1)
    with pytest.raises(ValueError, match="positive"):
        metrics.dose_at_volume_cc(RAMP, 1, 0)


def random_doses() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.uniform(0, 75, 5_000), rng.normal(70, 2, 20_000), rng.gamma(2, 8, 50_000).astype(np.float32)]


@pytest.mark.parametrize("dose", random_doses(), ids=["uniform", "target", "organ"])
def test_agreement_on_random_doses(dose: np.ndarray) -> None:
    agrees_with_pyradplan(dose)
    agrees_with_dicompyler(dose, VOXEL_CC)


@pytest.mark.parametrize("structure", ["PTV70", "SpinalCord", "RightParotid", "Larynx"])
def test_agreement_on_a_real_dose(shared_data: Path, structure: str) -> None:
    folder = shared_data / "openkbp/provided-data/test-pats/pt_247"
    spacing = np.loadtxt(folder / "voxel_dimensions.csv")
    dose = sparse_csv(folder / "dose.csv")[sparse_csv(folder / f"{structure}.csv") > 0]
    agrees_with_pyradplan(dose)
    agrees_with_dicompyler(dose, float(np.prod(spacing)) / 1000)


def sparse_csv(file: Path) -> np.ndarray:
    """Read OpenKBP's (flat index, value) table; masks have no value."""
    table = np.genfromtxt(file, delimiter=",", skip_header=1, filling_values=1.0)
    dense = np.zeros(128**3)
    dense[table[:, 0].astype(int)] = np.nan_to_num(table[:, 1], nan=1.0)
    return dense


def agrees_with_pyradplan(dose: np.ndarray) -> None:
    analysis = pytest.importorskip("pyRadPlan.analysis")
    for percent in (2, 5, 50, 95, 98, 99):
        theirs = analysis.DX.compute_from(dose, ref_vol=percent).value
        assert metrics.dose_at_volume(dose, percent) == pytest.approx(theirs, rel=1e-6)
    for gy in (15, 30, 70):
        theirs = analysis.VX.compute_from(dose, ref_dose=gy).value
        assert metrics.volume_at_dose(dose, gy) == pytest.approx(theirs)
    for ours, theirs in ((metrics.mean_dose, "Mean"), (metrics.min_dose, "Min"), (metrics.max_dose, "Max")):
        assert ours(dose) == pytest.approx(getattr(analysis, theirs).compute_from(dose).value, rel=1e-5)
    curve = analysis.DVH.compute(dose.astype(np.float64), num_points=500)
    assert metrics.dvh(dose, curve.bins) == pytest.approx(curve.cum_volume, abs=100 * 2 / dose.size)


def agrees_with_dicompyler(dose: np.ndarray, voxel_cc: float) -> None:
    """Their DVH is binned (0.01 Gy) and read at the nearest bin: allow a bin and the gap to the next voxel."""
    dicompyler = pytest.importorskip("dicompylercore.dvh")
    edges = np.arange(0, math.ceil(dose.max()) + 1, 0.01)
    counts, edges = np.histogram(dose, edges)
    theirs = dicompyler.DVH(counts * voxel_cc, edges, "differential").cumulative
    hottest_first = np.sort(dose)[::-1].astype(np.float64)
    for percent in (2, 5, 50, 95, 98):
        near = np.clip(round(dose.size * percent / 100) + np.array([-2, 1]), 0, dose.size - 1)
        gap = float(hottest_first[near[0]] - hottest_first[near[1]])
        value = theirs.dose_constraint(percent).value
        assert metrics.dose_at_volume(dose, percent) == pytest.approx(value, abs=0.02 + gap)
    for cc in (0.1, 1):
        near = np.clip(round(cc / voxel_cc) + np.array([-2, 1]), 0, dose.size - 1)
        gap = float(hottest_first[near[0]] - hottest_first[near[1]])
        value = theirs.dose_constraint(cc, "cm3").value
        assert metrics.dose_at_volume_cc(dose, cc, voxel_cc) == pytest.approx(value, abs=0.02 + gap)
    for gy in (15, 30, 70):
        volume = theirs.volume_constraint(gy, "Gy").value / (dose.size * voxel_cc) * 100
        in_bin = 100 * np.count_nonzero(np.abs(dose - gy) < 0.02) / dose.size
        assert metrics.volume_at_dose(dose, gy) == pytest.approx(volume, abs=in_bin + 1e-6)
