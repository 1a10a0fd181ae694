"""The dose-influence matrix K of a case and its beams: dose in Gy per unit fluence.

Computed by pyRadPlan's SVD pencil beam (Bortfeld, Schlegel & Rhein 1993) for its generic 6 MV linac, on the case's
CT, and kept on the disk: an outer loop asks for the same K again and again.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from platformdirs import user_cache_path
from scipy import sparse
from tqdm import tqdm

from radplan_env.case import Case
from radplan_env.errors import CaseError
from radplan_env.grid import Grid, resample

MACHINE = "Generic"
"""pyRadPlan's name of the linac."""

ENERGY_MV = 6.0

_FORMAT = 1  # of the cache's files; part of every key


@dataclass(frozen=True)
class Fidelity:
    """How finely dose and fluence are resolved.

    Parameters
    ----------
    name : str
    dose_grid_mm : float
        Spacing of the isotropic dose grid.
    bixel_mm : float
        Width of a bixel at the isocentre.
    """

    name: str
    dose_grid_mm: float
    bixel_mm: float


FIDELITIES = {
    "fast": Fidelity("fast", dose_grid_mm=5.0, bixel_mm=8.0),
    "standard": Fidelity("standard", dose_grid_mm=4.0, bixel_mm=5.0),
    "paper": Fidelity("paper", dose_grid_mm=2.5, bixel_mm=5.0),
}
"""By name: `fast` for training, `paper` as GPT-RadPlan's section 2.4 (2.5 mm grid) with 5 mm bixels."""


@dataclass(frozen=True, eq=False)
class DoseInfluence:
    """K and what its rows and columns are.

    Parameters
    ----------
    matrix : scipy.sparse.csr_array of float32, shape (voxels, bixels)
        Gy per unit fluence.
    grid : Grid
        The dose grid.
    body : ndarray of int, shape (voxels,)
        Flat (C-order) index on `grid` of each row: the voxels of the body, in ascending order.
    beam : ndarray of int, shape (bixels,)
        Index of the beam each column belongs to.
    gantry_angles_deg : tuple of float
    """

    matrix: sparse.csr_array
    grid: Grid
    body: NDArray[np.int64]
    beam: NDArray[np.int64]
    gantry_angles_deg: tuple[float, ...]

    def volume(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Return values per row as an array on the dose grid, 0 outside the body."""
        volume = np.zeros(self.grid.shape, dtype=np.float32)
        volume.flat[self.body] = values
        return volume


def fidelity_named(name: str | Fidelity) -> Fidelity:
    """Return the fidelity of this name.

    Raises
    ------
    ValueError
        If there is none.
    """
    if isinstance(name, Fidelity):
        return name
    if name not in FIDELITIES:
        raise ValueError(f"unknown fidelity {name!r}: choose from {', '.join(FIDELITIES)}")
    return FIDELITIES[name]


def dose_grid(case: Case, fidelity: str | Fidelity) -> Grid:
    """Return the dose grid of a case: isotropic, over the extent of its CT."""
    return case.grid.coarsened(fidelity_named(fidelity).dose_grid_mm)


def default_cache_dir() -> Path:
    """Return where matrices are kept: RADPLAN_CACHE_DIR if set, else below the user's cache directory."""
    return Path(os.environ.get("RADPLAN_CACHE_DIR") or user_cache_path("radplan_env")) / "influence"


def influence(
    case: Case,
    gantry_angles_deg: Sequence[float],
    targets: Sequence[str],
    fidelity: str | Fidelity = "standard",
    *,
    cache_dir: str | Path | None = None,
    progress: bool = True,
) -> DoseInfluence:
    """Return the dose-influence matrix of a case, from the cache or computed now.

    Parameters
    ----------
    case : Case
    gantry_angles_deg : sequence of float
        Angles of the coplanar beams, distinct.
    targets : sequence of str
        Structures (names in the case) that the beams are to cover; the isocentre is their common centre of mass.
    fidelity : str or Fidelity
    cache_dir : str or Path, optional
        `default_cache_dir()` if not given. Where it cannot be written to, a warning says so and nothing is kept.
    progress : bool
        Show a progress bar.

    Returns
    -------
    DoseInfluence

    Raises
    ------
    ValueError
        If the angles or the fidelity are not as above.
    CaseError
        If a target is missing.
    """
    fidelity = fidelity_named(fidelity)
    angles = _checked_angles(gantry_angles_deg)
    if missing := [name for name in targets if name not in case.structures] or not targets:
        raise CaseError(f"case {case.id!r}: no target to aim at: {missing or 'none given'}")
    grid = dose_grid(case, fidelity)
    body = np.flatnonzero(resample(case.structures["Body"], case.grid, grid))
    directory = default_cache_dir() if cache_dir is None else Path(cache_dir)
    path = directory / f"{_key(case, angles, targets, fidelity)}.npz"

    def build() -> tuple[sparse.csr_array, NDArray[np.int64]]:
        return _compute(case, angles, targets, fidelity, grid, body, progress)

    matrix, beam = _cached(path, build)
    return DoseInfluence(matrix, grid, body, beam, angles)


def _checked_angles(gantry_angles_deg: Sequence[float]) -> tuple[float, ...]:
    angles = tuple(float(angle) for angle in gantry_angles_deg)
    if not angles or not np.isfinite(angles).all():
        raise ValueError(f"gantry angles must be one finite number or more, in degrees; got {gantry_angles_deg!r}")
    if len({angle % 360 for angle in angles}) < len(angles):
        raise ValueError(f"two beams share a gantry angle: {angles}")
    return angles


def _key(case: Case, angles: tuple[float, ...], targets: Sequence[str], fidelity: Fidelity) -> str:
    """Hash of everything K depends on; not of organs, names or the case's id."""
    settings = (_FORMAT, version("pyRadPlan"), MACHINE, ENERGY_MV, angles, fidelity.dose_grid_mm, fidelity.bixel_mm)
    digest = hashlib.sha256(repr((settings, case.grid)).encode())
    digest.update(case.ct_hu.tobytes())
    for mask in (case.structures["Body"], _union(case, targets)):
        digest.update(np.packbits(mask).tobytes())
    return digest.hexdigest()


def _union(case: Case, names: Sequence[str]) -> NDArray[np.bool_]:
    union: NDArray[np.bool_] = np.logical_or.reduce([case.structures[name] for name in names])
    return union


def _compute(
    case: Case,
    angles: tuple[float, ...],
    targets: Sequence[str],
    fidelity: Fidelity,
    grid: Grid,
    body: NDArray[np.int64],
    progress: bool,
) -> tuple[sparse.csr_array, NDArray[np.int64]]:
    """Have pyRadPlan compute K; return it by body voxel, and each column's beam."""
    import pyRadPlan  # slow to import, and not needed where K comes from the cache

    ct = pyRadPlan.CT(cube_hu=_image(case.ct_hu, case.grid))
    masks = {"Body": ("EXTERNAL", case.structures["Body"]), "PTV": ("TARGET", _union(case, targets))}
    structures = pyRadPlan.validate_cst(
        {
            "vois": [
                {"name": name, "voi_type": kind, "ct_image": ct, "mask": _image(mask.astype(np.uint8), case.grid)}
                for name, (kind, mask) in masks.items()
            ],
            "ct_image": ct,
        },
        ct=ct,
    )
    plan = pyRadPlan.PhotonPlan(machine=MACHINE)
    plan.prop_stf = {
        "gantry_angles": list(angles),
        "couch_angles": [0.0] * len(angles),
        "bixel_width": fidelity.bixel_mm,
        "energy": ENERGY_MV,
    }
    plan.prop_dose_calc = {"dose_grid": _pyradplan_grid(grid)}
    with _quietly(f"K of {case.id}", progress):
        steering = pyRadPlan.generate_stf(ct, structures, plan)
        dij = pyRadPlan.calc_dose_influence(ct, structures, steering, plan)
    matrix = sparse.csr_array(dij.physical_dose.flat[0].tocsr()[body])
    matrix = sparse.csr_array(
        (matrix.data.astype(np.float32), matrix.indices.astype(np.int32), matrix.indptr.astype(np.int64)),
        shape=matrix.shape,
    )
    return matrix, np.asarray(dij.beam_num, dtype=np.int64)


def _image(array: NDArray[Any], grid: Grid) -> Any:
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(array)
    image.SetSpacing(grid.spacing_mm[::-1])
    image.SetOrigin(grid.origin_mm[::-1])
    return image


def _pyradplan_grid(grid: Grid) -> Any:
    from pyRadPlan.core import Grid as PyRadPlanGrid

    z, y, x = grid.spacing_mm
    return PyRadPlanGrid(
        resolution={"x": x, "y": y, "z": z}, dimensions=grid.shape[::-1], origin=np.array(grid.origin_mm[::-1])
    )


@contextmanager
def _quietly(title: str, progress: bool) -> Iterator[None]:
    """Show one progress bar over all beams instead of pyRadPlan's nested ones and its warnings."""
    from pyRadPlan.core._progress import ProgressReport, ProgressReporter, observe_reports

    layout = "{desc} {percentage:3.0f}% {bar} {elapsed}"
    bar = tqdm(total=1.0, desc=title, disable=not progress, leave=False, bar_format=layout)

    def show(report: Any) -> None:
        if isinstance(report, ProgressReport) and report.levels:
            done, share = 0.0, 1.0
            for level in report.levels:
                share /= max(level.total or 1, 1)
                done += level.current * share
            bar.update(max(done - bar.n, 0.0))

    console, ProgressReporter.console_progress = ProgressReporter.console_progress, False
    try:
        with bar, observe_reports(show), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        ProgressReporter.console_progress = console


def _cached(
    path: Path, build: Callable[[], tuple[sparse.csr_array, NDArray[np.int64]]]
) -> tuple[sparse.csr_array, NDArray[np.int64]]:
    """Return what is stored at `path`, or build and store it; one process builds while others wait."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{path}.lock")
        lock.acquire()
    except OSError as error:
        _warn_uncached(path, error)
        return build()
    with lock:
        if (stored := _read(path)) is not None:
            return stored
        matrix, beam = build()
        try:
            _write(path, matrix, beam)
        except OSError as error:
            _warn_uncached(path, error)
        return matrix, beam


def _read(path: Path) -> tuple[sparse.csr_array, NDArray[np.int64]] | None:
    """Read an entry; a damaged one, which the archive's checksums reveal, is reported and not used."""
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            parts = {name: file[name] for name in ("data", "indices", "indptr", "shape", "beam")}
        shape = (int(parts["shape"][0]), int(parts["shape"][1]))
        indices = parts["indices"].astype(np.int32)
        matrix = sparse.csr_array((parts["data"], indices, parts["indptr"]), shape=shape)
        return matrix, parts["beam"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        warnings.warn(f"dose-influence matrix {path} is damaged ({error}) and will be computed anew", stacklevel=2)
        return None


def _write(path: Path, matrix: sparse.csr_array, beam: NDArray[np.int64]) -> None:
    """Write beside the entry, then move into place: a reader sees a whole file or none."""
    small = matrix.shape[1] <= np.iinfo(np.uint16).max
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(
                file,
                data=matrix.data,
                indices=matrix.indices.astype(np.uint16 if small else np.int32),
                indptr=matrix.indptr,
                shape=np.array(matrix.shape),
                beam=beam,
            )
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _warn_uncached(path: Path, error: OSError) -> None:
    warnings.warn(
        f"cannot keep dose-influence matrices in {path.parent} ({error}): they are computed every time. "
        "Free some space, or set RADPLAN_CACHE_DIR or cache_dir to a folder that can be written to.",
        stacklevel=2,
    )


logging.getLogger("pyRadPlan").setLevel(logging.ERROR)
