"""Our pencil beam: entry by entry against pyRadPlan's engine, and what must not change K."""

from __future__ import annotations

from itertools import pairwise

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from radplan_env.beam_models import beam_model_named
from radplan_env.beam_models.sampled import SampledKernels
from radplan_env.case import Case
from radplan_env.grid import Grid
from radplan_env.influence import ENGINES, DoseInfluence, Fidelity, influence
from radplan_env.influence.bixels import bixels_covering_target
from radplan_env.influence.depth import radiological_depth
from radplan_env.influence.matrix import setup_of
from radplan_env.influence.setup import LATERAL_CUTOFF_MM

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
    (ours, bixels), (theirs, their_bixels) = (ENGINES[name](setup, False) for name in ("radplan", "pyradplan"))
    np.testing.assert_array_equal(bixels.beam, their_bixels.beam)
    np.testing.assert_array_equal(bixels.place, their_bixels.place)
    assert bixels.width_mm == their_bixels.width_mm
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
    bixels = bixels_covering_target(setup)
    for index, (ours, theirs) in enumerate(zip(setup.beams, steering.beams, strict=True)):
        positions = np.array([ray.ray_pos_bev[[0, 2]] for ray in theirs.rays])
        np.testing.assert_allclose(bixels.centres_mm[bixels.of_beam(index)], positions, atol=1e-4)
        np.testing.assert_allclose(ours.isocentre_mm, theirs.iso_center[::-1], atol=1e-4)


@settings(max_examples=20)
@given(
    angle=st.floats(0, 360),
    collimator=st.floats(0, 360),
    offset=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    bixel_mm=st.floats(2, 30),
)
def test_bixels_cover_the_target(
    box_case: Case, angle: float, collimator: float, offset: tuple[float, float], bixel_mm: float
) -> None:
    fidelity = Fidelity("", 10, bixel_mm, offset)
    setup = setup_of(box_case, (angle,), ["PTV_7020"], fidelity, collimator)
    bixels, (beam,) = bixels_covering_target(setup), setup.beams
    index = np.nonzero(setup.target)
    x, y, z = beam.from_source(*(setup.grid.coordinates_mm(axis)[index[axis]] for axis in range(3)))
    turn = np.deg2rad(collimator)
    turned = [np.cos(turn) * x + np.sin(turn) * z, np.cos(turn) * z - np.sin(turn) * x]
    seen = np.stack(turned, axis=1) * SAD_MM / y[:, None]
    low, high = bixels.edges_mm[..., 0] - 1e-6, bixels.edges_mm[..., 1] + 1e-6
    covered = ((low <= seen[:, None]) & (seen[:, None] <= high)).all(axis=2).any(axis=1)
    assert covered.all()
    assert all(tuple(a) < tuple(b) for a, b in pairwise(bixels.place))


def test_bixel_edges_fall_on_leaf_boundaries_where_the_offset_says_so(box_case: Case) -> None:
    k = build(box_case, (0.0, 40.0), Fidelity("leaves of 5 mm", 10, 5, bixel_offset=(0, 0.5)))
    np.testing.assert_allclose(k.bixels.edges_mm[:, 1] % 5, 0, atol=1e-9)
    np.testing.assert_allclose(k.bixels.centres_mm[:, 0] % 5, 0, atol=1e-9)


def test_a_moved_lattice_moves_the_dose_with_it(box_case: Case) -> None:
    """One field, open on the same square, of bixels of 10 mm and of bixels of 5 mm moved by half a bixel."""
    whole = build(box_case, (0.0,), Fidelity("", 5, 10))
    halves = build(box_case, (0.0,), Fidelity("", 5, 5, bixel_offset=(0.5, 0.5)))
    open_whole, open_halves = (
        (np.abs(k.bixels.edges_mm) < 15.1).all(axis=(1, 2)).astype(np.float32) for k in (whole, halves)
    )
    assert open_whole.sum() == 9 and open_halves.sum() == 36
    dose = whole.matrix @ open_whole
    np.testing.assert_allclose(halves.matrix @ open_halves, dose, atol=0.03 * dose.max())


def test_a_collimator_turned_by_a_quarter_swaps_the_lattice_axes(box_case: Case) -> None:
    """Bixels with an edge on one axis only: turned by 90 degrees, the dose is that of the other axis's edges."""
    targets = ["PTV_7020"]
    straight = influence(box_case, (30.0,), targets, Fidelity("", 5, 10, (0.5, 0)), progress=False)
    turned = influence(
        box_case, (30.0,), targets, Fidelity("", 5, 10, (0, 0.5)), collimator_angles_deg=90, progress=False
    )

    def field(k: DoseInfluence) -> NDArray[np.float64]:
        """Open where 0 < x < 20 and -5 < z < 5 mm beside the gantry's axes."""
        x, z = k.beams[0].from_collimator(*k.bixels.centres_mm.T)
        opened = (x > 0) & (x < 20) & (np.abs(z) < 5)
        assert opened.sum() == 2
        return k.matrix @ opened

    dose = field(straight)
    # The kernels' slip of a quarter of a millimetre turns with the collimator: edges move by half a millimetre.
    np.testing.assert_allclose(field(turned), dose, atol=0.1 * dose.max())
    assert np.corrcoef(field(turned), dose)[0, 1] > 0.995


def test_pyradplan_refuses_what_it_cannot_do(box_case: Case) -> None:
    moved = Fidelity("", 10, 20, bixel_offset=(0.5, 0))
    for fidelity, collimator in ((moved, 0.0), (COARSE, 10.0)):
        with pytest.raises(ValueError, match="use engine 'radplan'"):
            influence(
                box_case,
                (0.0,),
                ["PTV_7020"],
                fidelity,
                engine="pyradplan",
                collimator_angles_deg=collimator,
                progress=False,
            )


def test_turning_patient_and_gantry_together_changes_nothing(rough_case: Case) -> None:
    turned = Case(
        "phantom/turned",
        np.rot90(rough_case.ct_hu, axes=(1, 2)),
        {name: np.rot90(mask, axes=(1, 2)) for name, mask in rough_case.structures.items()},
        rough_case.grid,
    )
    # np.rot90 takes what lay on the patient's left (high x) to the front (low y).
    straight, quarter = build(rough_case, (110.0,), FINE), build(turned, (20.0,), FINE)
    assert len(quarter.bixels) == len(straight.bixels)
    fluence = np.random.default_rng(0).uniform(size=len(straight.bixels))
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
    (beam,) = k.beams
    centres = (k.grid.coordinates_mm(axis)[i] for axis, i in enumerate(np.unravel_index(k.body, k.grid.shape)))
    voxels = np.stack(beam.from_source(*centres), axis=1)
    for column, (x, z) in enumerate(k.bixels.centres_mm):
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
    bixels, (beam,) = bixels_covering_target(setup), setup.beams
    density, grid = water_cube(50, 4.0)
    depth, ssd_mm = radiological_depth(density, grid, beam, bixels.centres_mm, LATERAL_CUTOFF_MM)
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
    setup = setup_of(box_case, (0.0,), ["PTV_7020"], COARSE)
    bixels, (beam,) = bixels_covering_target(setup), setup.beams
    density, grid = water_cube(50, 4.0)
    density[:, :10] = 0.001
    _, ssd_mm = radiological_depth(density, grid, beam, bixels.centres_mm, LATERAL_CUTOFF_MM)
    assert ssd_mm == pytest.approx(SAD_MM - 60, abs=1e-3)


def test_the_linac_is_pyradplans() -> None:
    pytest.importorskip("pyRadPlan")
    from pyRadPlan.machines import load_from_name

    theirs, ours = load_from_name("photons", "Generic"), beam_model_named("matrad-generic")
    kernel = theirs.get_kernel_by_energy(6.0)
    assert isinstance(ours.kernels, SampledKernels)
    assert (ours.sad_mm, ours.attenuation_per_mm) == (theirs.sad, kernel.m)
    assert ours.kernels.penumbra_fwhm_mm == kernel.penumbra
    np.testing.assert_array_equal(ours.build_up_per_mm, kernel.kernel_betas)
    for ssd_mm in [*ours.kernels.ssd_mm, 850.2, 913.7]:
        np.testing.assert_array_equal(ours.kernels.kernels_at(ssd_mm), kernel.get_kernels_at_ssd(ssd_mm))
