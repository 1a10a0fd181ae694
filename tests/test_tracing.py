"""Depth of a point: the way through water, slabs, and a walk in small steps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radplan_env.beams import Beam
from radplan_env.grid import Grid
from radplan_env.tracing import body_density, depths, surface_distance_mm

GRID = Grid((20, 24, 28), (5.0, 4.0, 3.0), (-47.5, -46.0, -40.5))


def hounsfield(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-900, 900, GRID.shape).astype(np.float32)


@settings(max_examples=10)
@given(angle=st.floats(0, 360), seed=st.integers(0, 100))
def test_depth_is_what_small_steps_add_up_to(angle: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    body = np.zeros(GRID.shape, dtype=bool)
    body[2:-2, 3:-3, 2:-5] = rng.random((16, 18, 21)) > 0.1
    density, grid = body_density(hounsfield(seed), body, GRID)
    beam = Beam(angle, (3.0, -4.0, 5.0), 1000.0)
    low = np.array(GRID.origin_mm) - np.array(GRID.spacing_mm) / 2
    points = low + rng.random((20, 3)) * GRID.extent_mm
    cos, sin = beam.cos_sin
    source = np.array([3.0, -4.0 - 1000 * cos, 5.0 + 1000 * sin])
    steps = (np.arange(20_000) + 0.5) / 20_000
    expected = []
    for point in points:
        way = point - source
        near = np.linalg.norm(way) - 250
        along = near + (np.linalg.norm(way) - near) * steps
        place = source + along[:, None] / np.linalg.norm(way) * way
        index = np.floor((place - (np.array(grid.origin_mm) - np.array(grid.spacing_mm) / 2)) / grid.spacing_mm)
        inside = ((index >= 0) & (index < grid.shape)).all(axis=1)
        expected.append(density[tuple(index[inside].astype(int).T)].sum() * 250 / 20_000)
    np.testing.assert_allclose(depths(density, grid, beam, points), expected, atol=0.3)


@pytest.mark.parametrize("angle", [0.0, 90.0, 180.0, 270.0, 30.0])
def test_depth_in_water_along_the_axis(angle: float) -> None:
    body = np.ones((30, 30, 30), dtype=bool)
    grid = Grid(body.shape, (10.0,) * 3, (-145.0,) * 3)
    density, padded = body_density(np.zeros(body.shape, dtype=np.float32), body, grid)
    beam = Beam(angle, (0.0, 0.0, 0.0), 1000.0)
    reach = 150 / max(abs(c) for c in beam.cos_sin)
    assert depths(density, padded, beam, np.zeros((1, 3)))[0] == pytest.approx(reach, abs=1e-3)
    assert surface_distance_mm(density, padded, beam) == pytest.approx(1000 - reach, abs=1e-6)


def test_what_lies_outside_the_body_is_nothing() -> None:
    body = np.zeros(GRID.shape, dtype=bool)
    body[:, 12:] = True
    density, grid = body_density(np.full(GRID.shape, 500, dtype=np.float32), body, GRID)
    surface = GRID.origin_mm[1] + 11.5 * GRID.spacing_mm[1]
    point = np.array([[0.0, surface + 10, 0.0], [0.0, surface - 10, 0.0]])
    deep, outside = depths(density, grid, Beam(0.0, (0.0, 0.0, 0.0), 1000.0), point)
    assert outside == 0
    assert deep == pytest.approx(10 * density.max(), rel=1e-5)
