"""Peak memory of reading a large DICOM patient, beside that of the arrays which are kept.

    python benchmarks/import_memory.py [--slices 300] [--size 512] [--rois 30]

Writes a water cylinder with as many ROIs into a temporary folder, and reads it in a process of its own: all ROIs, and
with `keep` two of them. `arrays` is what the case holds; `peak` is what reading it added to resident memory.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from radplan_env.structure_names import TG263_NAMES


def write(folder: Path, slices: int, size: int, rois: int) -> None:
    """A CT, an RTSTRUCT and an RTDOSE on a coarser grid."""
    from radplan_env.case import Case
    from radplan_env.export import export_dicom
    from radplan_env.grid import Grid

    grid = Grid((slices, size, size), (2.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    y, x = np.ogrid[:size, :size]
    names = ["PTV_7020", "Rectum", *sorted(TG263_NAMES - {"Body", "Rectum"})][: rois - 1]
    radii = dict(zip(["Body", *names], np.linspace(0.45 * size, 0.05 * size, rois), strict=True))
    masks = {}
    for name, radius in radii.items():
        disc = (y - size / 2) ** 2 + (x - size / 2) ** 2 < radius**2
        masks[name] = np.broadcast_to(disc, grid.shape)
    ct_hu = np.broadcast_to(np.where(masks["Body"][0], 0, -1000).astype(np.float32), grid.shape)
    dose_grid = grid.coarsened(5.0)
    case = Case("benchmark", ct_hu, masks, grid)
    export_dicom(case, np.full(dose_grid.shape, 50.0, np.float32), dose_grid, folder)


def read(folder: Path, keep: list[str] | None) -> None:
    """Read the patient and print what it took."""
    import pydicom  # noqa: F401  # libraries are none of what is measured
    import SimpleITK  # noqa: F401

    from radplan_env.sources import dicom

    before = _peak_mb()
    case = dicom.load(folder, keep=keep)
    arrays = [case.ct_hu, case.reference_dose_gy, *case.structures.values()]
    kept = sum(array.nbytes for array in arrays if array is not None) / 2**20
    peak = _peak_mb() - before
    which = "all ROIs" if keep is None else f"keep={keep}"
    print(f"{which}: arrays {kept:.0f} MB, peak {peak:.0f} MB, {peak / kept:.2f} times")


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--rois", type=int, default=30)
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--keep", nargs="*", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.write:
        write(args.write, args.slices, args.size, args.rois)
    elif args.read:
        read(args.read, args.keep)
    else:
        # A process inherits the peak of the one that starts it, so that this one stays small.
        with tempfile.TemporaryDirectory() as folder:
            for task in (["--write", folder], ["--read", folder], ["--read", folder, "--keep", "PTV_7020", "Rectum"]):
                subprocess.run([sys.executable, *sys.argv, *task], check=True)


if __name__ == "__main__":
    main()
