"""Dose-influence matrices on the disk, safe against damage, full disks and several processes at once."""

from __future__ import annotations

import os
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from filelock import FileLock
from scipy import sparse

from radplan_env.beams import Bixels
from radplan_env.influence.setup import Matrix

_PARTS = ("data", "indices", "indptr", "shape", "beam", "place", "width_mm", "offset")


def cached(path: Path, build: Callable[[], Matrix]) -> Matrix:
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
        matrix, bixels = build()
        try:
            _write(path, matrix, bixels)
        except OSError as error:
            _warn_uncached(path, error)
        return matrix, bixels


def _read(path: Path) -> Matrix | None:
    """Read an entry; a damaged one, which the archive's checksums reveal, is reported and not used."""
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            parts = {name: file[name] for name in _PARTS}
        shape = (int(parts["shape"][0]), int(parts["shape"][1]))
        indices = parts["indices"].astype(np.int32)
        matrix = sparse.csr_array((parts["data"], indices, parts["indptr"]), shape=shape)
        x, z = (float(offset) for offset in parts["offset"])
        return matrix, Bixels(parts["beam"], parts["place"], float(parts["width_mm"]), (x, z))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        warnings.warn(f"dose-influence matrix {path} is damaged ({error}) and will be computed anew", stacklevel=2)
        return None


def _write(path: Path, matrix: sparse.csr_array, bixels: Bixels) -> None:
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
                beam=bixels.beam,
                place=bixels.place,
                width_mm=bixels.width_mm,
                offset=bixels.offset,
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
