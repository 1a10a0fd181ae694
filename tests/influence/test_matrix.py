"""The dose-influence matrix: physics against known beam data, and what is asked for wrongly."""

from __future__ import annotations

import numpy as np
import pytest

from radplan_env.case import Case
from radplan_env.errors import CaseError
from radplan_env.influence import DoseInfluence, Fidelity, influence

COARSE = Fidelity("coarse", dose_grid_mm=10, bixel_mm=20)


def build(case: Case, angles: tuple[float, ...] = (0.0, 90.0)) -> DoseInfluence:
    return influence(case, angles, ["PTV_7020"], COARSE, progress=False)


def test_rows_are_body_voxels_and_columns_are_bixels(box_case: Case) -> None:
    k = build(box_case)
    assert k.matrix.shape == (k.body.size, len(k.bixels))
    assert k.matrix.dtype == np.float32
    assert k.matrix.data.min() >= 0
    assert set(k.bixels.beam) == {0, 1}
    assert k.grid.spacing_mm == (10, 10, 10)
    volume = k.body.size * k.grid.voxel_cc
    assert volume == pytest.approx(box_case.volume_cc("Body"), rel=0.05)


def test_beams_enter_where_their_gantry_angle_says_and_weaken_with_depth(box_case: Case) -> None:
    k = build(box_case, (0.0, 90.0, 180.0, 270.0))
    z = k.grid.shape[0] // 2
    for beam, axis, sign in ((0, 0, 1), (1, 1, -1), (2, 0, -1), (3, 1, 1)):
        dose = k.volume(k.matrix @ (k.bixels.beam == beam).astype(np.float32))[z]
        middle = dose.shape[0] // 2
        line = dose[:, middle] if axis == 0 else dose[middle]
        along = line[::sign]
        inside = along[along > 0.05 * along.max()]
        # 0° comes from anterior (low y), 90° from the patient's left (high x): IEC 61217.
        assert inside[:3].mean() > 1.5 * inside[-3:].mean()


def test_depth_dose_in_water_is_that_of_a_6_mv_beam(box_case: Case) -> None:
    fine = Fidelity("fine", dose_grid_mm=5, bixel_mm=10)
    k = influence(box_case, [0.0], ["PTV_7020"], fine, progress=False)
    dose = k.volume(k.matrix @ np.ones(len(k.bixels), dtype=np.float32))
    line = dose[dose.shape[0] // 2, :, dose.shape[2] // 2]
    surface = np.flatnonzero(line > 0)[0]
    depth = 5.0 * (np.arange(line.size) - surface) + 2.5
    at = np.interp([15.0, 100.0, 150.0], depth, line)
    # Percentage depth dose of 6 MV at 100 mm, small field, SSD 90 to 100 cm: 60 to 70 % (BJR Suppl. 25).
    assert 0.56 < at[1] / at[0] < 0.72
    assert at[2] < at[1]


def test_dose_in_bone_and_air_differs_from_water(box_case: Case) -> None:
    ct = np.array(box_case.ct_hu)
    ct[:, : ct.shape[1] // 2 - 4, :] = np.where(ct[:, : ct.shape[1] // 2 - 4, :] > -500, 800, -1000)
    shielded = Case("phantom/bone", ct, box_case.structures, box_case.grid)
    water, bone = (build(case, (0.0,)) for case in (box_case, shielded))
    fluence = np.ones(len(water.bixels), dtype=np.float32)
    behind = water.grid.shape[1] * 2 // 3
    middle = water.grid.shape[0] // 2, behind, water.grid.shape[2] // 2
    assert bone.volume(bone.matrix @ fluence)[middle] < 0.95 * water.volume(water.matrix @ fluence)[middle]


def test_bad_requests_are_named(box_case: Case) -> None:
    with pytest.raises(ValueError, match="choose from coarse, fast"):
        influence(box_case, [0], ["PTV_7020"], "finest")
    with pytest.raises(ValueError, match="finite"):
        influence(box_case, [float("nan")], ["PTV_7020"], COARSE)
    with pytest.raises(ValueError, match="share a gantry and a collimator angle"):
        influence(box_case, [0, 360], ["PTV_7020"], COARSE)
    with pytest.raises(CaseError, match="no target"):
        influence(box_case, [0], ["PTV_7000"], COARSE)
    with pytest.raises(ValueError, match="finite"):
        influence(box_case, [], ["PTV_7020"], COARSE)
    with pytest.raises(CaseError, match="no target"):
        influence(box_case, [0], [], COARSE)
    with pytest.raises(ValueError, match="choose from radplan, pyradplan"):
        influence(box_case, [0], ["PTV_7020"], COARSE, engine="montecarlo")


@pytest.mark.parametrize(("dose_grid_mm", "bixel_mm"), [(0.1, 5), (5, 0.5), (float("nan"), 5), (5, float("inf"))])
def test_a_fidelity_that_cannot_be_computed_is_refused(dose_grid_mm: float, bixel_mm: float) -> None:
    with pytest.raises(ValueError, match="at least"):
        Fidelity("odd", dose_grid_mm, bixel_mm)
