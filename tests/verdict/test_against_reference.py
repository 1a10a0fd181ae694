"""Plans against reference plans: on the reference's voxels, scaled alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from radplan_env.case import Case
from radplan_env.protocol import load_protocol
from radplan_env.verdict.against_reference import compared, judged_voxels, voxel_points
from radplan_env.verdict.regions import Regions


@pytest.fixture(scope="module")
def planned(head_and_neck_case: Case) -> Case:
    """The phantom with a reference dose."""
    rng = np.random.default_rng(0)
    return replace(head_and_neck_case, reference_dose_gy=rng.uniform(40, 70, head_and_neck_case.grid.shape))


def test_a_plan_is_as_good_as_itself_whatever_its_scale(planned: Case) -> None:
    protocol = load_protocol("head_and_neck").bind(planned)
    regions = Regions.of(planned, protocol)
    voxels = judged_voxels(protocol, regions)
    assert planned.reference_dose_gy is not None
    result = compared(planned, protocol, regions, voxels, 1.7 * planned.reference_dose_gy.ravel()[voxels])
    assert result["ours"] == pytest.approx(result["reference"], rel=1e-5)
    assert result["ours"]["PTV_7000 D95%"] == pytest.approx(70, rel=1e-5)
    assert {"PTV_7000 D0.1cc", "Parotid_L mean", "SpinalCord D0.1cc"} <= result["ours"].keys()
    assert not [name for name in result["ours"] if "OutsideTargets" in name or "CI" in name or "0.03cc" in name]


def test_a_voxels_points_lie_in_it_and_balance(planned: Case) -> None:
    voxels = np.array([0, 12345])
    points = voxel_points(planned, voxels).reshape(2, -1, 3)
    centres = np.stack(np.unravel_index(voxels, planned.grid.shape), axis=1) * 5.0 + planned.grid.origin_mm
    assert points.mean(axis=1) == pytest.approx(centres)
    assert abs(points - centres[:, None]).max() == pytest.approx(1.25)
