"""The verdict's points: volumes of the masks, no bias, known to the case alone."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import numpy as np
import pytest

import radplan_env
from radplan_env.case import Case
from radplan_env.protocol import BoundProtocol, load_protocol
from radplan_env.verdict.points import VERDICT, JudgedPoints, Spacing, check_points, verdict_points
from radplan_env.verdict.regions import Regions


@pytest.fixture(scope="module")
def bound(head_and_neck_case: Case) -> BoundProtocol:
    return load_protocol("head_and_neck").bind(head_and_neck_case)


@pytest.fixture(scope="module")
def regions(head_and_neck_case: Case, bound: BoundProtocol) -> Regions:
    return Regions.of(head_and_neck_case, bound)


@pytest.fixture(scope="module")
def points(head_and_neck_case: Case, bound: BoundProtocol, regions: Regions) -> JudgedPoints:
    return verdict_points(head_and_neck_case, bound, regions)


@pytest.mark.parametrize("spacing", [VERDICT, VERDICT.times(0.5), Spacing(4, 6, 11)], ids=str)
def test_volumes_are_those_of_the_masks(
    head_and_neck_case: Case, bound: BoundProtocol, regions: Regions, spacing: Spacing
) -> None:
    placed = verdict_points(head_and_neck_case, bound, regions, spacing.times(1.5))
    for name, mask in regions.masks.items():
        volume = np.count_nonzero(mask) * head_and_neck_case.grid.voxel_cc
        assert placed.region_cc[name] == pytest.approx(volume)


def test_every_point_lies_in_a_voxel_of_its_regions(
    head_and_neck_case: Case, regions: Regions, points: JudgedPoints
) -> None:
    grid = head_and_neck_case.grid
    voxel = np.rint((points.positions_mm - np.array(grid.origin_mm)) / np.array(grid.spacing_mm)).astype(int)
    for name, mask in regions.masks.items():
        wrong = mask[tuple(voxel.T)] != points.inside(name)
        assert wrong.mean() < 1e-4, name  # float32 positions on a border round to either side


def test_points_in_targets_lie_no_further_apart_than_said(points: JudgedPoints) -> None:
    target = points.inside("PTV_7000")
    assert points.volume_cc[target].max() <= VERDICT.fine_mm**3 / 1000 + 1e-12
    assert points.volume_cc.max() <= VERDICT.far_mm**3 / 1000 + 1e-12


def test_a_smooth_dose_has_the_mean_and_the_volumes_it_should(
    head_and_neck_case: Case, bound: BoundProtocol, regions: Regions
) -> None:
    finest = verdict_points(head_and_neck_case, bound, regions, VERDICT.times(0.6))
    coarse = check_points(head_and_neck_case, bound, regions)

    def mean(placed: JudgedPoints, name: str) -> float:
        dose = 70 * np.exp(-np.square(placed.positions_mm).sum(axis=1) / 2 / 40**2)
        return float(np.average(dose[placed.inside(name)], weights=placed.volume_cc[placed.inside(name)]))

    for name in regions.masks:
        assert mean(coarse, name) == pytest.approx(mean(finest, name), abs=0.15), name


def test_a_subset_keeps_every_volume(points: JudgedPoints) -> None:
    few = points.reweighted(points.subset(5_000))
    assert len(few) < 0.2 * len(points)
    for name in points.names:
        assert few.region_cc[name] == pytest.approx(points.region_cc[name])


def test_points_belong_to_the_case(
    head_and_neck_case: Case, bound: BoundProtocol, regions: Regions, points: JudgedPoints
) -> None:
    again = verdict_points(head_and_neck_case, bound, regions)
    assert (again.positions_mm == points.positions_mm).all()
    others = check_points(head_and_neck_case, bound, regions, VERDICT)
    assert len(others) == len(points)
    assert not (others.positions_mm == points.positions_mm).all(axis=1).any()


def imported(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_neither_agents_nor_the_inner_loop_know_the_points() -> None:
    package = Path(radplan_env.__file__).parent
    rooms = [package / "fluence", package / "influence"]
    spec = importlib.util.find_spec("radplan_agents")
    if spec is not None and spec.submodule_search_locations:
        rooms.append(Path(next(iter(spec.submodule_search_locations))))
    for file in (file for room in rooms for file in room.rglob("*.py")):
        assert not {name for name in imported(file) if name.startswith("radplan_env.verdict")}, file
