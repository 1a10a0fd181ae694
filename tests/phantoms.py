"""Small patients: one as DICOM, every ROI a formula and its dose linear in space; one for apertures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from radplan_env.case import Case
from radplan_env.export import export_dicom
from radplan_env.grid import Grid

GRID = Grid((12, 40, 48), (3.0, 2.5, 2.5), (-16.5, -48.75, -58.75))
HEIGHTS = tuple(float(z) for z in GRID.coordinates_mm(0))
RADIUS_MM = 12.0
SLICE_CC = np.pi * RADIUS_MM**2 * 3.0 / 1000
"""Volume of a rectum's contour on one slice."""

Contour = NDArray[np.float64]


def ellipse(a: float, b: float, z: float, centre: tuple[float, float] = (0.0, 0.0), n: int = 120) -> Contour:
    """Points (x, y, z) of an axial ellipse in mm."""
    t = np.linspace(0, 2 * np.pi, n, endpoint=False)
    return np.column_stack([centre[0] + a * np.cos(t), centre[1] + b * np.sin(t), np.full(n, z)])


def rectum(heights: Sequence[float] = HEIGHTS) -> list[Contour]:
    return [ellipse(RADIUS_MM, RADIUS_MM, z, (0.0, 20.0)) for z in heights]


BODY = ("Body", [ellipse(50, 40, z) for z in HEIGHTS])
PTV = ("PTV_7020", [ellipse(10, 10, z, (0.0, -10.0)) for z in HEIGHTS])
ROIS = (BODY, PTV, ("Rectum", rectum()))


def dose_gy(z: Any, y: Any, x: Any) -> Any:
    return 30 + 0.1 * x + 0.15 * y + 0.2 * z


def write_patient(folder: Path, rois: Sequence[tuple[Any, ...]] = ROIS) -> Path:
    """CT, RTSTRUCT and RTDOSE; `rois` are (name, contours) or (name, contours, geometric type)."""
    z, y, x = np.meshgrid(*map(GRID.coordinates_mm, range(3)), indexing="ij")
    body = (x / 50) ** 2 + (y / 40) ** 2 < 1
    export_dicom(Case("phantom", np.where(body, 0, -1000), {"Body": body}, GRID), dose_gy(z, y, x), GRID, folder)
    change(folder / "RTSTRUCT.dcm", lambda dataset: draw(dataset, rois))
    return folder


def draw(dataset: Dataset, rois: Sequence[tuple[Any, ...]]) -> None:
    """Replace the ROIs of an RTSTRUCT."""
    dataset.StructureSetROISequence, dataset.ROIContourSequence, dataset.RTROIObservationsSequence = [], [], []
    for number, (name, contours, *kind) in enumerate(rois, 1):
        dataset.StructureSetROISequence.append(_item(ROINumber=number, ROIName=name))
        dataset.ROIContourSequence.append(
            _item(
                ReferencedROINumber=number,
                ContourSequence=[
                    _item(
                        ContourGeometricType=kind[0] if kind else "CLOSED_PLANAR",
                        ContourData=[f"{v:.3f}" for v in np.ravel(points)],
                    )
                    for points in contours
                ],
            )
        )


def change(path: Path, edit: Callable[[Dataset], object]) -> None:
    """Edit a file in place."""
    dataset = pydicom.dcmread(path)
    edit(dataset)
    dataset.save_as(path)


def change_ct(folder: Path, edit: Callable[[Dataset, int], object]) -> None:
    """Edit every slice, counted from the lowest."""
    for k, path in enumerate(sorted(folder.glob("CT_*.dcm"))):
        change(path, lambda dataset, k=k: edit(dataset, k))


def marble(protocol: str) -> Case:
    """A target of 16 mm in a thin rod of water, on 5 mm voxels: the smallest that apertures can be made for."""
    z, y, x = np.meshgrid(*(5.0 * np.arange(-n, n + 1) for n in (7, 8, 8)), indexing="ij")
    body = y**2 + x**2 <= 35**2
    target, organ = {"prostate": ("PTV_7020", "Rectum"), "head-and-neck": ("PTV_7000", "SpinalCord")}[protocol]
    balls = {target: z**2 + y**2 + x**2 <= 8**2, organ: z**2 + (y - 20) ** 2 + x**2 <= 8**2}
    return Case.from_arrays(
        id=f"phantom/marble-{protocol}",
        ct_hu=np.where(body, 0.0, -1000.0),
        structures={"Body": body, **balls},
        voxel_size_mm=(5.0,) * 3,
        source="phantom",
    )


def _item(**elements: Any) -> Dataset:
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item
