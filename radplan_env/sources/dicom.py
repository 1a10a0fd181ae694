"""DICOM: a folder with a planning CT and its RTSTRUCT, and the RTDOSE of a plan where there is one.

Nothing that tells who the patient is (names, ids, dates, UIDs) leaves this module, error messages included:
they name files only, and hide the reader's own exceptions, which may quote a header.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radplan_env.case import Case
from radplan_env.errors import CaseError
from radplan_env.grid import Grid
from radplan_env.sources._ct_series import check_hu, read_ct
from radplan_env.sources._dicom_files import File, plan_dose, scan, series_of, the_only
from radplan_env.sources._images import content_id
from radplan_env.sources._rtdose import not_covered, read_dose
from radplan_env.sources._structure_set import StructureSet
from radplan_env.structure_names import map_names, naming_problem


def load(
    folder: str | Path,
    *,
    name_map: Mapping[str, str | None] | None = None,
    keep: Collection[str] | None = None,
    reference_dose: bool = True,
    case_id: str | None = None,
) -> Case:
    """Read one patient from a folder, in any arrangement of subfolders.

    The CT is the series that the RTSTRUCT refers to. The reference dose is the one RTDOSE of summation type
    PLAN in that frame of reference (doses of single beams are passed over; of several the one that refers
    to the folder's RTPLAN), resampled onto the CT and 0 outside its own grid.

    Parameters
    ----------
    folder
        Searched with all its subfolders. Files that are not DICOM are passed over.
    name_map
        ROI names of the RTSTRUCT to TG-263 names, where the built-in map does not know them or is
        wrong; None leaves a structure out. A structure of type EXTERNAL is the body where no name says so.
    keep
        TG-263 names of the structures to read, all by default. The body is always read.
    reference_dose
        Whether to read the dose.
    case_id
        Id of the case; by default ``"dicom/"`` and a hash of the CT's voxels.

    Raises
    ------
    CaseError
        If CT or RTSTRUCT are missing, ambiguous or do not belong together, a slice is missing or displaced, a
        file is damaged, or an ROI that is read is ambiguous, damaged or not axial; see also `Case`.
    """
    from tqdm import tqdm

    if problems := [problem for name in keep or () if (problem := naming_problem(name))]:
        raise CaseError(f"keep: {'; '.join(problems)}")
    files = scan(Path(folder))
    file = the_only(files["RTSTRUCT"], "RTSTRUCT", folder)
    series = series_of(file, files["CT"], folder)
    ct_hu, grid = read_ct(series)
    structure_set = StructureSet(file)
    names, unmapped = _names(structure_set, name_map)
    masks = {}
    wanted = {name: standard for name, standard in names.items() if keep is None or standard in {"Body", *keep}}
    for name, standard in tqdm(wanted.items(), "reading structures", unit="structure", delay=2, leave=False):
        masks[standard] = structure_set.mask(name, grid)
        masks[standard].setflags(write=False)
    if "Body" in masks:
        check_hu(ct_hu, masks["Body"], f"the CT in {series[0].path.parent}")
    notes = structure_set.notes
    reference = None
    frame_of_reference = series[0].header.get("FrameOfReferenceUID")
    if reference_dose and (dose := _reference_dose(files, frame_of_reference, grid)) is not None:
        reference, dose_grid = dose
        if outside := not_covered(dose_grid, grid, masks):
            shares = ", ".join(f"{share:.0%} of {name!r}" for name, share in outside.items())
            notes.append(f"the grid of the reference dose does not reach {shares}: taken as 0 Gy there")
    return Case(
        id=case_id or f"dicom/{content_id(ct_hu)}",
        ct_hu=ct_hu,
        structures=masks,
        grid=grid,
        reference_dose_gy=reference,
        source="dicom",
        unmapped=unmapped,
        notes=tuple(notes),
    )


def structure_names(folder: str | Path) -> tuple[str, ...]:
    """The names of all structures in the RTSTRUCT of a patient's folder.

    Raises
    ------
    CaseError
        If there is not exactly one RTSTRUCT, or a file is damaged.
    """
    structure_set = the_only(scan(Path(folder))["RTSTRUCT"], "RTSTRUCT", folder)
    return tuple(str(roi.get("ROIName", "")) for roi in structure_set.header.get("StructureSetROISequence") or [])


def _names(
    structure_set: StructureSet, name_map: Mapping[str, str | None] | None
) -> tuple[dict[str, str], tuple[str, ...]]:
    """ROI names to TG-263 names, and the ROIs that are left out: of unknown names or without an area."""
    declared = structure_set.contours
    drawn = [name for name in declared if structure_set.has_area(name) or name in (name_map or {})]
    try:
        names, unmapped = map_names(drawn, name_map)
    except CaseError as error:
        raise CaseError(f"{structure_set.file.path}: {error}") from None
    externals = structure_set.externals
    if "Body" not in names.values() and len(externals) == 1 and externals[0] in unmapped:
        names[externals[0]] = "Body"
        unmapped = tuple(name for name in unmapped if name != externals[0])
    empty = [name for name in declared if name not in unmapped and not structure_set.has_area(name)]
    open_ones = [name for name in empty if declared[name] and (name_map or {}).get(name, "") is not None]
    structure_set.notes += [f"{name!r} is left out: none of its contours encloses an area" for name in open_ones]
    return {name: standard for name, standard in names.items() if name not in empty}, (*unmapped, *open_ones)


def _reference_dose(
    files: Mapping[str, Sequence[File]], frame_of_reference: Any, grid: Grid
) -> tuple[NDArray[np.float32], Grid] | None:
    """The dose of the patient's own plan and its grid, None where there is no RTDOSE."""
    try:
        file = plan_dose(files, frame_of_reference)
        return None if file is None else read_dose(file, grid)
    except CaseError as error:
        raise CaseError(
            f"{error}. To read the patient without a reference dose: reference_dose=False, "
            "on the command line --no-reference-dose"
        ) from error
