"""The ROIs of an RTSTRUCT: which there are, and the contours of one at a time."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from radplan_env.errors import CaseError
from radplan_env.grid import Grid
from radplan_env.sources._contours import SAME_PLANE_MM, rasterise
from radplan_env.sources._dicom_files import File

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "INTERPOLATED_PLANAR")
_CONTOUR_DATA = 0x30060050


@dataclass
class StructureSet:
    """What an RTSTRUCT declares.

    Parameters
    ----------
    file
        The RTSTRUCT.
    """

    file: File
    contours: dict[str, list[Dataset]] = field(init=False)
    """Contours by ROI name; none for an ROI that was declared only."""
    externals: list[str] = field(init=False)
    """Names of the ROIs of type EXTERNAL."""
    notes: list[str] = field(init=False, default_factory=list)
    """What was left out, a sentence each."""

    def __post_init__(self) -> None:
        header = self.file.header
        outlines: dict[Any, list[Dataset]] = defaultdict(list)
        for outline in header.get("ROIContourSequence") or []:
            outlines[outline.get("ReferencedROINumber")].extend(outline.get("ContourSequence") or [])
        names: dict[Any, list[str]] = defaultdict(list)
        for roi in header.get("StructureSetROISequence") or []:
            if (name := str(roi.get("ROIName") or "")) not in names[roi.get("ROINumber")]:
                names[roi.get("ROINumber")].append(name)
        self.contours = {name: [] for roi_names in names.values() for name in roi_names}
        self._twins: dict[str, str] = {}
        for number, contours in outlines.items():
            if contours and number not in names:
                self.notes.append(f"{len(contours)} contours of ROI number {number}, which has no name, are left out")
            for name in names.get(number, []) if contours else []:
                if len(names[number]) > 1:
                    self._twins[name] = f"shares ROI number {number} with {_others(names[number], name)}"
                elif self.contours[name]:
                    self._twins[name] = "is the name of several ROIs with contours"
                self.contours[name] = contours
        self.externals = [
            name
            for observation in header.get("RTROIObservationsSequence") or []
            if observation.get("RTROIInterpretedType") == "EXTERNAL"
            for name in names.get(observation.get("ReferencedROINumber"), [])
            if self.has_area(name)
        ]

    def has_area(self, name: str) -> bool:
        """Whether an ROI has closed contours."""
        return any(_type(contour) in _CLOSED for contour in self.contours[name])

    def mask(self, name: str, grid: Grid) -> NDArray[np.bool_]:
        """Voxels of an ROI, its contours let go; what is left out of them goes to `notes`.

        Raises
        ------
        CaseError
            If the ROI is not the only one of its name or number, or a contour is damaged or not axial.
        """
        if name in self._twins:
            raise self._error(name, self._twins[name])
        polygons, left_out = [], Counter[str]()
        for contour in self.contours[name]:
            if (kind := _type(contour)) not in _CLOSED:
                left_out[f"of type {kind or 'unknown'}"] += 1
                continue
            points = self._points(name, contour)
            if len(points) < 3:
                left_out["of fewer than three points"] += 1
                continue
            if np.ptp(points[:, 2]) > SAME_PLANE_MM:
                raise self._error(name, "has a contour that is not axial")
            polygons.append(points)
        z = grid.coordinates_mm(0)
        reach = grid.spacing_mm[0] / 2 + 1e-3
        left_out["beyond the CT"] = sum(not z[0] - reach < p[0, 2] < z[-1] + reach for p in polygons)
        total = len(self.contours[name])
        self.notes += [f"{name!r}: {n} of {total} contours, {why}, are left out" for why, n in left_out.items() if n]
        mask = rasterise(polygons, grid)
        self.contours[name] = []
        if not mask.any():
            raise self._error(name, "covers no voxel of the CT")
        return mask

    def _points(self, name: str, contour: Dataset) -> NDArray[np.float64]:
        """Points (n, 3) of a contour, from the file's text: as decimal objects they take fifty times the memory."""
        element = contour.get_item(_CONTOUR_DATA)
        value = None if element is None else element.value
        if isinstance(value, bytes):
            value = value.rstrip(b" \0").split(b"\\")
        try:
            points = np.array(value, float).reshape(-1, 3)
        except (TypeError, ValueError):
            points = np.empty((0, 3))
        if len(points) == 0 or not np.isfinite(points).all():
            raise self._error(name, "has a contour without proper points (ContourData)")
        return points

    def _error(self, name: str, problem: str) -> CaseError:
        return CaseError(
            f"{self.file.path}: ROI {name!r} {problem}: mend it in the planning system, "
            f"or leave it out with name_map={{{name!r}: None}}"
        )


def _type(contour: Dataset) -> str:
    return str(contour.get("ContourGeometricType") or "").strip().upper()


def _others(names: list[str], name: str) -> str:
    return ", ".join(repr(other) for other in names if other != name)
