"""Regions that plans are judged in, on phantoms whose distances are known."""

from __future__ import annotations

import numpy as np
import pytest

from radplan_env.case import Case
from radplan_env.distance import depth_mm, distance_mm
from radplan_env.errors import CaseError
from radplan_env.grid import Grid
from radplan_env.protocol import load_protocol
from radplan_env.skin import cropped_targets
from radplan_env.verdict.regions import Regions

GRID = Grid((41, 41, 41), (2.0, 2.0, 2.0), (-40.0, -40.0, -40.0))


def ball(radius_mm: float, centre: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
    axes = np.meshgrid(*(GRID.coordinates_mm(axis) for axis in range(3)), indexing="ij")
    return np.square([a - c for a, c in zip(axes, centre, strict=True)]).sum(axis=0) <= radius_mm**2


def radius() -> np.ndarray:
    axes = np.meshgrid(*(GRID.coordinates_mm(axis) for axis in range(3)), indexing="ij")
    return np.sqrt(np.square(axes).sum(axis=0))


def neck(**structures: np.ndarray) -> Case:
    body = np.zeros(GRID.shape, dtype=bool)
    body[:, 2:39, 2:39] = True
    return Case.from_arrays(
        id="phantom/regions",
        ct_hu=np.where(body, 0.0, -1000.0),
        structures={"Body": body, **structures},
        voxel_size_mm=GRID.spacing_mm,
        source="phantom",
    )


def test_distances_of_a_ball() -> None:
    outside = distance_mm(ball(16), GRID, 12)
    assert (outside[ball(16)] == 0).all()
    known = (outside > 0) & np.isfinite(outside)
    assert outside[known] == pytest.approx(radius()[known] - 16, abs=2)
    assert np.isinf(outside[radius() > 30]).all()
    inside = depth_mm(ball(16), ball(10), GRID)
    assert inside[ball(10)] == pytest.approx(16 - radius()[ball(10)], abs=2)


def test_targets_keep_from_the_skin_but_not_from_air_within_or_the_ends_of_the_scan() -> None:
    target = np.zeros(GRID.shape, dtype=bool)
    target[:, 2:20, 15:25] = True
    case = neck(PTV_7000=target)
    air = case.structures["Body"].copy()
    air[10:30, 22:26, 18:22] = False  # a cavity in every slice it touches
    hollow = neck(PTV_7000=target, Body=air)
    for each in (case, hollow):
        (cropped,) = cropped_targets(each, ["PTV_7000"]).values()
        kept = np.flatnonzero(cropped.any(axis=(0, 2)))
        assert kept.min() - 2 == 2, "centres 1 and 3 mm deep are gone, 5 mm are kept"
        assert kept.max() == 19
        assert cropped[0].any() and cropped[-1].any()


def test_a_target_in_the_skin_is_none_to_plan() -> None:
    target = np.zeros(GRID.shape, dtype=bool)
    target[15:25, 2:4, 15:25] = True
    with pytest.raises(CaseError, match="PTV_7000 lies wholly within 5 mm of the skin"):
        cropped_targets(neck(PTV_7000=target), ["PTV_7000"])


def test_cores_and_targets_alone() -> None:
    high, low = ball(12), ball(24) & ~ball(12)
    case = neck(PTV_7000=high, PTV_5600=low, SpinalCord=ball(6, (0, 30, 0)))
    masks = Regions.of(case, load_protocol("head_and_neck").bind(case)).masks
    assert radius()[masks["PTV_7000.core"]].max() == pytest.approx(8, abs=1.5)
    core = radius()[masks["PTV_5600.core"]]
    assert core.min() < 13, "no rim towards the higher target"
    assert core.max() == pytest.approx(20, abs=1.5)
    assert radius()[masks["PTV_5600.alone"]].min() == pytest.approx(17, abs=1.5)
    assert (masks["PTV_7000.alone"] == high).all()
    assert (masks["OutsideTargets"] == case.structures["Body"] & ~ball(24)).all()


def test_a_drawn_ctv_is_the_core() -> None:
    case = neck(PTV_7000=ball(16), CTV_7000=ball(14))
    masks = Regions.of(case, load_protocol("head_and_neck").bind(case)).masks
    assert (masks["PTV_7000.core"] == ball(14)).all()


def test_small_targets_are_their_own_core_and_have_nothing_alone() -> None:
    case = neck(PTV_7000=ball(8, (0, 0, -12)), PTV_5600=ball(6, (0, 0, 4)))
    masks = Regions.of(case, load_protocol("head_and_neck").bind(case)).masks
    assert (masks["PTV_5600.core"] == ball(6, (0, 0, 4))).all()
    assert "PTV_5600.alone" not in masks
