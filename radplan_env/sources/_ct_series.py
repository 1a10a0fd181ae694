"""A CT series as one volume, checked slice by slice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radplan_env.errors import CaseError
from radplan_env.grid import Grid
from radplan_env.sources._dicom_files import File
from radplan_env.sources._images import to_lps

_SIDEWAYS_MM = 0.1
_PLAUSIBLE_HU = (-500.0, 500.0)


def read_ct(series: Sequence[File]) -> tuple[NDArray[np.float32], Grid]:
    """CT numbers in HU and their grid.

    Raises
    ------
    CaseError
        If slices are missing, doubled, displaced, of different pixels, oblique or damaged, or lack what turns
        their values into HU; the message names folder and file.
    """
    import SimpleITK as sitk

    files = _stacked(series)
    folder = files[0].path.parent
    for file in files:
        _check_rescale(file)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(file.path) for file in files])
    try:
        ct_hu, grid = to_lps(reader.Execute(), np.float32)
    except RuntimeError:
        broken = next((str(file.path) for file in files if not _is_readable(file)), None)
        problem = f"{broken} is truncated or damaged" if broken else "its slices form no volume"
        raise CaseError(f"the CT in {folder} cannot be read: {problem}") from None
    except CaseError as error:
        raise CaseError(f"the CT in {folder}: {error}") from None
    ct_hu.setflags(write=False)
    return ct_hu, grid


def check_hu(ct_hu: NDArray[np.float32], body: NDArray[np.bool_], where: str) -> None:
    """Refuse a CT whose patient is not mostly of soft tissue: its values are no HU."""
    low, high = _PLAUSIBLE_HU
    if not low < (middle := float(np.median(ct_hu[body]))) < high:
        raise CaseError(
            f"{where}: the middle CT number of the patient is {middle:.0f} HU, where water is 0: "
            "check RescaleIntercept and RescaleSlope"
        )


def _stacked(series: Sequence[File]) -> list[File]:
    """Slices in order, checked to be parallel, equally spaced, one above the other and of the same pixels."""
    folder = series[0].path.parent
    orientations = _header(series, "ImageOrientationPatient", 6)
    positions = _header(series, "ImagePositionPatient", 3)
    if np.abs(orientations - orientations[0]).max() > 1e-3:
        raise CaseError(f"CT slices in {folder} are not parallel: keep the planning CT only")
    pixels = np.hstack([_header(series, "PixelSpacing", 2), _header(series, "Rows", 1), _header(series, "Columns", 1)])
    if (other := np.abs(pixels - np.median(pixels, axis=0)).max(axis=1) > 1e-3).any():
        raise CaseError(
            f"{series[int(np.argmax(other))].path} has pixels of another size or number than the other slices"
        )
    row, column = orientations[0].reshape(2, 3)
    heights = positions @ np.cross(row, column)
    order = np.argsort(heights)
    steps = np.diff(heights[order])
    if len(steps) == 0:
        raise CaseError(f"the CT in {folder} has a single slice")
    if (irregular := np.abs(steps - np.median(steps)) > 0.01 + 0.01 * np.median(steps)).any():
        after = series[order[int(np.argmax(irregular))]].path
        raise CaseError(f"CT slices in {folder} are missing, doubled or unevenly spaced after {after.name}")
    sideways = positions @ np.column_stack([row, column])
    away = np.abs(sideways - np.median(sideways, axis=0)).max(axis=1)
    if away.max() > _SIDEWAYS_MM:
        worst = series[int(np.argmax(away))].path
        raise CaseError(
            f"CT slices in {folder} are displaced sideways, {worst.name} by {away.max():.1f} mm "
            "(tilted gantry, or slices of several scans): resample it to axial slices"
        )
    return [series[i] for i in order]


def _header(series: Sequence[File], keyword: str, count: int) -> NDArray[np.float64]:
    """A numeric attribute of every slice, shape (slices, count)."""
    values = []
    for file in series:
        try:
            value: Any = np.atleast_1d(np.array(file.header[keyword].value, float))
        except (KeyError, TypeError, ValueError):
            value = np.empty(0)
        if value.shape != (count,) or not np.isfinite(value).all():
            raise CaseError(f"{file.path} lacks {keyword}, or it is damaged: export the CT again")
        values.append(value)
    return np.array(values)


def _check_rescale(file: File) -> None:
    """Stored values are HU only by slope and intercept; that they are 1 and 0 is not to be guessed."""
    slope, _ = (_header([file], keyword, 1)[0, 0] for keyword in ("RescaleSlope", "RescaleIntercept"))
    if slope == 0:
        raise CaseError(f"{file.path} has a RescaleSlope of 0: export the CT again")


def _is_readable(file: File) -> bool:
    import SimpleITK as sitk

    try:
        sitk.ReadImage(str(file.path))
    except RuntimeError:
        return False
    return True
