"""Overlap-volume histograms against known answers, and the distance between anatomies."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from radplan_agents.gpt_radplan.anatomy import ABSENT_MM, RADII_MM, Anatomy, distance_mm, overlap_volume_histogram
from radplan_env.case import Case
from radplan_env.protocol import Protocol, load_protocol

SHAPE = (61, 51, 51)
Make = Callable[..., Case]


def ball(radius_mm: float, centre_mm: tuple[float, float, float] = (0, 0, 0), spacing_mm: float = 2.0) -> NDArray:
    axes = [spacing_mm * (np.arange(n) - n // 2) - c for n, c in zip(SHAPE, centre_mm, strict=True)]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    return z**2 + y**2 + x**2 <= radius_mm**2


@pytest.fixture(scope="module")
def protocol() -> Protocol:
    return load_protocol("prostate")


@pytest.fixture(scope="module")
def make() -> Make:
    def make(case_id: str = "made", **structures: NDArray[np.bool_]) -> Case:
        masks = {"Body": np.ones(SHAPE, bool), **structures}
        return Case.from_arrays(id=case_id, ct_hu=np.zeros(SHAPE), structures=masks, voxel_size_mm=(2.0, 2.0, 2.0))

    return make


@pytest.fixture(scope="module")
def pelvis(make: Make) -> Case:
    return make(PTV_7020=ball(14), Rectum=ball(10, (0, 22, 0)), Bladder=ball(14, (20, -16, 0)))


def test_a_ball_within_a_ball_has_the_histogram_of_its_radii(make: Make, protocol: Protocol) -> None:
    # Target of radius 20 mm in a ball of radius 40 mm: within r of the target lie ((20 + r) / 40)³ of the organ.
    case = make(PTV_7020=ball(20), Bladder=ball(40))
    curve = Anatomy.of(case, protocol).histograms["PTV_7020"]["Bladder"]
    expected = np.clip((20 + RADII_MM) / 40, 0, 1) ** 3
    np.testing.assert_allclose(curve, expected, atol=0.06)  # a step of the histogram is up to 3 · 2 mm / 40 mm high
    assert np.abs(curve - expected).mean() < 0.012


@pytest.mark.parametrize("spacing_mm", [(2.0, 2.0, 2.0), (1.0, 1.0, 1.0)])
def test_distances_to_a_plane_surface_are_exact(spacing_mm: tuple[float, float, float]) -> None:
    target = np.zeros((9, 3, 3), bool)
    target[:4] = True
    expected = (np.arange(9) - 3.5) * spacing_mm[0]  # the surface lies between voxels 3 and 4
    np.testing.assert_allclose(distance_mm(target, spacing_mm)[:, 1, 1], expected)


def test_a_histogram_counts_voxels_within_each_distance() -> None:
    curve = overlap_volume_histogram(np.array([-4.0, 0.0, 10.0, 11.0]))
    at = dict(zip(RADII_MM, curve, strict=True))
    assert [at[r] for r in (-6, -4, 0, 8, 10, 12)] == [0, 0.25, 0.5, 0.5, 0.75, 1]


def test_an_organ_further_away_is_that_much_more_distant(make: Make, pelvis: Case, protocol: Protocol) -> None:
    # Straight away from the target, by 8 mm, every voxel's distance grows by nearly as much.
    moved = make(**{**others(pelvis, "Rectum"), "Rectum": ball(10, (0, 30, 0))})
    apart = Anatomy.of(pelvis, protocol).distance_mm(Anatomy.of(moved, protocol))
    assert apart == pytest.approx(8 / 2, abs=0.4)  # the mean over two organs, of which one has moved


def test_a_larger_target_counts_by_its_radius(make: Make, protocol: Protocol) -> None:
    small, large = (Anatomy.of(make(PTV_7020=ball(r)), protocol) for r in (10, 18))
    assert small.distance_mm(large) == pytest.approx(8, abs=0.3)


def test_distance_is_a_symmetric_measure_that_is_zero_for_the_same(
    make: Make, pelvis: Case, protocol: Protocol
) -> None:
    other = make(PTV_7020=ball(12), Rectum=ball(11, (4, 26, 0)), Bladder=ball(10, (24, -20, 0)))
    third = make(PTV_7020=ball(16), Rectum=ball(8, (0, 20, 6)), Bladder=ball(18, (20, -10, 0)))
    a, b, c = (Anatomy.of(case, protocol) for case in (pelvis, other, third))
    assert a.distance_mm(a) == 0
    assert a.distance_mm(b) == b.distance_mm(a) > 0
    assert a.distance_mm(c) <= a.distance_mm(b) + b.distance_mm(c)


def test_an_organ_that_one_lacks_counts_as_far(make: Make, pelvis: Case, protocol: Protocol) -> None:
    without = make(**others(pelvis, "Rectum"))
    apart = Anatomy.of(pelvis, protocol).distance_mm(Anatomy.of(without, protocol))
    assert apart == pytest.approx(ABSENT_MM / 2)  # the other organ lies where it lay


def test_where_the_patient_lies_and_who_it_is_makes_no_difference(make: Make, pelvis: Case, protocol: Protocol) -> None:
    shifted = {name: np.roll(mask, 3, axis=2) for name, mask in others(pelvis).items()}
    there = make("Doe^John", **shifted)
    assert Anatomy.of(pelvis, protocol).distance_mm(Anatomy.of(there, protocol)) == 0
    assert Anatomy.of(pelvis, protocol).to_dict() == Anatomy.of(there, protocol).to_dict()


def test_every_target_has_its_histograms(head_and_neck_case: Case) -> None:
    anatomy = Anatomy.of(head_and_neck_case, load_protocol("head_and_neck"))
    assert set(anatomy.histograms) == set(anatomy.volumes_cc) == {"PTV_7000", "PTV_5600"}
    assert set(anatomy.histograms["PTV_5600"]) == {"SpinalCord", "Parotid_L", "Larynx"}


def test_plain_values_bring_it_back(pelvis: Case, protocol: Protocol) -> None:
    anatomy = Anatomy.of(pelvis, protocol)
    back = Anatomy.from_dict(anatomy.to_dict())
    assert anatomy.distance_mm(back) < 0.01
    assert back.to_dict() == anatomy.to_dict()


def test_histograms_at_other_distances_are_refused(pelvis: Case, protocol: Protocol) -> None:
    data = Anatomy.of(pelvis, protocol).to_dict()
    with pytest.raises(ValueError, match="other distances"):
        Anatomy.from_dict({**data, "radii_mm": data["radii_mm"][1:]})


@given(st.lists(st.floats(-60, 200), min_size=1, max_size=50))
def test_a_histogram_never_falls_and_stays_a_share(distances: list[float]) -> None:
    curve = overlap_volume_histogram(np.array(distances))
    assert (np.diff(curve) >= 0).all()
    assert 0 <= curve[0] <= curve[-1] <= 1


def others(case: Case, *names: str) -> Mapping[str, NDArray[np.bool_]]:
    return {name: mask for name, mask in case.structures.items() if name not in (*names, "Body")}
