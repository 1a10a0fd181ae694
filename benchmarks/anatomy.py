"""How synthetic pelvises spread: volumes, what of rectum and bladder lies in the PTV, and distances.

Measured on the masks of a split's first cases, one row a quantity: mean, SD, 5th to 95th percentile and range. Give
the contours of a real pelvis (water.npz of pydosert 1.5.0: its labels exclude each other, so what its PTV overlaps is
not known) to see them beside. Run the script of this version in a checkout of another to compare two generators:

  python benchmarks/anatomy.py
  python benchmarks/anatomy.py --split hard-test --count 11
  python benchmarks/anatomy.py --checkout ../before
  python benchmarks/anatomy.py --hard-seeds --voxel-size-mm 4
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]

ORGANS = ("Rectum", "Bladder", "Femur_Head_L", "Femur_Head_R")
NAMES = {"PTV": "PTV_7020", "CTV": "CTV_7020", "FemoralHead_L": "Femur_Head_L", "FemoralHead_R": "Femur_Head_R"}
"""Structures of water.npz, by TG-263."""


@dataclass
class Args:
    split: str = "train"
    """Split whose cases are measured."""
    count: int = 200
    """How many, from the first."""
    voxel_size_mm: float = 3.0
    """Edge of the voxels; the anatomy does not depend on it."""
    real: Annotated[Path | None, tyro.conf.arg(metavar="water.npz")] = None
    """Contours of a real pelvis, for a column of its own."""
    hard_seeds: bool = False
    """Look for the seeds of the hard-test split instead."""
    checkout: Path = Path(__file__).resolve().parent.parent
    """Folder of the checkout whose generator is measured."""


def measure(masks: Mapping[str, Mask], voxel_mm: float) -> dict[str, float]:
    """Return what a ruler finds in the masks of one pelvis.

    Parameters
    ----------
    masks : Mapping[str, ndarray of bool, shape (z, y, x)]
        "PTV_7020", "CTV_7020", "Body" and `ORGANS` among them.
    voxel_mm : float
        Edge of the cubic voxels.
    """
    cc = voxel_mm**3 / 1000
    target, clinical = masks["PTV_7020"], masks["CTV_7020"]
    named = ("PTV_7020", "CTV_7020", "SeminalVes", *ORGANS)
    found: dict[str, float] = {f"{name} cc": np.count_nonzero(masks[name]) * cc for name in named if name in masks}
    for organ in ("Rectum", "Bladder"):
        shared = np.count_nonzero(masks[organ] & target) * cc
        found[f"{organ} in PTV cc"] = shared
        found[f"{organ} in PTV %"] = 100 * shared / found[f"{organ} cc"]
    near = _box(masks, (*ORGANS, "PTV_7020"))
    for organ in ORGANS:
        away = ndimage.distance_transform_edt(~masks[organ][near], sampling=voxel_mm)
        found[f"{organ} to CTV mm"] = float(away[clinical[near]].min())
        found[f"{organ} to PTV mm"] = float(away[target[near]].min())
    levels = masks["Rectum"].any(axis=(1, 2))
    found["Rectum length mm"] = np.count_nonzero(levels) * voxel_mm
    found["Rectum area cm2"] = found["Rectum cc"] / found["Rectum length mm"] * 10
    isocentre = masks["Body"][round(float(np.nonzero(target)[0].mean()))]
    found["Body AP mm"] = np.count_nonzero(isocentre.any(axis=1)) * voxel_mm
    found["Body lateral mm"] = np.count_nonzero(isocentre.any(axis=0)) * voxel_mm
    return found


def is_hard(found: Mapping[str, float]) -> bool:
    """Return whether a pelvis, as `measure` finds it, belongs to the hard-test split; about one in five does."""
    return bool(
        found["Rectum in PTV %"] >= 12
        or found["Bladder in PTV %"] >= 11
        or found["PTV_7020 cc"] >= 180
        or found["Body AP mm"] < 200
    )


def hard_seeds(voxel_mm: float) -> list[int]:
    """Return the first eleven seeds from 30 000 whose pelvis is hard."""
    from radplan_env.sources import synthetic

    found: list[int] = []
    for seed in count(30_000):
        row = measure(synthetic.generate(seed, voxel_size_mm=voxel_mm).structures, voxel_mm)
        if is_hard(row):
            found.append(seed)
            print(seed, {name: round(value, 1) for name, value in row.items()}, flush=True)
        if len(found) == 11:
            return found
    raise AssertionError("seeds do not end")


def measure_real(path: Path) -> dict[str, float]:
    """Measure water.npz: one real patient's contours, a bit of `masks` each."""
    data = np.load(path)
    masks = {NAMES.get(n, n): (data["masks"] >> bit & 1).astype(bool) for bit, n in enumerate(data["structures"])}
    return measure(masks, float(data["voxel_mm"][0]))


def _box(masks: Mapping[str, Mask], names: tuple[str, ...]) -> tuple[slice, ...]:
    together = np.logical_or.reduce([masks[name] for name in names])
    return tuple(slice(index.min(), index.max() + 1) for index in np.nonzero(together))


def main(args: Args) -> None:
    sys.path[0] = str(args.checkout.resolve())
    from tqdm import tqdm

    from benchmarks.machine import print_figures
    from radplan_env.sources import synthetic

    if args.hard_seeds:
        print(tuple(hard_seeds(args.voxel_size_mm)))
        return
    cases = synthetic.load(args.split, args.count, voxel_size_mm=args.voxel_size_mm)  # type: ignore[arg-type]
    rows = [measure(case.structures, args.voxel_size_mm) for case in tqdm(cases, "pelvises", leave=False)]
    real = measure_real(args.real) if args.real else {}
    print(f"{len(rows)} pelvises of {args.split}, voxels of {args.voxel_size_mm:g} mm, generator of {args.checkout}\n")
    print(f"{'':24} {'mean':>7} {'SD':>6} {'P5':>7} {'P95':>7} {'least':>7} {'most':>7}" + "    real" * bool(real))
    figures: dict[str, float] = {}
    for name in rows[0]:
        values = np.array([row[name] for row in rows])
        spread = (values.mean(), values.std(ddof=1), *np.percentile(values, (5, 95)), values.min(), values.max())
        beside = f" {real[name]:7.1f}" if name in real else ""
        print(f"{name:24} {spread[0]:7.1f} {spread[1]:6.1f} " + " ".join(f"{v:7.1f}" for v in spread[2:]) + beside)
        figures |= {f"{name} mean": round(float(spread[0]), 2), f"{name} SD": round(float(spread[1]), 2)}
    print_figures("anatomy", figures)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
