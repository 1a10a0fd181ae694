"""OpenKBP: 340 head & neck patients with a reference plan (Babier 2021, doi 10.1002/mp.14845).

Reads the folder layout of https://github.com/ababier/open-kbp as downloaded. Each CSV of a patient lists
voxels by their flat (C order) index into a 128³ array whose axes run anterior→posterior, right→left and
superior→inferior. The reference dose is the total dose of a 9-field, 6 MV, 35-fraction IMRT plan.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from radplan_env.case import Case, CaseError
from radplan_env.sources.cohort import Cohort
from radplan_env.structure_names import map_names

SPLITS = ("train", "validation", "test")
"""The official splits."""

_SHAPE = (128, 128, 128)
_ORIENTATION = "PLI"
_REQUIRED = ("ct", "dose", "possible_dose_mask", "voxel_dimensions")
_TISSUE_HU = -400.0
_OPENING_VOXELS = 2


def load(path: str | Path, split: str = "test") -> Cohort:
    """The patients of one split, read when asked for.

    Parameters
    ----------
    path
        The ``provided-data`` folder or the folder that holds it.
    split
        ``"train"``, ``"validation"`` or ``"test"``.

    Returns
    -------
    Cohort
        Sequence of :class:`~radplan_env.case.Case` with ids like ``"openkbp/pt_17"``, sorted by number.

    Raises
    ------
    CaseError
        If the split is unknown or holds no patients; on access to a case, if one of its files is missing,
        truncated or damaged (the message names the file).
    """
    if split not in SPLITS:
        raise CaseError(f"OpenKBP has no split {split!r}: choose one of {', '.join(SPLITS)}")
    root = Path(path) / "provided-data"
    folder = (root if root.is_dir() else Path(path)) / f"{split}-pats"
    patients = sorted(folder.glob("pt_*"), key=lambda p: (len(p.name), p.name))
    if not patients:
        raise CaseError(f"no patients pt_* in {folder}: give the 'provided-data' folder of github.com/ababier/open-kbp")
    return Cohort(tuple(f"openkbp/{p.name}" for p in patients), partial(_read, folder))


def _read(folder: Path, case_id: str) -> Case:
    return load_patient(folder / case_id.rpartition("/")[2])


def load_patient(folder: str | Path) -> Case:
    """One patient's folder ``pt_N``; see :func:`load`."""
    folder = Path(folder)
    for name in _REQUIRED:
        if not (folder / f"{name}.csv").is_file():
            raise CaseError(f"{folder / name}.csv is missing")
    possible = _mask(folder / "possible_dose_mask.csv")
    # A few scans hold values above the 12 bits of CT; HU = raw − 1000, and 0 fills what was cut away.
    ct_hu = np.clip(_volume(folder / "ct.csv", possible), 0, 4095) - 1000.0
    dose = _volume(folder / "dose.csv", possible)
    body = body_mask(ct_hu)
    files = {file.stem: file for file in sorted(folder.glob("*.csv")) if file.stem not in _REQUIRED}
    names, unmapped = map_names(files)
    return Case.from_arrays(
        id=f"openkbp/{folder.name}",
        ct_hu=np.where(body, ct_hu, -1000.0),  # leaves couch, headrest and mask behind
        structures={"Body": body} | {names[stem]: _mask(files[stem]) for stem in names},
        voxel_size_mm=_voxel_size_mm(folder / "voxel_dimensions.csv"),
        orientation=_ORIENTATION,
        reference_dose_gy=dose,
        source="openkbp",
        unmapped=unmapped,
    )


def body_mask(ct_hu: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The patient without couch and immobilisation, air cavities filled; slices along the last axis.

    Filled tissue is opened slice by slice, so that couch and mask touching the skin part from it; the
    largest piece is grown back to its own surface.
    """
    slices = np.moveaxis(ct_hu > _TISSUE_HU, -1, 0)
    filled = np.moveaxis(np.array([ndimage.binary_fill_holes(s) for s in slices]), 0, -1)
    in_plane = ndimage.generate_binary_structure(2, 1)[..., np.newaxis]
    pieces, count = ndimage.label(ndimage.binary_erosion(filled, in_plane, _OPENING_VOXELS))
    if count == 0:
        raise CaseError("no body found in the CT: no tissue above -400 HU")
    largest = 1 + np.argmax(np.bincount(pieces.ravel())[1:])
    body: NDArray[np.bool_] = ndimage.binary_dilation(pieces == largest, in_plane, _OPENING_VOXELS, mask=filled)
    return body


def _table(file: Path) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Voxel indices and values of a CSV with the header ``,data``."""
    import pandas as pd

    text = file.read_bytes()
    if not text.startswith(b",data") or not text.endswith(b"\n"):
        raise CaseError(f"{file} is truncated or no OpenKBP file: download it again")
    try:
        table = pd.read_csv(file, dtype={0: np.int64, "data": np.float64})
    except ValueError as error:
        raise CaseError(f"{file} is damaged, download it again: {error}") from error
    index = table.iloc[:, 0].to_numpy()
    if len(index) == 0:
        raise CaseError(f"{file} lists no voxels: it is truncated, or should be left out")
    if index.min() < 0 or index.max() >= np.prod(_SHAPE):
        raise CaseError(f"{file} holds indices outside the {_SHAPE} volume")
    if len(np.unique(index)) != len(index):
        raise CaseError(f"{file} lists voxels twice")
    return index, table["data"].to_numpy()


def _mask(file: Path) -> NDArray[np.bool_]:
    mask = np.zeros(_SHAPE, bool)
    mask.flat[_table(file)[0]] = True
    return mask


def _volume(file: Path, possible: NDArray[np.bool_]) -> NDArray[np.float64]:
    index, values = _table(file)
    if not np.isfinite(values).all():
        raise CaseError(f"{file} holds values that are no numbers")
    listed = np.zeros(_SHAPE, bool)
    listed.flat[index] = True
    if np.count_nonzero(listed & possible) < 0.98 * np.count_nonzero(possible):
        raise CaseError(f"{file} is truncated: it lacks voxels of possible_dose_mask.csv")
    volume = np.zeros(_SHAPE)
    volume.flat[index] = values
    return volume


def _voxel_size_mm(file: Path) -> tuple[float, ...]:
    """In-plane (two) and slice spacing."""
    try:
        size = tuple(float(line) for line in file.read_text().split())
    except ValueError as error:
        raise CaseError(f"{file} is damaged: {error}") from error
    if len(size) != 3:
        raise CaseError(f"{file} should hold three numbers, it has {len(size)}")
    return size
