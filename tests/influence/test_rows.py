"""The inner loop's points: volumes, edges, chance; and K on them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from radplan_env.case import Case
from radplan_env.dose import prepare
from radplan_env.grid import Grid, resample
from radplan_env.influence import Fidelity, influence
from radplan_env.influence.rows import Rows, Sampling, centres_mm, rows_of_grid, sampled_rows

TARGETS = ["PTV_7020"]
SAMPLING = Sampling(fine_mm=2.5, target_mm=5, near_mm=5, far_mm=10)


@pytest.fixture(scope="module")
def rows(box_case: Case) -> Rows:
    return sampled_rows(box_case, TARGETS, SAMPLING)


def test_every_structure_and_every_overlap_keeps_its_volume(box_case: Case, rows: Rows) -> None:
    fine = {name: resample(mask, box_case.grid, rows.grid) for name, mask in box_case.structures.items()}
    for name, mask in fine.items():
        assert rows.volumes_cc[rows.members[name]].sum() == pytest.approx(mask.sum() * rows.grid.voxel_cc)
        for other, also in fine.items():
            both = np.intersect1d(rows.members[name], rows.members[other])
            assert rows.volumes_cc[both].sum() == pytest.approx((mask & also).sum() * rows.grid.voxel_cc)
    assert rows.index.size < 0.2 * fine["Body"].sum()
    assert (np.diff(rows.index) > 0).all()


def test_the_inner_edge_of_a_target_is_kept_in_full(box_case: Case, rows: Rows) -> None:
    target = resample(box_case.structures["PTV_7020"], box_case.grid, rows.grid)
    edge = np.flatnonzero(target & ~ndimage.binary_erosion(target))
    assert np.isin(edge, rows.index).all()
    np.testing.assert_allclose(rows.volumes_cc[np.isin(rows.index, edge)], rows.grid.voxel_cc)


def test_spacing_grows_with_the_distance_from_targets_and_organs(box_case: Case, rows: Rows) -> None:
    masks = {name: resample(mask, box_case.grid, rows.grid) for name, mask in box_case.structures.items()}
    organs = np.logical_or.reduce([mask for name, mask in masks.items() if name != "Body"])
    far = masks["Body"] & ~organs
    far &= ndimage.distance_transform_edt(~masks["PTV_7020"], rows.grid.spacing_mm) > SAMPLING.shell_mm
    in_far = far.ravel()[rows.index]
    stands_for = rows.volumes_cc / rows.grid.voxel_cc
    assert stands_for[in_far].max() == pytest.approx(4**3)
    assert stands_for[~in_far].max() == pytest.approx(2**3)


def test_points_lie_anywhere_in_their_voxels(rows: Rows) -> None:
    offset = (rows.points_mm - centres_mm(rows.grid, rows.index)) / rows.grid.spacing_mm
    assert np.abs(offset).max() <= 0.5 + 1e-9
    np.testing.assert_allclose(offset.mean(axis=0), 0, atol=0.02)
    np.testing.assert_allclose(offset.std(axis=0), np.sqrt(1 / 12), rtol=0.03)


def test_rows_of_a_grid_are_its_voxels_centres(box_case: Case) -> None:
    rows = rows_of_grid(box_case, box_case.grid.coarsened(5))
    z, y, x = np.unravel_index(rows.index[7], rows.grid.shape)
    expected = [rows.grid.coordinates_mm(axis)[i] for axis, i in enumerate((z, y, x))]
    np.testing.assert_allclose(rows.points_mm[7], expected)


def test_air_round_the_body_changes_no_volume(box_case: Case, rows: Rows) -> None:
    margin = 12
    grid = Grid(
        tuple(n + 2 * margin for n in box_case.grid.shape),
        box_case.grid.spacing_mm,
        tuple(o - margin * s for o, s in zip(box_case.grid.origin_mm, box_case.grid.spacing_mm, strict=True)),
    )
    wide = Case(
        "phantom/wide",
        np.pad(box_case.ct_hu, margin, constant_values=-1000),
        {name: np.pad(mask, margin) for name, mask in box_case.structures.items()},
        grid,
    )
    inside = sampled_rows(wide, TARGETS, SAMPLING)
    assert np.prod(inside.grid.shape) < 1.1 * np.prod(rows.grid.shape)
    for name, members in rows.members.items():
        assert inside.volume_cc(inside.members[name]) == pytest.approx(rows.volume_cc(members), rel=1e-3), name


def test_equal_cases_have_equal_rows_and_others_do_not(box_case: Case, rows: Rows) -> None:
    again = sampled_rows(box_case, TARGETS, SAMPLING)
    np.testing.assert_array_equal(again.index, rows.index)
    warmer = Case("phantom/warmer", box_case.ct_hu + 1, box_case.structures, box_case.grid)
    assert not np.array_equal(sampled_rows(warmer, TARGETS, SAMPLING).index, rows.index)


def test_a_structure_finer_than_the_grid_keeps_a_row(box_case: Case) -> None:
    tiny = np.zeros(box_case.grid.shape, dtype=bool)
    tiny[20, 21, 30] = True
    case = Case("phantom/tiny", box_case.ct_hu, {**box_case.structures, "Bladder": tiny}, box_case.grid)
    coarse = sampled_rows(case, TARGETS, Sampling(fine_mm=10, target_mm=10, near_mm=10, far_mm=20))
    assert coarse.members["Bladder"].size >= 1


def test_k_on_rows_is_that_of_the_whole_grid_there(box_case: Case) -> None:
    fidelity = Fidelity("", 5, 20)
    every = rows_of_grid(box_case, box_case.grid.coarsened(5))
    some = np.arange(3, every.index.size, 7)
    rows = Rows(every.grid, every.index[some], every.points_mm[some], every.volumes_cc[some], {})
    whole = influence(box_case, (0.0, 75.0), TARGETS, fidelity, progress=False)
    part = influence(box_case, (0.0, 75.0), TARGETS, fidelity, rows=rows, progress=False)
    assert part.matrix.shape == (some.size, len(part.bixels))
    difference = part.matrix - whole.matrix[some]
    assert difference.nnz == 0 or np.abs(difference).max() == 0


def test_k_is_the_dose_at_the_points_themselves(box_case: Case, rows: Rows) -> None:
    k = influence(
        box_case, (0.0, 75.0), TARGETS, Fidelity("", 5, 20), rows=rows, beam_model="generic-6x", progress=False
    )
    column = int(np.argmin(np.hypot(*k.bixels.centres_mm.T)))
    fluence = np.eye(1, len(k.bixels), column)[0]
    from_k = k.matrix @ fluence
    dose = prepare(box_case, k.beams, rows.points_mm).dose_of_bixels(k.bixels, fluence)
    difference = np.abs(dose - from_k)[from_k > 0]
    assert difference.max() < 0.005 * dose.max()
    assert np.sqrt(np.mean(difference**2)) < 5e-4 * dose.max()


def test_the_dose_of_a_field_has_the_fine_grids_mean(box_case: Case, rows: Rows) -> None:
    fidelity = Fidelity("", 2.5, 20)
    fine = rows_of_grid(box_case, box_case.grid.coarsened(2.5))
    whole, sampled = (
        influence(box_case, (0.0, 75.0), TARGETS, fidelity, rows=each, progress=False) for each in (fine, rows)
    )
    for name, members in rows.members.items():
        field = np.ones(len(whole.bixels), dtype=np.float32)
        mean = float(np.average((sampled.matrix @ field)[members], weights=rows.volumes_cc[members]))
        assert mean == pytest.approx(float((whole.matrix @ field)[fine.members[name]].mean()), rel=0.02), name


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"near_mm": 4.0}, "no multiple"), ({"far_mm": 0.0}, "positive"), ({"shell_mm": float("nan")}, "positive")],
)
def test_what_is_no_sampling_is_refused(changed: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Sampling(**changed)
