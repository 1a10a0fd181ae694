import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path

from radplan_env.grid import Grid
from radplan_env.sources._contours import rasterise

GRID = Grid((4, 30, 40), (3.0, 1.1, 0.9), (-6.0, 2.0, -15.0))


def circle(radius_mm, z, centre=(2.0, 17.0), n=400):
    angle = np.linspace(0, 2 * np.pi, n, endpoint=False)
    return np.column_stack(
        [centre[0] + radius_mm * np.cos(angle), centre[1] + radius_mm * np.sin(angle), np.full(n, z)]
    )


@given(st.integers(0, 2**32 - 1), st.integers(3, 12))
@settings(max_examples=50, deadline=None)
def test_agrees_with_matplotlib_on_star_shaped_polygons(seed, n):
    rng = np.random.default_rng(seed)
    angle = np.sort(rng.uniform(0, 2 * np.pi, n))
    radius = rng.uniform(2, 20, n)
    xy = np.column_stack([3 + radius * np.cos(angle), 18 + radius * np.sin(angle)])
    mask = rasterise([np.column_stack([xy, np.full(n, -3.0)])], GRID)
    y, x = np.meshgrid(GRID.coordinates_mm(1), GRID.coordinates_mm(2), indexing="ij")
    expected = Path(np.vstack([xy, xy[:1]])).contains_points(np.column_stack([x.ravel(), y.ravel()]))
    assert (mask[1] != expected.reshape(mask[1].shape)).sum() == 0


def test_an_inner_contour_cuts_a_hole():
    ring = rasterise([circle(12, -3.0), circle(5, -3.0)], GRID)
    area = ring[1].sum() * 1.1 * 0.9
    assert area == pytest.approx(np.pi * (12**2 - 5**2), rel=0.02)


def test_volume_of_a_cylinder():
    mask = rasterise([circle(10, z) for z in GRID.coordinates_mm(0)], GRID)
    assert mask.sum() * GRID.voxel_cc == pytest.approx(np.pi * 1.0**2 * 1.2, rel=0.02)


def test_slices_between_planes_take_the_nearest():
    fine = Grid((12, 30, 40), (1.0, 1.1, 0.9), (-6.0, 2.0, -15.0))
    mask = rasterise([circle(10, z) for z in (-5.0, -2.0, 1.0)], fine)
    assert mask.any(axis=(1, 2)).tolist() == [True] * 9 + [False] * 3


def test_planes_finer_than_the_slices_do_not_cancel():
    mask = rasterise([circle(10, z) for z in np.arange(-6.0, 4.0, 0.5)], GRID)
    np.testing.assert_array_equal(mask, rasterise([circle(10, z) for z in GRID.coordinates_mm(0)], GRID))


def test_contours_off_the_image_are_cut_at_it():
    assert rasterise([circle(1000, -3.0)], GRID)[1].all()
    assert not rasterise([circle(5, -3.0, centre=(500.0, 500.0))], GRID).any()
    assert not rasterise([circle(5, 300.0)], GRID).any()
    assert not rasterise([], GRID).any()
