"""The points that plans are judged on: they belong to the case, and no planner knows them.

Every voxel of the case's own masks is divided into parts no longer than a spacing, or joined to blocks of that length
where it is smaller; in each part lies one point, at a place drawn from the case's digest, that stands for the part's
volume. So volumes are exactly those of the masks, whatever the fidelity that a plan was optimised at; a plan cannot
lean on places that it was optimised on; and D_q, V_d and means are free of bias.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from radplan_env.case import Case
from radplan_env.grid import Grid
from radplan_env.protocol import BoundProtocol

from .regions import REACH_MM, Regions

Mask = NDArray[np.bool_]
VerdictKind = Literal["full", "sampled"]

SHELL_MM = 10.0
"""Thickness of the shell round the targets that is judged as finely as they are."""


@dataclass(frozen=True)
class Spacing:
    """How far apart points lie at most, in mm.

    Parameters
    ----------
    fine_mm : float
        In targets and 10 mm round them, where doses fall steeply.
    near_mm : float
        In organs, and elsewhere up to 30 mm from the targets.
    far_mm : float
        In the rest of the body.
    """

    fine_mm: float = 1.5
    near_mm: float = 2.5
    far_mm: float = 6.0

    def times(self, factor: float) -> Spacing:
        """Return spacings scaled by a factor."""
        return Spacing(factor * self.fine_mm, factor * self.near_mm, factor * self.far_mm)


VERDICT = Spacing()
"""Of the points that plans are judged on."""

CHECK = Spacing(2.5, 4.0, 8.0)
"""Of the points that planners may look at: other places, and coarser."""


@dataclass(frozen=True, eq=False)
class JudgedPoints:
    """Points with the volume that each stands for.

    Parameters
    ----------
    positions_mm : ndarray of float64, shape (points, 3)
        (z, y, x) in patient coordinates.
    volume_cc : ndarray of float64, shape (points,)
    code : ndarray of int, shape (points,)
        Bits of the regions that a point lies in, in the order of `names`.
    names : tuple of str
        Regions, as `Regions.masks` names them.
    kind : {"full", "sampled"}
        Whether these are all points, or a sample, whose dose is asked of a coarser lattice.
    """

    positions_mm: NDArray[np.float64]
    volume_cc: NDArray[np.float64]
    code: NDArray[np.int64]
    names: tuple[str, ...]
    kind: VerdictKind = "full"

    def __len__(self) -> int:
        return len(self.code)

    def inside(self, name: str) -> Mask:
        """Return which points lie in a region."""
        return (self.code >> self.names.index(name) & 1).astype(bool)

    @cached_property
    def region_cc(self) -> Mapping[str, float]:
        """Volume of every region in cc, that of its mask."""
        return {name: float(self.volume_cc[self.inside(name)].sum()) for name in self.names}

    def subset(self, points: int) -> NDArray[np.int64]:
        """Return the indices of about so many points, drawn evenly within each combination of regions.

        A combination gets points by the square root of those it has, so that small regions are seen as well as large
        ones, and at least 200, or all it has; `reweighted` gives the subset its volumes.
        """
        combinations, sizes = np.unique(self.code, return_counts=True)
        shares = points * np.sqrt(sizes) / np.sqrt(sizes).sum()
        rng = np.random.default_rng(len(self))
        chosen = []
        for combination, share in zip(combinations, shares, strict=True):
            own = np.flatnonzero(self.code == combination)  # neighbours stand close together in this order
            count = min(own.size, max(round(share), 200))
            chosen.append(own[((np.arange(count) + rng.random(count)) * own.size / count).astype(np.int64)])
        return np.sort(np.concatenate(chosen))

    def reweighted(self, chosen: NDArray[np.int64]) -> JudgedPoints:
        """Return a sample of the points, with volumes scaled to those of all, combination by combination."""
        code = self.code[chosen]
        combinations, of_all = np.unique(self.code, return_inverse=True)
        whole = np.bincount(of_all, self.volume_cc, combinations.size)
        kept = np.bincount(of_all[chosen], self.volume_cc[chosen], combinations.size)
        scale = np.divide(whole, kept, out=np.zeros_like(whole), where=kept > 0)
        volume = self.volume_cc[chosen] * scale[of_all[chosen]]
        return JudgedPoints(self.positions_mm[chosen], volume, code, self.names, "sampled")


def verdict_points(case: Case, protocol: BoundProtocol, regions: Regions, spacing: Spacing = VERDICT) -> JudgedPoints:
    """Return the points that plans of a case are judged on."""
    return _points("verdict", case, protocol, regions, spacing)


def check_points(case: Case, protocol: BoundProtocol, regions: Regions, spacing: Spacing = CHECK) -> JudgedPoints:
    """Return the points that an inner loop may look at for hot spots and margins: none of them is judged on."""
    return _points("check", case, protocol, regions, spacing)


def _points(purpose: str, case: Case, protocol: BoundProtocol, regions: Regions, spacing: Spacing) -> JudgedPoints:
    rng = np.random.default_rng(int(hashlib.sha256(f"{purpose} {case.digest()}".encode()).hexdigest(), 16))
    names = tuple(regions.masks)
    body = np.flatnonzero(regions.masks["Body"])
    code = np.zeros(body.size, dtype=np.int64)
    for bit, mask in enumerate(regions.masks.values()):
        code |= mask.ravel()[body].astype(np.int64) << bit
    away = regions.from_targets_mm.ravel()[body]
    organ = np.zeros(body.size, dtype=bool)
    for structure in protocol.structures:
        if structure != "Body":
            organ |= (code >> names.index(structure) & 1).astype(bool)
    fine = away <= SHELL_MM
    near = ~fine & (organ | (away <= REACH_MM))
    parts = [
        _placed(case.grid, body[tier], code[tier], mm, rng)
        for tier, mm in ((fine, spacing.fine_mm), (near, spacing.near_mm), (~fine & ~near, spacing.far_mm))
    ]
    positions, volume, codes = (np.concatenate(part) for part in zip(*parts, strict=True))
    return JudgedPoints(positions, volume, codes, names)


def _placed(
    grid: Grid, voxels: NDArray[np.int64], code: NDArray[np.int64], spacing_mm: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Place points no further apart than a spacing in voxels given by their flat indices."""
    block = [max(math.floor(spacing_mm / side + 1e-6), 1) for side in grid.spacing_mm]
    parts = [max(math.ceil(side / spacing_mm - 1e-6), 1) for side in grid.spacing_mm]
    counts = np.ones(voxels.size)
    if max(block) > 1 and voxels.size:
        voxels, code, counts = _one_of_each_block(grid, voxels, code, block, rng)
    within = np.stack(np.meshgrid(*map(np.arange, parts), indexing="ij"), axis=-1).reshape(-1, 3)
    index = np.stack(np.unravel_index(voxels, grid.shape), axis=-1)
    offset = (within + rng.random((voxels.size, len(within), 3), dtype=np.float32)) / np.array(parts, np.float32) - 0.5
    positions = (index[:, None, :] + offset) * np.array(grid.spacing_mm) + np.array(grid.origin_mm)
    volume = np.repeat(counts * grid.voxel_cc / len(within), len(within))
    return positions.reshape(-1, 3), volume, np.repeat(code, len(within))


def _one_of_each_block(
    grid: Grid, voxels: NDArray[np.int64], code: NDArray[np.int64], block: list[int], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Let one voxel of each block, drawn at random, stand for those of the block that lie in the same regions."""
    blocks = [-(-n // b) for n, b in zip(grid.shape, block, strict=True)]
    index = np.unravel_index(voxels, grid.shape)
    place = np.ravel_multi_index([i // b for i, b in zip(index, block, strict=True)], blocks)
    combination = np.unique(code, return_inverse=True)[1]
    key = place * (int(combination.max()) + 1) + combination
    shuffled = rng.permutation(voxels.size)
    _, first, counts = np.unique(key[shuffled], return_index=True, return_counts=True)
    chosen = shuffled[first]
    return voxels[chosen], code[chosen], counts.astype(np.float64)
