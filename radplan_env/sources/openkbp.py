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

from radplan_env.case import WORTH_SAYING, Case, CaseError
from radplan_env.sources._body import body_mask, fill_cavities
from radplan_env.sources.cohort import Cohort
from radplan_env.structure_names import map_names

SPLITS = ("train", "validation", "test")
"""The official splits."""

_SHAPE = (128, 128, 128)
_ORIENTATION = "PLI"
_REQUIRED = ("ct", "dose", "possible_dose_mask", "voxel_dimensions")
_RAW_SOFT_TISSUE = (700.0, 1300.0)
_PLAUSIBLE_SIZE_MM = (1.0, 10.0)
_PLAUSIBLE_MAX_GY = (20.0, 150.0)
_MISSING_TISSUE = 0.05  # of the body: more than the air of nose, mouth and throat


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
    size_mm = _voxel_size_mm(folder / "voxel_dimensions.csv")
    possible = _mask(folder / "possible_dose_mask.csv")
    ct_hu, scanned = _ct(folder / "ct.csv", possible)
    dose = _dose(folder / "dose.csv", possible)
    files = {file.stem: file for file in sorted(folder.glob("*.csv")) if file.stem not in _REQUIRED}
    names, unmapped = map_names(files)
    masks = {names[stem]: _structure(files[stem], scanned) for stem in names}
    structures = np.any([np.zeros(_SHAPE, bool), *masks.values()], axis=0)
    cut_out = fill_cavities(possible) & ~possible & ~scanned
    tissue = body_mask(ct_hu, possible | structures, size_mm, cut_out)
    body = fill_cavities(tissue | structures)
    voxel_cc = float(np.prod(size_mm)) / 1000
    notes = _beyond_the_scan(masks, tissue, voxel_cc)
    cut_out &= body
    if np.count_nonzero(cut_out) > _MISSING_TISSUE * np.count_nonzero(body):
        ct_hu[cut_out] = 0.0
        notes.append(f"ct.csv lacks {np.count_nonzero(cut_out) * voxel_cc:.0f} cc inside the patient: taken as water")
    return Case.from_arrays(
        id=f"openkbp/{folder.name}",
        ct_hu=np.where(body, ct_hu, -1000.0),  # leaves couch, headrest and mask behind
        structures={"Body": body} | masks,
        voxel_size_mm=size_mm,
        orientation=_ORIENTATION,
        reference_dose_gy=dose,
        source="openkbp",
        unmapped=unmapped,
        notes=notes,
    )


def _beyond_the_scan(masks: dict[str, NDArray[np.bool_]], tissue: NDArray[np.bool_], voxel_cc: float) -> list[str]:
    """Organs contoured where the released CT holds nothing but them: Body is what is known of the patient there."""
    outside = {name: np.count_nonzero(mask & ~tissue) for name, mask in masks.items()}
    return [
        f"{outside[name] * voxel_cc:.1f} cc of {name!r} lie where the CT shows no other tissue: Body is widened to them"
        for name, mask in masks.items()
        if outside[name] > WORTH_SAYING * np.count_nonzero(mask)
    ]


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


def _structure(file: Path, scanned: NDArray[np.bool_]) -> NDArray[np.bool_]:
    mask = _mask(file)
    # Air has the raw value 0 and is not listed, so that a few voxels of an airway may lack theirs.
    if np.count_nonzero(mask & scanned) < 0.5 * np.count_nonzero(mask):
        raise CaseError(f"{file} lies where ct.csv has no values: is it from another patient?")
    return mask


def _ct(file: Path, possible: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """CT numbers in HU, and the voxels that the file lists: what was cut away, and some air, it does not."""
    raw, scanned = _volume(file, possible)
    low, high = _RAW_SOFT_TISSUE
    if not low < (middle := float(np.median(raw[scanned & possible]))) < high:
        raise CaseError(f"{file} is no CT as OpenKBP's, raw = HU + 1000: the middle value of the patient is {middle:g}")
    # A few scans hold values above the 12 bits of CT.
    return np.clip(raw, 0, 4095) - 1000.0, scanned


def _dose(file: Path, possible: NDArray[np.bool_]) -> NDArray[np.float64]:
    dose, listed = _volume(file, possible)
    if np.count_nonzero(listed & possible) < 0.98 * np.count_nonzero(possible):
        raise CaseError(f"{file} is truncated: it lacks voxels of possible_dose_mask.csv")
    low, high = _PLAUSIBLE_MAX_GY
    if not low < dose.max() < high:
        raise CaseError(f"{file} reaches {dose.max():g}: it should hold the total dose in Gy, 70 Gy or so at most")
    return dose


def _volume(file: Path, possible: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Values, 0 where the file lists none, and where it lists some."""
    index, values = _table(file)
    if not np.isfinite(values).all():
        raise CaseError(f"{file} holds values that are no numbers")
    # Voxels are in order, so that a file cut short lacks the last ones.
    if np.count_nonzero(possible.ravel()[index.max() + 1 :]) > 0.02 * np.count_nonzero(possible):
        raise CaseError(f"{file} is truncated: it lacks the last voxels of possible_dose_mask.csv")
    volume = np.zeros(_SHAPE)
    volume.flat[index] = values
    listed = np.zeros(_SHAPE, bool)
    listed.flat[index] = True
    return volume, listed


def _voxel_size_mm(file: Path) -> tuple[float, ...]:
    """In-plane (two) and slice spacing."""
    try:
        size = tuple(float(line) for line in file.read_text().split())
    except ValueError as error:
        raise CaseError(f"{file} is damaged: {error}") from error
    if len(size) != 3:
        raise CaseError(f"{file} should hold three numbers, it has {len(size)}")
    low, high = _PLAUSIBLE_SIZE_MM
    if not all(low <= s <= high for s in size):
        raise CaseError(f"{file} holds {size}: voxel sizes are in mm, from {low:g} to {high:g}")
    return size
