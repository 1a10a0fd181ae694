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
from radplan_env.grid import Grid, resample
from radplan_env.sources._contours import rasterise
from radplan_env.sources._dicom_files import File, plan_dose, scan, series_of, the_only
from radplan_env.sources._images import content_id, to_lps
from radplan_env.structure_names import is_tg263, map_names

_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")


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
        Structure names of the RTSTRUCT to TG-263 names, where the built-in map does not know them or is
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
        If CT or RTSTRUCT are missing, ambiguous or do not belong together, a slice is missing or a file
        is damaged; see also `Case`.
    """
    files = scan(Path(folder))
    structure_set = the_only(files["RTSTRUCT"], "RTSTRUCT", folder)
    series = series_of(structure_set, files["CT"], folder)
    frame_of_reference = series[0].header.get("FrameOfReferenceUID")
    ct_hu, grid = _read_ct(series)
    contours, names, unmapped = _contours(structure_set, name_map, keep)
    dose = _reference_dose(files, frame_of_reference, grid) if reference_dose else None
    return Case(
        id=case_id or f"dicom/{content_id(ct_hu)}",
        ct_hu=ct_hu,
        structures={names[name]: rasterise(contours[name], grid) for name in names},
        grid=grid,
        reference_dose_gy=dose,
        source="dicom",
        unmapped=unmapped,
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


def _read_ct(series: Sequence[File]) -> tuple[NDArray[np.float32], Grid]:
    import SimpleITK as sitk

    files = _stacked(series)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(file.path) for file in files])
    try:
        image = reader.Execute()
    except RuntimeError:
        broken = next((str(file.path) for file in files if not _is_readable(file)), None)
        problem = f"{broken} is truncated or damaged" if broken else "its slices form no volume"
        raise CaseError(f"the CT in {files[0].path.parent} cannot be read: {problem}") from None
    ct_hu, grid = to_lps(image)
    return ct_hu.astype(np.float32), grid


def _stacked(series: Sequence[File]) -> list[File]:
    """Slices in order, checked to be parallel and equally spaced."""
    folder = series[0].path.parent
    try:
        orientations = np.array([file.header.ImageOrientationPatient for file in series], float)
        positions = np.array([file.header.ImagePositionPatient for file in series], float)
    except (AttributeError, TypeError, ValueError):
        raise CaseError(f"CT slices in {folder} lack position or orientation") from None
    if np.abs(orientations - orientations[0]).max() > 1e-3:
        raise CaseError(f"CT slices in {folder} are not parallel: keep the planning CT only")
    heights = positions @ np.cross(orientations[0, :3], orientations[0, 3:])
    order = np.argsort(heights)
    steps = np.diff(heights[order])
    if len(steps) == 0:
        raise CaseError(f"the CT in {folder} has a single slice")
    if (irregular := np.abs(steps - np.median(steps)) > 0.01 + 0.01 * np.median(steps)).any():
        after = series[order[int(np.argmax(irregular))]].path
        raise CaseError(f"CT slices in {folder} are missing, doubled or unevenly spaced after {after.name}")
    return [series[i] for i in order]


def _is_readable(file: File) -> bool:
    import SimpleITK as sitk

    try:
        sitk.ReadImage(str(file.path))
    except RuntimeError:
        return False
    return True


def _contours(
    structure_set: File, name_map: Mapping[str, str | None] | None, keep: Collection[str] | None
) -> tuple[dict[str, list[NDArray[np.float64]]], dict[str, str], tuple[str, ...]]:
    """Contours by the RTSTRUCT's names, those names to TG-263, and the names that have none."""
    if wrong := sorted(name for name in keep or () if not is_tg263(name)):
        raise CaseError(f"keep: {wrong} are not TG-263 names known here")
    header = structure_set.header
    try:
        roi_names = {roi.ROINumber: str(roi.ROIName) for roi in header.StructureSetROISequence}
        contours = {
            roi_names[roi.ReferencedROINumber]: [
                np.array(contour.ContourData, float).reshape(-1, 3)
                for contour in roi.get("ContourSequence") or []
                if contour.ContourGeometricType in _CLOSED
            ]
            for roi in header.ROIContourSequence
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CaseError(f"{structure_set.path} is damaged: {type(error).__name__}") from None
    contours = {name: polygons for name, polygons in contours.items() if polygons}
    try:
        names, unmapped = map_names(contours, name_map)
    except CaseError as error:
        raise CaseError(f"{structure_set.path}: {error}") from error
    externals = [
        roi_names.get(observation.ReferencedROINumber)
        for observation in header.get("RTROIObservationsSequence") or []
        if observation.get("RTROIInterpretedType") == "EXTERNAL"
    ]
    if "Body" not in names.values() and len(externals) == 1 and externals[0] in unmapped:
        names[externals[0]] = "Body"
        unmapped = tuple(name for name in unmapped if name != externals[0])
    if keep is not None:
        names = {name: standard for name, standard in names.items() if standard in {"Body", *keep}}
    return contours, names, unmapped


def _reference_dose(
    files: Mapping[str, Sequence[File]], frame_of_reference: Any, grid: Grid
) -> NDArray[np.float32] | None:
    """The dose of the patient's own plan, None where there is no RTDOSE."""
    try:
        file = plan_dose(files, frame_of_reference)
        return None if file is None else _read_dose(file, grid)
    except CaseError as error:
        raise CaseError(
            f"{error}. To read the patient without a reference dose: reference_dose=False, "
            "on the command line --no-reference-dose"
        ) from error


def _read_dose(file: File, grid: Grid) -> NDArray[np.float32]:
    """Total dose in Gy on the grid of the CT."""
    import SimpleITK as sitk
    from pydicom import dcmread

    if file.header.get("DoseUnits") != "GY":
        raise CaseError(f"{file.path} holds no dose in Gy: export absolute dose")
    try:
        dataset = dcmread(file.path)
        dose = np.atleast_3d(dataset.pixel_array) * float(dataset.DoseGridScaling)
        offsets = np.array(dataset.GridFrameOffsetVector, float)
        position = np.array(dataset.ImagePositionPatient, float)
        row, column = np.array(dataset.ImageOrientationPatient, float).reshape(2, 3)
        dy, dx = (float(s) for s in dataset.PixelSpacing)
    except Exception as error:
        raise CaseError(f"{file.path} is damaged: {type(error).__name__}") from None
    steps = np.diff(offsets)
    if len(offsets) != len(dose) or len(steps) == 0 or np.abs(steps - steps[0]).max() > 1e-2:
        raise CaseError(f"{file.path} has unevenly spaced planes: export it on a regular grid")
    # Offsets count from the first plane, or, if the first is not 0, are z positions (PS3.3 C.8.8.3.2).
    if abs(offsets[0]) > 1e-6:
        position[2] = offsets[0]
    normal = np.cross(row, column) * np.sign(steps[0])
    image = sitk.GetImageFromArray(dose.astype(np.float32))
    image.SetOrigin(position)
    image.SetSpacing((dx, dy, abs(float(steps[0]))))
    image.SetDirection(np.column_stack([row, column, normal]).ravel())
    values, own_grid = to_lps(image)
    return resample(values, own_grid, grid)
