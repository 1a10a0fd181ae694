"""The dose of a known fluence: known answers, K's dose of the same conventions, the adjoint, and errors."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from importlib.resources import files

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import erf

from radplan_env.beam_models import BEAM_MODELS, beam_model_named
from radplan_env.beams import Beam, Bixels
from radplan_env.case import Case
from radplan_env.dose import Prepared, Raster, aperture, dose_at, prepare
from radplan_env.grid import Grid
from radplan_env.influence import DoseInfluence, Fidelity, influence
from radplan_env.influence.matrix import setup_of
from radplan_env.influence.pencil_beam import row_depths
from radplan_env.influence.setup import LATERAL_CUTOFF_MM
from radplan_env.yaml_files import parse_yaml

Array = NDArray[np.float64]
SAD_MM = 1000.0
MODEL = beam_model_named("generic-6x")


def water(half_mm: float = 150.0, spacing_mm: float = 10.0, origin_mm: tuple[float, float, float] = (0, 0, 0)) -> Case:
    """A water cube whose faces lie half_mm from its centre."""
    n = round(2 * half_mm / spacing_mm)
    first = tuple(o - half_mm + spacing_mm / 2 for o in origin_mm)
    cube = np.ones((n, n, n), dtype=bool)
    return Case.from_arrays(
        id="water",
        ct_hu=np.zeros(cube.shape),
        structures={"Body": cube},
        voxel_size_mm=(spacing_mm,) * 3,
        origin_mm=first,
    )


def square(side_mm: float, fluence: float = 1.0) -> Raster:
    lines = np.array([-side_mm / 2, side_mm / 2])
    return Raster(lines, lines, np.array([[fluence]]))


def points_near_the_axis(seed: int, n: int = 50) -> Array:
    return np.random.default_rng(seed).uniform(-60, 60, (n, 3))


@lru_cache(maxsize=1)
def four_beams() -> tuple[Case, tuple[Beam, ...], Bixels, Prepared]:
    beams = tuple(
        Beam(angle, (3.0, -5.0, 8.0), SAD_MM, collimator)
        for angle, collimator in ((0, 0), (77, 30), (180, 90), (301, 0))
    )
    place = np.stack(np.meshgrid(np.arange(-4, 5), np.arange(-3, 6), indexing="ij"), axis=-1).reshape(-1, 2)
    bixels = Bixels(np.repeat(np.arange(4), len(place)), np.tile(place, (4, 1)), 7.0, (0.5, 0.0))
    case = water()
    return case, beams, bixels, prepare(case, beams, points_near_the_axis(0, 200))


# Known answers


def test_dose_along_the_axis_is_the_formulas() -> None:
    case, depth = water(), np.array([5.0, 15.0, 50.0, 100.0, 200.0])
    points = np.stack([0 * depth, -150 + depth, 0 * depth], axis=1)
    dose = dose_at(case, [Beam(0, (0, 0, 0), SAD_MM)], [square(100)], points)
    # Uniform fluence to 1.4 %: at the axis, a square's share of each Gaussian is the square of an error function.
    variance, weight = MODEL.kernels.gaussians(850.0)  # type: ignore[attr-defined]
    share = erf(50 / np.sqrt(2 * variance)) ** 2
    lateral = (weight * share).sum(axis=(1, 2))
    expected = (SAD_MM / (850 + depth)) ** 2 * (lateral @ MODEL.depth_doses(depth))
    np.testing.assert_allclose(dose, expected, rtol=0.015)
    assert (dose >= expected * (1 - 1e-3)).all()  # the primary fluence grows off the axis


def by_the_documents_formulas(raster: Raster, gantry_deg: float, collimator_deg: float, points: Array) -> Array:
    """Dose of one raster in `water()`, isocentre at its centre, as docs/beam-model.md says, without transforms."""
    file = parse_yaml((files("radplan_env.beam_models") / "generic-6x.yaml").read_text("utf-8"))
    gantry, turn, m = np.deg2rad(gantry_deg), np.deg2rad(collimator_deg), file["attenuation_per_mm"]
    source = SAD_MM * np.array([0, -np.cos(gantry), np.sin(gantry)])
    ssd = SAD_MM - 150 / max(abs(np.cos(gantry)), abs(np.sin(gantry)))
    scale = 1000 / (ssd + 100)
    step = 0.25
    x, z = (np.arange(lines[0] + step / 2, lines[-1], step) for lines in (raster.x_mm, raster.z_mm))
    inside = raster.fluence[np.ix_(np.searchsorted(raster.x_mm, x) - 1, np.searchsorted(raster.z_mm, z) - 1)]
    primary = file["primary_fluence"]
    fluence = inside * np.interp(np.hypot(x[:, None], z), primary["radius_mm"], primary["relative"])
    dose = []
    for point in points:
        way = point - source
        with np.errstate(divide="ignore"):
            entry = np.sort((np.array([[-150.0], [150.0]]) - source) / way, axis=0)[0].max()
        depth, r = (1 - entry) * np.linalg.norm(way), np.linalg.norm(way)
        along = SAD_MM + point[1] * np.cos(gantry) - point[2] * np.sin(gantry)
        across = (point[2] * np.cos(gantry) + point[1] * np.sin(gantry)) * SAD_MM / along
        up = point[0] * SAD_MM / along
        u, w = np.cos(turn) * across + np.sin(turn) * up, np.cos(turn) * up - np.sin(turn) * across
        total = 0.0
        for beta, weights in zip(file["build_up_per_mm"], file["kernels"]["weight"], strict=True):
            spread = 0.0
            for sigma, weight in zip(file["kernels"]["sigma_mm"], weights, strict=True):
                head, h = file["head_scatter"]["sigma_mm"], file["head_scatter"]["share"]
                for width, share in ((file["source_sigma_mm"], 1 - h), (head, h)):
                    variance = (scale * sigma) ** 2 + width**2
                    g = np.exp(-((u - x[:, None]) ** 2 + (w - z) ** 2) / (2 * variance)) / (2 * np.pi * variance)
                    spread += weight * share * (fluence * g).sum() * step**2
            total += beta / (beta - m) * (np.exp(-m * depth) - np.exp(-beta * depth)) * spread
        dose.append((SAD_MM / r) ** 2 * total)
    return np.array(dose)


def test_dose_is_what_the_documents_formulas_say() -> None:
    raster = Raster(np.array([-21.25, 4.0, 30.0]), np.array([-10.0, 0.25, 25.5]), np.array([[1.0, 0.2], [0.5, 3.0]]))
    points = points_near_the_axis(7, 40)
    expected = by_the_documents_formulas(raster, 30, 20, points)
    dose = dose_at(water(), [Beam(30, (0, 0, 0), SAD_MM, 20)], [raster], points)
    assert np.ptp(expected) > 0.9 * expected.max()  # in the field and far outside
    np.testing.assert_allclose(dose, expected, atol=2e-3 * expected.max())
    assert abs((dose - expected).mean()) < 3e-4 * expected.max()


@pytest.mark.parametrize("name", BEAM_MODELS)
def test_one_monitor_unit_is_one_centigray_at_the_maximum_of_the_reference_field(name: str) -> None:
    depth = np.arange(5, 30, 0.5)
    points = np.stack([0 * depth, -150 + depth, 0 * depth], axis=1)
    beam = Beam(0, (0, -150, 0), SAD_MM)  # the surface at the isocentre: SSD 1000 mm
    place = np.stack(np.meshgrid(np.arange(-10, 10), np.arange(-10, 10), indexing="ij"), axis=-1).reshape(-1, 2)
    bixels = Bixels(np.zeros(len(place), dtype=np.int64), place, 5.0, (0.5, 0.5))
    fluence = np.full(len(bixels), 1 / beam_model_named(name).monitor_units_per_fluence)
    dose = dose_at(water(), [beam], fluence, points, bixels=bixels, beam_model=name)
    assert dose.max() == pytest.approx(0.01, rel=2e-3)
    assert 12 <= depth[dose.argmax()] <= 18


def test_no_dose_is_lost_far_from_the_field_and_mlc_transmission_adds_its_share() -> None:
    points = np.array([[0, -50, 0], [0, -50, 100.0]])
    beam = Beam(0, (0, -50, 0), SAD_MM)
    centre, outside = dose_at(water(), [beam], [square(100)], points)
    assert 0.01 < outside / centre < 0.04
    closed = aperture(np.zeros(2), np.zeros(2), np.array([-50.0, 0, 50]), MODEL, (-50, 50, -50, 50))
    assert dose_at(water(), [beam], [closed], points)[0] == pytest.approx(0.015 * centre, rel=1e-5)


def open_area(raster: Raster) -> float:
    share = (raster.fluence - MODEL.mlc_transmission) / (1 - MODEL.mlc_transmission)
    return float(np.diff(raster.x_mm) @ share @ np.diff(raster.z_mm))


def test_the_aperture_is_open_between_its_leaves_to_the_tenth_of_a_millimetre() -> None:
    raster = aperture(np.array([-10.2, 3.0]), np.array([5.1, 3.0]), np.array([-5.0, 0, 5]), MODEL, (-20, 20, -4, 5))
    assert open_area(raster) == pytest.approx(15.3 * 4)
    assert raster.fluence.min() == MODEL.mlc_transmission
    assert raster.z_mm.tolist() == [-4, 0, 5]


@settings(max_examples=6)
@given(ends=st.lists(st.floats(-30, 30), min_size=4, max_size=4))
def test_leaves_on_the_move_let_through_the_mean_of_where_they_stand(ends: list[float]) -> None:
    left, right, left_end, right_end = (np.array([edge]) for edge in (*sorted(ends[:2]), *sorted(ends[2:])))
    boundaries, jaws = np.array([-5.0, 5]), (-20.0, 20.0, -5.0, 5.0)
    moving = aperture(left, right, boundaries, MODEL, jaws, left_end_mm=left_end, right_end_mm=right_end)
    times = (np.arange(200) + 0.5) / 200
    still = [
        aperture(left + t * (left_end - left), right + t * (right_end - right), boundaries, MODEL, jaws).fluence
        for t in times
    ]
    np.testing.assert_allclose(moving.fluence, np.mean(still, axis=0), atol=1e-2)


def test_field_edge_lies_where_the_raster_ends() -> None:
    across = np.linspace(-15, 15, 121)
    points = np.stack([0 * across, 0 * across - 50, across + 33.3], axis=1)
    lines = np.array([-40.0, 33.3])
    raster = Raster(lines, np.array([-40.0, 40.0]), np.array([[1.0]]))
    profile = dose_at(water(), [Beam(0, (0, -50, 0), SAD_MM)], [raster], points)
    edge = np.interp(-0.5 * profile.max(), -profile, across)
    assert abs(edge) < 1.2  # scatter and the primary fluence's rise move the half a little
    moved = dose_at(water(), [Beam(0, (0, -50, 0), SAD_MM)], [Raster(lines + 0.4, raster.z_mm, raster.fluence)], points)
    assert np.interp(-0.5 * profile.max(), -moved, across) - edge == pytest.approx(0.4, abs=0.05)


# Invariants


@settings(max_examples=5)
@given(seed=st.integers(0, 1000))
def test_the_adjoint_is_exact(seed: int) -> None:
    _, _, bixels, prepared = four_beams()
    rng = np.random.default_rng(seed)
    fluence, values = rng.normal(size=len(bixels)), rng.normal(size=len(prepared.points_mm))
    dose = prepared.forward(bixels, fluence)
    scale = np.linalg.norm(dose) * np.linalg.norm(values)
    assert abs(dose @ values - fluence @ prepared.adjoint(bixels, values)) < 1e-6 * scale


def test_the_adjoint_for_rasters_is_exact() -> None:
    _, beams, _, prepared = four_beams()
    rng = np.random.default_rng(8)
    lines = np.linspace(-31, 37, 9)
    rasters = [Raster(lines, lines - 3.3 * b, rng.random((8, 8))) for b in range(len(beams))]
    values = rng.random(len(prepared.points_mm))
    back = prepared.adjoint_of_rasters(rasters, values)
    there = sum(float((raster.fluence * weight).sum()) for raster, weight in zip(rasters, back, strict=True))
    assert there == pytest.approx(float(prepared.dose(rasters).astype(float) @ values), rel=1e-6)


@settings(max_examples=5)
@given(seed=st.integers(0, 1000), factor=st.floats(0.1, 1e4))
def test_dose_is_linear_and_beams_add_up(seed: int, factor: float) -> None:
    _, beams, bixels, prepared = four_beams()
    one, other = np.random.default_rng(seed).gamma(1.0, 1.0, (2, len(bixels)))
    both = prepared.dose_of_bixels(bixels, factor * one + other)
    separate = factor * prepared.dose_of_bixels(bixels, one) + prepared.dose_of_bixels(bixels, other)
    np.testing.assert_allclose(both, separate, atol=2e-6 * both.max())
    of_beam = [np.where(bixels.beam == b, one, 0) for b in range(len(beams))]
    np.testing.assert_allclose(
        prepared.dose_of_bixels(bixels, one),
        sum(prepared.dose_of_bixels(bixels, part) for part in of_beam),
        atol=2e-6 * both.max(),
    )


def test_the_order_and_the_number_of_points_and_bixels_do_not_matter() -> None:
    case, beams, bixels, prepared = four_beams()
    fluence = np.random.default_rng(1).gamma(1.0, 1.0, len(bixels))
    dose = dose_at(case, beams, fluence, prepared.points_mm, bixels=bixels, prepared=prepared)
    some = dose_at(case, beams, fluence, prepared.points_mm[::-3], bixels=bixels)
    np.testing.assert_allclose(some, dose[::-3], atol=2e-5 * dose.max())
    shuffled = np.random.default_rng(2).permutation(len(bixels))
    other = replace(bixels, beam=bixels.beam[shuffled], place=bixels.place[shuffled])
    np.testing.assert_allclose(prepared.dose_of_bixels(other, fluence[shuffled]), dose, atol=2e-5 * dose.max())


def test_dose_from_moved_isocentres_keeps_the_points_depths() -> None:
    _, beams, _, prepared = four_beams()
    rasters = [square(30.0 + b, 2.0 - 0.3 * b) for b in range(len(beams))]
    places = [beams[0].isocentre_mm, (9.0, -5.0, 8.0), (3.0, -12.0, 2.0)]
    found = prepared.doses_from(rasters, places)
    for place, dose in zip(places, found, strict=True):
        moved = replace(prepared, beams=tuple(replace(beam, isocentre_mm=place) for beam in beams))
        np.testing.assert_allclose(dose, moved.dose(rasters), atol=2e-5 * dose.max())
    inside = prepared.points_mm[:, 0] > 0
    np.testing.assert_allclose(prepared.at(inside).dose(rasters), found[0][inside], atol=2e-5 * found.max())


def test_beams_of_one_source_share_their_depths() -> None:
    case, beams, _, prepared = four_beams()
    turned = [replace(beam, collimator_deg=45.0) for beam in beams]
    both = prepare(case, [*beams, *turned], prepared.points_mm)
    assert len(both.depth_mm) == len(beams)
    rasters = [square(30.0 + b, 2.0) for b in range(2 * len(beams))]
    apart = [prepare(case, own, prepared.points_mm).dose_by_beam(rasters[:4]) for own in (beams, turned)]
    found = both.dose_by_beam(rasters[:4] + rasters[:4])
    np.testing.assert_array_equal(found, np.concatenate(apart))


def test_moving_patient_isocentre_and_points_together_changes_nothing() -> None:
    _, beams, bixels, prepared = four_beams()
    fluence = np.random.default_rng(1).gamma(1.0, 1.0, len(bixels))
    shift = np.array([123.25, -64.5, 31.7])
    moved_beams = [replace(beam, isocentre_mm=tuple(np.array(beam.isocentre_mm) + shift)) for beam in beams]
    there = dose_at(water(origin_mm=tuple(shift)), moved_beams, fluence, prepared.points_mm + shift, bixels=bixels)
    here = prepared.dose_of_bixels(bixels, fluence)
    np.testing.assert_allclose(there, here, atol=1e-5 * here.max())


def test_turning_points_and_gantry_together_changes_nothing() -> None:
    case, points = water(), points_near_the_axis(3)
    turned = np.stack([points[:, 0], points[:, 2], -points[:, 1]], axis=1)  # front (low y) to the patient's left
    raster = square(80)
    dose = dose_at(case, [Beam(10, (0, 0, 0), SAD_MM)], [raster], points)
    np.testing.assert_allclose(dose_at(case, [Beam(100, (0, 0, 0), SAD_MM)], [raster], turned), dose, atol=1e-5)


def test_turning_the_collimator_turns_the_aperture() -> None:
    case, points = water(), points_near_the_axis(4)
    wide = Raster(np.array([-60.0, 20]), np.array([-10.0, 10]), np.array([[1.0]]))
    tall = Raster(np.array([-10.0, 10]), np.array([-60.0, 20]), np.array([[1.0]]))
    turned = dose_at(case, [Beam(0, (0, 0, 0), SAD_MM, 90)], [wide], points)
    np.testing.assert_allclose(turned, dose_at(case, [Beam(0, (0, 0, 0), SAD_MM)], [tall], points), atol=1e-5)


def test_fine_lines_in_a_raster_change_nothing() -> None:
    points = points_near_the_axis(5)
    beam, coarse = Beam(20, (0, 0, 0), SAD_MM), square(37.7)
    lines = np.linspace(-37.7 / 2, 37.7 / 2, 61)
    fine = Raster(lines, lines, np.ones((60, 60)))
    expected = dose_at(water(), [beam], [coarse], points)
    np.testing.assert_allclose(dose_at(water(), [beam], [fine], points), expected, atol=1e-6 * expected.max())


def test_bixels_are_rasters() -> None:
    _, beams, bixels, prepared = four_beams()
    fluence = np.random.default_rng(6).gamma(1.0, 1.0, len(bixels))
    rasters = []
    for b in range(len(beams)):
        columns = bixels.of_beam(b)
        x, z = (np.unique(bixels.edges_mm[columns][:, axis].round(6)) for axis in range(2))
        rasters.append(Raster(x, z, fluence[columns].reshape(x.size - 1, z.size - 1)))
    dose = prepared.dose(rasters)
    np.testing.assert_allclose(prepared.dose_of_bixels(bixels, fluence), dose, atol=1e-6 * dose.max())


# K of the same conventions


@pytest.fixture(scope="module", params=["matrad-generic", "generic-6x"])
def narrow(request: pytest.FixtureRequest, box_case: Case) -> tuple[str, DoseInfluence, Prepared]:
    """K of the phantom, and points at its rows with its own depths."""
    angles, fidelity = (0.0, 51.43), Fidelity("coarse", 10, 8)
    k = influence(box_case, angles, ["PTV_7020"], fidelity, beam_model=request.param, progress=False)
    rows = np.unravel_index(k.body, k.grid.shape)
    points = np.stack([k.grid.coordinates_mm(axis)[rows[axis]] for axis in range(3)], axis=1)
    prepared = prepare(box_case, k.beams, points, beam_model=request.param)
    setup = setup_of(box_case, angles, ["PTV_7020"], fidelity, beam_model=request.param)
    depth, ssd = zip(*row_depths(setup, k.bixels), strict=True)
    depth_mm = np.nan_to_num(np.stack(depth), nan=4000).astype(np.float32)  # no depth: no dose
    return request.param, k, replace(prepared, depth_mm=depth_mm, ssd_mm=ssd, _convolutions={})


def test_dose_of_a_fluence_is_ks(narrow: tuple[str, DoseInfluence, Prepared]) -> None:
    name, k, prepared = narrow
    fluence = np.random.default_rng(0).gamma(2.0, 1.0, len(k.bixels))
    from_k = k.matrix @ fluence
    difference = (prepared.dose_of_bixels(k.bixels, fluence) - from_k) / from_k.max()
    if name == "matrad-generic":
        assert np.sqrt((difference**2).mean()) < 1e-3
        assert abs(difference).max() < 7e-3
    else:  # K ends 50 mm from each bixel, the dose does not
        assert difference.min() > -7e-3
        assert 0 < difference.mean() < 0.02


def test_one_bixels_dose_is_ks_within_its_cutoff(narrow: tuple[str, DoseInfluence, Prepared]) -> None:
    _, k, prepared = narrow
    for column in np.linspace(0, len(k.bixels) - 1, 5).astype(int):
        fluence = np.zeros(len(k.bixels))
        fluence[column] = 1
        from_k = k.matrix @ fluence
        within = from_k > 0
        difference = (prepared.dose_of_bixels(k.bixels, fluence) - from_k)[within] / from_k.max()
        assert abs(difference).max() < 0.015
        assert abs(difference.mean()) < 5e-4


def test_what_ks_cutoff_leaves_out_grows_with_the_field(box_case: Case) -> None:
    k = influence(box_case, (0.0,), ["PTV_7020"], Fidelity("", 10, 10), beam_model="generic-6x", progress=False)
    fluence = np.ones(len(k.bixels))
    rows = np.unravel_index(k.body, k.grid.shape)
    points = np.stack([k.grid.coordinates_mm(axis)[rows[axis]] for axis in range(3)], axis=1)
    beyond = dose_at(box_case, k.beams, fluence, points, bixels=k.bixels) - k.matrix @ fluence
    x, y, z = k.beams[0].from_source(*points.T)
    off_axis = np.hypot(x, z) * SAD_MM / y
    outermost = np.hypot(*k.bixels.centres_mm.T).max()
    outside = off_axis > outermost + LATERAL_CUTOFF_MM + 5
    assert outside.any()
    assert (beyond[outside] > 0).all()
    assert (k.matrix @ fluence)[outside].max() == 0


# Errors


def test_bad_fluence_is_refused() -> None:
    case, beams, bixels, prepared = four_beams()
    good = np.ones(len(bixels))
    for fluence, message in (
        (good[:-1], "another patient or another set of beams"),
        (np.where(bixels.beam == 1, np.nan, 1), "NaN or infinite"),
        (good - 2, "negative"),
    ):
        with pytest.raises(ValueError, match=message):
            dose_at(case, beams, fluence, prepared.points_mm, bixels=bixels, prepared=prepared)
    with pytest.raises(ValueError, match="4 were traced|but 1 were traced"):
        dose_at(case, beams[:1], good, prepared.points_mm, bixels=bixels)
    with pytest.raises(ValueError, match="each beam needs one"):
        dose_at(case, beams, [square(50)], prepared.points_mm)


def test_bad_points_are_refused() -> None:
    case, beams, _, _ = four_beams()
    for points, message in (
        (np.array([[0, 0, 151.0]]), "outside the CT"),
        (np.array([[0, np.nan, 0]]), "NaN"),
        (np.zeros((3, 2)), "shape"),
    ):
        with pytest.raises(ValueError, match=message):
            prepare(case, beams, points)


def test_what_was_prepared_for_something_else_is_refused() -> None:
    case, beams, bixels, prepared = four_beams()
    fluence = np.ones(len(bixels))
    with pytest.raises(ValueError, match="other beams"):
        dose_at(case, beams[::-1], fluence, prepared.points_mm, bixels=bixels, prepared=prepared)
    with pytest.raises(ValueError, match="other points"):
        dose_at(case, beams, fluence, prepared.points_mm[:-1], bixels=bixels, prepared=prepared)
    with pytest.raises(ValueError, match="another|belongs to case"):
        other = Case.from_arrays(id="other", ct_hu=case.ct_hu, structures=case.structures, voxel_size_mm=(10,) * 3)
        dose_at(other, beams, fluence, prepared.points_mm, bixels=bixels, prepared=prepared)


def test_unknown_beam_models_are_refused_with_their_names() -> None:
    case, beams, _, prepared = four_beams()
    with pytest.raises(ValueError, match="generic-6x"):
        prepare(case, beams, prepared.points_mm, beam_model="made-up")
    with pytest.raises(ValueError, match="bixels only"):
        dose_at(case, beams[:1], [square(50)], prepared.points_mm, beam_model="matrad-generic")


@pytest.mark.parametrize("grid_mm", [1.0])
def test_a_case_on_any_grid_has_its_points_where_its_ct_is(grid_mm: float) -> None:
    grid = Grid((3, 3, 3), (grid_mm,) * 3, (10, 20, 30))
    body = np.ones(grid.shape, dtype=bool)
    case = Case("tiny", np.zeros(grid.shape), {"Body": body}, grid)
    beam = Beam(0, (11, 21, 31), SAD_MM)
    assert prepare(case, [beam], np.array([[11, 21.0, 31]])).depth_mm[0, 0] == pytest.approx(1.5, abs=1e-5)
