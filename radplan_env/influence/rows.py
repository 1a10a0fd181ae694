"""The points that the inner loop sees: a sample of a fine grid's voxels, each with the volume it stands for.

A plan survives where the dose is steep only if its rows resolve it: the inner edge of a target is kept voxel by voxel.
Elsewhere one voxel, drawn at random, stands for those of its block that belong to the same structures; so every
structure keeps its volume, and no regular lattice is left that a fluence could lean on between the points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from radplan_env.case import Case
from radplan_env.grid import Grid, resample
from radplan_env.influence.setup import Mask

Index = NDArray[np.int64]
Points = NDArray[np.float64]


@dataclass(frozen=True)
class Sampling:
    """How densely the inner loop sees a patient; spacings are multiples of `fine_mm`.

    Parameters
    ----------
    fine_mm : float
        Spacing of the grid whose voxels are drawn from; the targets' inner edge layer is kept in full.
    target_mm : float
        One voxel is kept per cube of this size inside the targets,
    near_mm : float
        in organs and within `shell_mm` of a target, and
    far_mm : float
        in the rest of the body.
    shell_mm : float

    Raises
    ------
    ValueError
        If a length is not positive and finite, or a spacing no multiple of `fine_mm`.
    """

    fine_mm: float = 2.5
    target_mm: float = 2.5
    near_mm: float = 5.0
    far_mm: float = 7.5
    shell_mm: float = 20.0

    def __post_init__(self) -> None:
        lengths = (self.fine_mm, self.target_mm, self.near_mm, self.far_mm, self.shell_mm)
        if not all(np.isfinite(length) and length > 0 for length in lengths):
            raise ValueError(f"a sampling needs positive lengths, got {lengths} mm")
        for spacing in (self.target_mm, self.near_mm, self.far_mm):
            if abs(spacing / self.fine_mm - round(spacing / self.fine_mm)) > 1e-6:
                raise ValueError(f"a spacing of {spacing:g} mm is no multiple of the fine grid's {self.fine_mm:g} mm")


@dataclass(frozen=True, eq=False)
class Rows:
    """Points, the volume each stands for, and the structures it belongs to.

    Parameters
    ----------
    grid : Grid
        The fine grid.
    index : ndarray of int, shape (rows,)
        Flat (C-order) index on `grid` of each point's voxel, in ascending order.
    points_mm : ndarray, shape (rows, 3)
        Positions (z, y, x), within those voxels.
    volumes_cc : ndarray, shape (rows,)
    members : Mapping of str to ndarray of int
        Rows in each structure of the case.
    """

    grid: Grid
    index: Index
    points_mm: Points
    volumes_cc: NDArray[np.float64]
    members: Mapping[str, Index]

    @property
    def equal(self) -> bool:
        """Whether all points stand for the same volume."""
        return bool((self.volumes_cc == self.volumes_cc[0]).all())

    def volumes_of(self, rows: Index) -> NDArray[np.float64] | None:
        """Return the volumes of some rows, or None if all are equal."""
        return None if self.equal else self.volumes_cc[rows]

    def volume_cc(self, rows: Index) -> float:
        """Return the volume of some rows."""
        return rows.size * float(self.volumes_cc[0]) if self.equal else float(self.volumes_cc[rows].sum())


def rows_of_grid(case: Case, grid: Grid, masks: Mapping[str, Mask] | None = None) -> Rows:
    """Return every voxel of the body on a grid as rows; members of `masks`, by default the case's structures."""
    masks = case.structures if masks is None else masks
    body = np.flatnonzero(resample(masks["Body"], case.grid, grid))
    members = {name: _members(mask, case.grid, grid, body) for name, mask in masks.items()}
    return Rows(grid, body, centres_mm(grid, body), np.full(body.size, grid.voxel_cc), members)


def sampled_rows(
    case: Case, targets: Sequence[str], sampling: Sampling, masks: Mapping[str, Mask] | None = None
) -> Rows:
    """Return the rows of a case: the same ones for equal cases.

    Parameters
    ----------
    case : Case
    targets : sequence of str
        Structures (names in the case) whose edges are kept in full.
    sampling : Sampling
    masks : Mapping of str to ndarray of bool, optional
        What rows are to be members of, "Body" among them, on the case's grid; the case's structures by default.
    """
    given = case.structures if masks is None else masks
    grid = _round_the_body(case, case.grid.coarsened(sampling.fine_mm))
    body = np.flatnonzero(resample(given["Body"], case.grid, grid))
    masks = {name: np.zeros(grid.shape, dtype=bool) for name in given}
    for name, mask in given.items():
        masks[name].flat[body[_members(mask, case.grid, grid, body)]] = True
    codes = _combinations([mask.ravel()[body] for mask in masks.values()])
    organs = [masks[name] for name in case.structures if name not in (*targets, "Body")]
    spacing = _spacing([masks[name] for name in targets], organs, grid, sampling).ravel()[body]
    rng = np.random.default_rng(int(case.digest()[:16], 16))
    index, counts = _one_per_block(body, codes, spacing, grid, rng)
    members = {name: np.flatnonzero(mask.ravel()[index]) for name, mask in masks.items()}
    points = _jittered(centres_mm(grid, index), grid, case.grid, rng)
    return Rows(grid, index, points, np.asarray(counts * grid.voxel_cc, dtype=np.float64), members)


def _spacing(targets: Sequence[Mask], organs: Sequence[Mask], grid: Grid, sampling: Sampling) -> NDArray[np.int64]:
    """In voxels, how large a block each voxel is drawn from."""
    target = np.logical_or.reduce(targets)
    organ = np.logical_or.reduce([*organs, target])
    near = ndimage.distance_transform_edt(~target, grid.spacing_mm) <= sampling.shell_mm
    edge = np.logical_or.reduce([mask & ~ndimage.binary_erosion(mask) for mask in targets])
    blocks = [round(mm / sampling.fine_mm) for mm in (sampling.target_mm, sampling.near_mm, sampling.far_mm)]
    chosen: NDArray[np.int64] = np.select([edge, target, organ | near], [1, blocks[0], blocks[1]], blocks[2])
    return chosen


def _round_the_body(case: Case, grid: Grid) -> Grid:
    """The part of a grid that the body fills: a CT is often much larger."""
    box = grid.box_around(case.structures["Body"], case.grid)
    return grid if box is None else grid.part(box)


def _combinations(masks: Sequence[Mask]) -> Index:
    """Number the combinations of structures that voxels belong to."""
    codes = np.zeros(masks[0].size, dtype=np.int64)
    for start in range(0, len(masks), 32):  # as many bits as leave room for the number so far
        codes <<= 32
        for bit, mask in enumerate(masks[start : start + 32]):
            codes |= mask.astype(np.int64) << bit
        _, codes = np.unique(codes, return_inverse=True)
    return codes


def _one_per_block(
    voxels: Index, codes: Index, spacing: Index, grid: Grid, rng: np.random.Generator
) -> tuple[Index, Index]:
    """Draw one voxel of each block and combination; return them in ascending order, and how many each stands for."""
    drawn, counted = [], []
    where = np.column_stack(np.unravel_index(voxels, grid.shape))
    for size in np.unique(spacing):
        some = rng.permutation(np.flatnonzero(spacing == size))
        block = np.ravel_multi_index(tuple((where[some] // size).T), grid.shape)
        _, first, counts = np.unique(block * (codes.max() + 1) + codes[some], return_index=True, return_counts=True)
        drawn.append(voxels[some[first]])
        counted.append(counts)
    index = np.concatenate(drawn)
    order = np.argsort(index)
    return index[order], np.concatenate(counted)[order]


def centres_mm(grid: Grid, index: Index) -> Points:
    """Return the centres (z, y, x) of voxels given by their flat indices, shape (voxels, 3)."""
    where = np.unravel_index(index, grid.shape)
    return np.column_stack([grid.coordinates_mm(axis)[place] for axis, place in enumerate(where)])


def _jittered(points_mm: Points, grid: Grid, ct: Grid, rng: np.random.Generator) -> Points:
    """Move points anywhere in their voxels: a row of centres would not see how steep the dose is within them."""
    moved = points_mm + (rng.random(points_mm.shape) - 0.5) * grid.spacing_mm
    low = np.array(ct.origin_mm) - np.array(ct.spacing_mm) / 2
    return np.clip(moved, low, low + ct.extent_mm)


def _members(mask: Mask, source: Grid, target: Grid, index: Index) -> Index:
    """Rows whose centre a structure holds or, for one too small for that, which it touches."""
    rows = np.flatnonzero(resample(mask, source, target).ravel()[index])
    return rows if rows.size else np.flatnonzero(_touched(mask, source, target).ravel()[index])


def _touched(mask: Mask, source: Grid, target: Grid) -> Mask:
    """Voxels of `target` that hold the centre of a voxel of the mask."""
    result = np.zeros(target.shape, dtype=bool)
    indices = []
    for axis, index in enumerate(np.nonzero(mask)):
        position = source.coordinates_mm(axis)[index]
        nearest = np.rint((position - target.origin_mm[axis]) / target.spacing_mm[axis]).astype(int)
        indices.append(np.clip(nearest, 0, target.shape[axis] - 1))
    result[tuple(indices)] = True
    return result
