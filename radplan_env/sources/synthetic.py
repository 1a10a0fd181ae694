"""Synthetic male pelvises, drawn from a seed: cases for people with no data, and for training.

Every case is invented and says so (``synthetic=True``, source ``"synthetic"``). Sizes and distances are
spread over published ranges, cited in ``_pelvis/anatomy.py``. Shapes are signed distances with smooth random
irregularities, so that one seed is one anatomy at every voxel size.

>>> from radplan_env.sources import synthetic
>>> case = synthetic.generate(3)
>>> test_cases = synthetic.load("test")      # 11 cases, made when they are asked for
>>> new_ones = synthetic.load("endless", voxel_size_mm=5)      # more than any training will ask for
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Final, Literal, overload

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from radplan_env.case import Case
from radplan_env.grid import Grid
from radplan_env.sources._pelvis.anatomy import Anatomy
from radplan_env.sources._pelvis.model import Pelvis, extent
from radplan_env.sources._pelvis.shapes import Points
from radplan_env.sources._pelvis.tissues import paint
from radplan_env.sources.cohort import Cohort

VERSION: Final = "2"
"""Version of the generator, which every case carries: whoever changes the anatomy counts it up."""

Split = Literal["train", "validation", "test", "hard-test", "endless"]

SPLITS: Final[dict[str, Sequence[int]]] = {
    "train": range(1_000),
    "validation": range(10_000, 10_100),
    "test": range(20_000, 20_011),
    "hard-test": (30_006, 30_012, 30_013, 30_015, 30_019, 30_021, 30_026, 30_027, 30_031, 30_034, 30_047),
    "endless": range(1_000_000, 2**31),
}
"""Seeds of each split, disjoint. Eleven test cases, as many as the paper has prostate patients; `endless` for training
that meets a new patient in every episode. The seeds of `hard-test` are the first eleven from 30 000 with
12 % of the rectum or 11 % of the bladder in the PTV, a PTV of 180 cc, or a body less than 200 mm deep
(benchmarks/anatomy.py --hard-seeds --voxel-size-mm 4)."""

VOXEL_SIZE_MM: Final = 2.5


def generate(seed: int, *, voxel_size_mm: float = VOXEL_SIZE_MM) -> Case:
    """The pelvis of a seed.

    Parameters
    ----------
    seed
        Any non-negative integer. Seeds in :data:`SPLITS` give that split's cases and carry its ids.
    voxel_size_mm
        Edge of the cubic voxels; the anatomy does not depend on it.

    Returns
    -------
    Case
        CT with Body, PTV_7020, CTV_7020, SeminalVes, Bladder, Rectum, Femur_Head_L, Femur_Head_R and Bone_Pelvic. A
        part of the seminal vesicles, their whole or nothing of them lies in the CTV.

    Raises
    ------
    ValueError
        If `seed` is negative or `voxel_size_mm` not between 0.5 and 10.
    """
    if seed < 0:
        raise ValueError(f"seed must be a non-negative integer, got {seed}")
    if not 0.5 <= voxel_size_mm <= 10:
        raise ValueError(f"voxel_size_mm must lie between 0.5 and 10, got {voxel_size_mm}")
    anatomy = Anatomy.draw(seed)
    grid = _grid(anatomy, voxel_size_mm)
    points = Points.mesh(*(grid.coordinates_mm(axis) for axis in range(3)))
    pelvis = Pelvis.of(anatomy, points)
    head = pelvis.femoral_heads < 0
    structures = {
        "Body": pelvis.body < 0,
        "PTV_7020": pelvis.ptv < 0,
        "CTV_7020": pelvis.ctv < 0,
        "SeminalVes": (pelvis.vesicles < 0) & (pelvis.prostate >= 0),
        "Bladder": pelvis.bladder < 0,
        "Rectum": pelvis.rectum < 0,
        "Femur_Head_L": head & (points.x > 0),
        "Femur_Head_R": head & (points.x < 0),
        "Bone_Pelvic": pelvis.pelvic_bone < 0,
    }
    return Case(
        id=_case_id(seed),
        ct_hu=paint(anatomy, points, pelvis),
        structures={name: _without_specks(mask) for name, mask in structures.items()},
        grid=grid,
        source="synthetic",
        synthetic=True,
        source_version=VERSION,
    )


@dataclass(frozen=True)
class CaseIds(Sequence[str]):
    """The ids of seeds, made when asked for: there may be two billion of them."""

    seeds: Sequence[int]

    def __len__(self) -> int:
        return len(self.seeds)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> CaseIds: ...
    def __getitem__(self, index: int | slice) -> str | CaseIds:
        return CaseIds(self.seeds[index]) if isinstance(index, slice) else _case_id(self.seeds[index])

    def __contains__(self, case_id: object) -> bool:
        seed = _seed(case_id)
        return seed is not None and seed in self.seeds

    def index(self, case_id: object, start: int = 0, stop: int | None = None) -> int:
        """Position of an id; ValueError if it is not among these."""
        seed = _seed(case_id)
        if seed is not None and seed in self.seeds[start:stop]:
            return self.seeds.index(seed)
        raise ValueError(f"{case_id!r} is not among these ids")


def load(split: Split = "train", count: int | None = None, *, voxel_size_mm: float = VOXEL_SIZE_MM) -> Cohort:
    """The first `count` cases of a split, all of them by default; the last few made are remembered.

    Parameters
    ----------
    split
        One of :data:`SPLITS`.
    voxel_size_mm
        See :func:`generate`. Voxels of 5 mm are made several times as fast as the default's, and enough for
        fidelity `fast`, whose dose grid has the same.

    Raises
    ------
    ValueError
        If the split is unknown or has fewer cases.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: choose one of {', '.join(SPLITS)}")
    seeds = SPLITS[split]
    if count is not None and not 1 <= count <= len(seeds):
        raise ValueError(f"count must lie between 1 and {len(seeds)} for the {split} split, got {count}")
    return Cohort(CaseIds(seeds[:count]), partial(_read, voxel_size_mm=voxel_size_mm))


def _read(case_id: str, *, voxel_size_mm: float) -> Case:
    seed = _seed(case_id)
    assert seed is not None, case_id
    return _remembered(seed, voxel_size_mm)


@lru_cache(maxsize=len(SPLITS["test"]))
def _remembered(seed: int, voxel_size_mm: float) -> Case:
    return generate(seed, voxel_size_mm=voxel_size_mm)


def _without_specks(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Drop what a coarse grid cuts off the thin end of a shape: nobody contours a stray voxel."""
    labels, count = ndimage.label(mask)
    if count == 1:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.isin(labels, np.flatnonzero(sizes >= 0.05 * sizes.max()))


def _case_id(seed: int) -> str:
    for split, seeds in SPLITS.items():
        if seed in seeds:
            return f"synthetic/{split}/{seeds.index(seed)}"
    return f"synthetic/seed/{seed}"


def _seed(case_id: object) -> int | None:
    """The seed of an id that `_case_id` made; None for any other."""
    source, split, number = (str(case_id).split("/") + ["", ""])[:3]
    try:
        seed = SPLITS[split][int(number)] if split in SPLITS else int(number)
    except (ValueError, IndexError):
        return None
    return seed if source == "synthetic" and seed >= 0 and _case_id(seed) == case_id else None


def _grid(anatomy: Anatomy, voxel_size_mm: float) -> Grid:
    low, high = extent(anatomy)
    shape = tuple(int(np.ceil((b - a) / voxel_size_mm)) for a, b in zip(low, high, strict=True))
    origin = tuple(a + voxel_size_mm / 2 for a in low)
    return Grid(shape, (voxel_size_mm,) * 3, origin)  # type: ignore[arg-type]
