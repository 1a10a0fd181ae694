"""An RTDOSE on the grid of a CT."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from radplan_env.case import MAX_PLAUSIBLE_GY, WORTH_SAYING
from radplan_env.errors import CaseError
from radplan_env.grid import Grid, resample
from radplan_env.sources._dicom_files import File
from radplan_env.sources._images import to_lps


def read_dose(file: File, grid: Grid) -> tuple[NDArray[np.float32], Grid]:
    """Total dose in Gy on a grid, 0 outside the file's own, and that own grid.

    Raises
    ------
    CaseError
        If the file is damaged, oblique, of one plane, in other units, or its planes have no definite place.
    """
    import SimpleITK as sitk
    from pydicom import dcmread
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

    if file.header.get("DoseUnits") != "GY":
        raise CaseError(f"{file.path} holds no dose in Gy: export absolute dose")
    try:
        dataset = dcmread(file.path, force=True)
        if "TransferSyntaxUID" not in dataset.file_meta:  # no preamble, no meta information: as it was found to be
            implicit, _ = dataset.original_encoding
            dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        dose = (dataset.pixel_array * float(dataset.DoseGridScaling)).astype(np.float32)
        offsets = np.atleast_1d(np.array(dataset.get("GridFrameOffsetVector", []), float))
        position = np.array(dataset.ImagePositionPatient, float)
        row, column = np.array(dataset.ImageOrientationPatient, float).reshape(2, 3)
        dy, dx = (float(s) for s in dataset.PixelSpacing)
    except Exception as error:
        raise CaseError(f"{file.path} is damaged: {type(error).__name__}") from None
    if dose.ndim != 3 or len(dose) < 2:
        raise CaseError(f"{file.path} holds a single plane: export the dose of the whole volume")
    steps = np.diff(offsets)
    if len(offsets) != len(dose) or np.abs(steps - steps[0]).max() > 1e-2 or abs(steps[0]) < 1e-3:
        raise CaseError(f"{file.path} has unevenly spaced planes: export it on a regular grid")
    if dose.max() > MAX_PLAUSIBLE_GY:
        raise CaseError(f"{file.path} reaches {dose.max():g} Gy: is it in cGy?")
    image = sitk.GetImageFromArray(dose)
    image.SetOrigin(position)
    image.SetSpacing((dx, dy, abs(float(steps[0]))))
    image.SetDirection(np.column_stack([row, column, _stack(file, offsets, position, row, column)]).ravel())
    try:
        values, own_grid = to_lps(image, np.float32)
    except CaseError as error:
        raise CaseError(f"{file.path}: {error}") from None
    on_ct = resample(values, own_grid, grid)
    on_ct.setflags(write=False)
    return on_ct, own_grid


def _stack(
    file: File,
    offsets: NDArray[np.float64],
    position: NDArray[np.float64],
    row: NDArray[np.float64],
    column: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The direction from the first plane to the second.

    Offsets that start at 0 count along the normal of the planes; others are z positions, of which the first
    is that of ImagePositionPatient (PS3.3 C.8.8.3.2).
    """
    normal = np.cross(row, column)
    if abs(offsets[0]) > 1e-6:
        if abs(offsets[0] - position[2]) > 0.1 or abs(abs(normal[2]) - 1) > 1e-3:
            raise CaseError(
                f"{file.path}: GridFrameOffsetVector starts neither at 0 nor at the z of ImagePositionPatient, "
                "so that the place of its planes is open: export the dose again"
            )
        normal = np.array([0.0, 0.0, 1.0])
    direction: NDArray[np.float64] = normal * np.sign(offsets[1] - offsets[0])
    return direction


def not_covered(dose_grid: Grid, grid: Grid, structures: Mapping[str, NDArray[np.bool_]]) -> dict[str, float]:
    """Share of each structure outside a dose grid, where it is worth saying."""
    inside = []
    for axis in range(3):
        centres = dose_grid.coordinates_mm(axis)
        half = dose_grid.spacing_mm[axis] / 2 + 1e-3
        on_axis = grid.coordinates_mm(axis)
        within = np.flatnonzero((on_axis >= centres[0] - half) & (on_axis <= centres[-1] + half))
        inside.append(slice(within[0], within[-1] + 1) if len(within) else slice(0, 0))
    z, y, x = inside
    outside = {name: 1 - np.count_nonzero(mask[z, y, x]) / np.count_nonzero(mask) for name, mask in structures.items()}
    return {name: share for name, share in outside.items() if share > WORTH_SAYING}
