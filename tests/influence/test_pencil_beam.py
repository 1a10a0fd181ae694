"""Our pencil beam: entry by entry against pyRadPlan's engine, and what must not change K."""

from __future__ import annotations

from itertools import pairwise

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from radplan_env.case import Case
from radplan_env.grid import Grid
from radplan_env.influence import ENGINES, DoseInfluence, Fidelity, influence
from radplan_env.influence.beams import beams_covering_target
from radplan_env.influence.depth import radiological_depth
from radplan_env.influence.linac import linac
from radplan_env.influence.matrix import setup_of
from radplan_env.influence.pencil_beam import LATERAL_CUTOFF_MM

FINE = Fidelity("fine", dose_grid_mm=5, bixel_mm=7)
COARSE = Fidelity("coarse", dose_grid_mm=10, bixel_mm=17)
SAD_MM = 1000.0


def build(case: Case, angles: tuple[float, ...], fidelity: Fidelity = COARSE) -> DoseInfluence:
    return influence(case, angles, ["PTV_7020"], fidelity, progress=False)


@pytest.fixture(scope="module")
def rough_case(box_case: Case) -> Case:
    """The phantom with bone and lung in the way of the beams, off its axes of symmetry."""
    ct = np.array(box_case.ct_hu)
    ct[box_case.structures["Femur_Head_L"]] = 900
    ct[box_case.structures["Rectum"]] = -700
    ct[:, :14, 10:20] = np.where(ct[:, :14, 10:20] > -500, 300, -1000)
    target = np.roll(box_case.structures["PTV_7020"], (2, 1, -1), (0, 1, 2))
    return Case("phantom/rough", ct, {**box_case.structures, "PTV_7020": target}, box_case.grid)


def test_k_is_pyradplans(rough_case: Case) -> None:
    # The phantom's voxels are the dose grid's, so that both engines count the same voxels as body.
    setup = setup_of(rough_case, (0.0, 51.43, 200.0), ["PTV_7020"], Fidelity("like the CT", 5, 9))
    (ours, beam), (theirs, their_beam) = (ENGINES[name](setup, False) for name in ("radplan", "pyradplan"))
    np.testing.assert_array_equal(beam, their_beam)
    assert abs(ours.nnz - theirs.nnz) < 1e-5 * theirs.nnz
    ours.sort_indices()
    peak = theirs.max(axis=0).toarray().ravel()
    difference = (ours - theirs).tocoo()
    relative = np.abs(difference.data) / peak[difference.col]
    assert relative.max() < 0.01  # where float32 hands a voxel between bone and air to the next ray
    assert np.quantile(relative, 0.999) < 2e-4
    open_field = ours.sum(axis=1), theirs.sum(axis=1)
    np.testing.assert_allclose(*open_field, atol=2e-3 * open_field[1].max())


@pytest.mark.parametrize("bixel_mm", [3.0, 5.0, 8.0, 20.0])
def test_bixels_are_pyradplans_in_its_order(rough_case: Case, bixel_mm: float) -> None:
    pyradplan = pytest.importorskip("pyRadPlan")
    from radplan_env.influence.pyradplan import problem

    setup = setup_of(rough_case, (0.0, 77.0, 270.0), ["PTV_7020"], Fidelity("", 10, bixel_mm))
    steering = pyradplan.generate_stf(*problem(setup))
    for ours, theirs in zip(beams_covering_target(setup, SAD_MM), steering.beams, strict=True):
        positions = np.array([ray.ray_pos_bev[[0, 2]] for ray in theirs.rays])
        np.testing.assert_allclose(ours.positions_mm, positions, atol=1e-4)
        np.testing.assert_allclose(ours.isocentre_mm, theirs.iso_center[::-1], atol=1e-4)


@settings(max_examples=20)
@given(angle=st.floats(0, 360), bixel_mm=st.floats(2, 30))
def test_bixels_cover_the_target(box_case: Case, angle: float, bixel_mm: float) -> None:
    setup = setup_of(box_case, (angle,), ["PTV_7020"], Fidelity("", 10, bixel_mm))
    (beam,) = beams_covering_target(setup, SAD_MM)
    index = np.nonzero(setup.target)
    x, y, z = beam.from_source(*(setup.grid.coordinates_mm(axis)[index[axis]] for axis in range(3)))
    seen = np.stack([x, z], axis=1) * SAD_MM / y[:, None]
    bixels = {tuple(place) for place in beam.bixels}
    assert {tuple(place) for place in np.rint(seen / bixel_mm).astype(int)} <= bixels
    assert len(bixels) == len(beam.bixels)
    assert all(tuple(a) < tuple(b) for a, b in pairwise(beam.bixels))


def test_turning_patient_and_gantry_together_changes_nothing(rough_case: Case) -> None:
    turned = Case(
        "phantom/turned",
        np.rot90(rough_case.ct_hu, axes=(1, 2)),
        {name: np.rot90(mask, axes=(1, 2)) for name, mask in rough_case.structures.items()},
        rough_case.grid,
    )
    # np.rot90 takes what lay on the patient's left (high x) to the front (low y).
    straight, quarter = build(rough_case, (110.0,), FINE), build(turned, (20.0,), FINE)
    assert quarter.beam.size == straight.beam.size
    fluence = np.random.default_rng(0).uniform(size=straight.beam.size)
    dose = np.rot90(straight.volume(straight.matrix @ fluence), axes=(1, 2))
    np.testing.assert_allclose(quarter.volume(quarter.matrix @ fluence), dose, atol=5e-4 * dose.max())


def test_moving_the_patient_and_the_isocentre_together_changes_nothing(rough_case: Case) -> None:
    z, y, x = rough_case.grid.origin_mm
    moved_grid = Grid(rough_case.grid.shape, rough_case.grid.spacing_mm, (z + 123.25, y - 64.5, x + 32.0))
    moved = Case("phantom/moved", rough_case.ct_hu, rough_case.structures, moved_grid)
    here, there = build(rough_case, (33.0,)).matrix, build(moved, (33.0,)).matrix
    np.testing.assert_allclose(there.toarray(), here.toarray(), atol=1e-5 * here.max())


def test_every_number_of_threads_gives_the_same_bits(rough_case: Case) -> None:
    cores = numba.get_num_threads()
    if cores < 2:
        pytest.skip("one core: there is no other number of threads")
    several = build(rough_case, (0.0, 130.0)).matrix
    numba.set_num_threads(1)
    try:
        alone = build(rough_case, (0.0, 130.0)).matrix
    finally:
        numba.set_num_threads(cores)
    for part in ("indptr", "indices", "data"):
        np.testing.assert_array_equal(getattr(several, part), getattr(alone, part))


def test_rows_are_sorted_and_no_column_comes_twice(rough_case: Case) -> None:
    matrix = build(rough_case, (0.0, 45.0, 90.0), FINE).matrix
    matrix.has_canonical_format = False
    unsorted = matrix.copy()
    unsorted.sum_duplicates()
    np.testing.assert_array_equal(matrix.indices, unsorted.indices)
    assert matrix.indices.dtype == np.int32  # no copy in a wider type


def test_dose_ends_at_the_lateral_cutoff(box_case: Case) -> None:
    k = build(box_case, (0.0,), Fidelity("", 5, 30))
    (beam,) = beams_covering_target(setup_of(box_case, (0.0,), ["PTV_7020"], Fidelity("", 5, 30)), SAD_MM)
    centres = (k.grid.coordinates_mm(axis)[i] for axis, i in enumerate(np.unravel_index(k.body, k.grid.shape)))
    voxels = np.stack(beam.from_source(*centres), axis=1)
    for column, (x, z) in enumerate(beam.positions_mm):
        axis = np.array([x, SAD_MM, z]) / np.hypot(np.hypot(x, z), SAD_MM)
        along = voxels @ axis
        off_axis = np.linalg.norm(voxels - along[:, None] * axis, axis=1) * SAD_MM / along
        dosed = k.matrix[:, [column]].toarray().ravel() > 0
        assert off_axis[dosed].max() < LATERAL_CUTOFF_MM + 1e-3
        # 40 mm: rays are traced up to 50 mm from the bixels on a plane behind the patient.
        assert dosed[off_axis < 40].all()


def water_cube(voxels: int, spacing_mm: float) -> tuple[NDArray[np.float32], Grid]:
    half = (voxels - 1) / 2 * spacing_mm
    return np.ones((voxels,) * 3, dtype=np.float32), Grid((voxels,) * 3, (spacing_mm,) * 3, (-half,) * 3)


@pytest.mark.parametrize("angle", [0.0, 30.0, 45.0, 180.0, 270.0])
def test_depth_in_water_is_the_way_through_it(box_case: Case, angle: float) -> None:
    setup = setup_of(box_case, (angle,), ["PTV_7020"], COARSE)
    (beam,) = beams_covering_target(setup, SAD_MM)
    density, grid = water_cube(50, 4.0)
    depth, ssd_mm = radiological_depth(density, grid, beam, LATERAL_CUTOFF_MM)
    z, y, x = np.meshgrid(*(grid.coordinates_mm(axis) for axis in range(3)), indexing="ij")
    cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    source = np.array([0, -cos, sin]) * SAD_MM + beam.isocentre_mm
    way = np.stack([z, y, x]) - source[:, None, None, None]
    with np.errstate(divide="ignore"):
        faces = (np.array([-100, 100])[:, None, None, None, None] - source[:, None, None, None]) / way
    entry = faces.min(axis=0).max(axis=0)
    expected = (1 - entry) * np.linalg.norm(way, axis=0)
    traced = np.isfinite(depth)
    assert traced[20:30, 20:30, 20:30].all()
    error = (depth - expected)[traced]
    assert np.abs(error).max() < 4.0  # the ray beside the centre, in the middle of its way through the voxel
    assert abs(error.mean()) < 0.05
    assert ssd_mm == pytest.approx(SAD_MM - 100 / max(abs(cos), abs(sin)), abs=1e-3)


def test_source_surface_distance_ends_at_tissue_not_at_air(box_case: Case) -> None:
    (beam,) = beams_covering_target(setup_of(box_case, (0.0,), ["PTV_7020"], COARSE), SAD_MM)
    density, grid = water_cube(50, 4.0)
    density[:, :10] = 0.001
    _, ssd_mm = radiological_depth(density, grid, beam, LATERAL_CUTOFF_MM)
    assert ssd_mm == pytest.approx(SAD_MM - 60, abs=1e-3)


def test_the_linac_is_pyradplans() -> None:
    pytest.importorskip("pyRadPlan")
    from pyRadPlan.machines import load_from_name

    theirs, ours = load_from_name("photons", "Generic"), linac()
    kernel = theirs.get_kernel_by_energy(6.0)
    assert (ours.sad_mm, ours.attenuation_per_mm, ours.penumbra_fwhm_mm) == (theirs.sad, kernel.m, kernel.penumbra)
    np.testing.assert_array_equal(ours.build_up_per_mm, kernel.kernel_betas)
    for ssd_mm in [*ours.ssd_mm, 850.2, 913.7]:
        np.testing.assert_array_equal(ours.kernels_at(ssd_mm), kernel.get_kernels_at_ssd(ssd_mm))
