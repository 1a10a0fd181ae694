import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radplan_env.grid import Grid, resample

spacings = st.tuples(*[st.floats(0.5, 6.0)] * 3)
shapes = st.tuples(*[st.integers(2, 12)] * 3)


@given(shapes, spacings, st.floats(1.0, 8.0))
def test_coarsened_covers_the_same_extent(shape, spacing, coarse):
    grid = Grid(shape, spacing, (3.0, -20.0, 7.0))
    dose_grid = grid.coarsened(coarse)
    assert dose_grid.spacing_mm == (coarse,) * 3
    for axis in range(3):
        fine, rough = grid.coordinates_mm(axis), dose_grid.coordinates_mm(axis)
        assert rough[0] - coarse / 2 <= fine[0] - spacing[axis] / 2 + 1e-4
        assert rough[-1] + coarse / 2 >= fine[-1] + spacing[axis] / 2 - 1e-4
        assert dose_grid.extent_mm[axis] < grid.extent_mm[axis] + coarse
        assert (rough[0] + rough[-1]) == pytest.approx(fine[0] + fine[-1], abs=1e-6)


@given(shapes, spacings, st.tuples(*[st.floats(-2.0, 2.0)] * 3))
def test_linear_resampling_is_exact_for_linear_fields(shape, spacing, gradient):
    grid = Grid(shape, spacing, (-4.0, 11.0, 0.5))

    def field(g):
        return sum(
            k * c for k, c in zip(gradient, np.meshgrid(*map(g.coordinates_mm, range(3)), indexing="ij"), strict=True)
        )

    # Between the outermost voxel centres; the half voxel beyond is extended constantly.
    inner = Grid(
        (2, 2, 2),
        tuple((n - 1) * s / 3 for n, s in zip(shape, spacing, strict=True)),
        tuple(o + (n - 1) * s / 3 for n, s, o in zip(shape, spacing, grid.origin_mm, strict=True)),
    )
    np.testing.assert_allclose(resample(field(grid), grid, inner), field(inner), rtol=1e-4, atol=1e-3)


def test_resampling_beyond_the_edges_gives_outside():
    grid = Grid((4, 4, 4), (2.0, 2.0, 2.0), (0.0, 0.0, 0.0))
    wider = Grid((12, 4, 4), (1.0, 2.0, 2.0), (-2.5, 0.0, 0.0))  # edges of `grid`: -1 and 7 mm
    sampled = resample(np.full(grid.shape, 5.0), grid, wider, outside=-1000.0)
    inside = (wider.coordinates_mm(0) > -1) & (wider.coordinates_mm(0) < 7)
    assert (sampled[inside] == 5.0).all() and (sampled[~inside] == -1000.0).all()


def test_masks_stay_masks_and_keep_their_volume():
    fine = Grid((40, 40, 40), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    z, y, x = np.meshgrid(*map(fine.coordinates_mm, range(3)), indexing="ij")
    ball = (z - 19.5) ** 2 + (y - 19.5) ** 2 + (x - 19.5) ** 2 < 14**2
    coarse = fine.coarsened(2.5)
    mask = resample(ball, fine, coarse)
    assert mask.dtype == bool
    assert mask.sum() * coarse.voxel_cc == pytest.approx(4 / 3 * np.pi * 1.4**3, rel=0.03)


@pytest.mark.parametrize("turn", [None, 1])
def test_halves_go_both_ways(turn):
    """On a grid twice as coarse every voxel of a face may be exactly half full."""
    fine = Grid((40, 40, 40), (2.5, 2.5, 2.5), (0.0, 0.0, 0.0))
    coarse = fine.coarsened(5.0)
    z, y, x = np.indices(fine.shape)
    ratios = []
    for size in range(5, 18):
        if turn is None:
            mask = (np.abs(z - 20) <= size) & (np.abs(y - 20) <= size) & (np.abs(x - 20) <= size)
        else:  # edges along the diagonals
            mask = (np.abs(z - 20) + np.abs(y - 20) <= size) & (np.abs(x - 20) <= 12)
        ratios.append(resample(mask, fine, coarse).sum() * 8 / mask.sum())
        inner = mask & (z > 10)
        assert not (resample(inner, fine, coarse) & ~resample(mask, fine, coarse)).any()
    assert np.mean(ratios) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(
    "shape, spacing, origin, problem",
    [
        ((0, 2, 2), (1, 1, 1), (0, 0, 0), "at least one voxel"),
        ((2, 2, 2), (1, -1, 1), (0, 0, 0), "voxel size"),
        ((2, 2, 2), (1, float("nan"), 1), (0, 0, 0), "voxel size"),
        ((2, 2), (1, 1, 1), (0, 0, 0), "three entries"),
        ((2, 2, 2), (1, 1, 1), (0, float("inf"), 0), "origin"),
    ],
)
def test_impossible_grids_are_refused(shape, spacing, origin, problem):
    with pytest.raises(ValueError, match=problem):
        Grid(shape, spacing, origin)


def test_resampling_an_array_of_another_shape_is_refused():
    grid = Grid((2, 2, 2), (1, 1, 1), (0, 0, 0))
    with pytest.raises(ValueError, match="shape"):
        resample(np.zeros((3, 2, 2)), grid, grid.coarsened(2.0))
