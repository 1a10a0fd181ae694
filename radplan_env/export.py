"""Ways out: a case and a plan's dose as DICOM for any viewer.

What is written belongs to the pseudonymous patient "radplan_env". UIDs follow from the case's content, so
that CT, structures and dose of one case fit together even when written one by one, and writing twice gives
the same files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radplan_env.case import Case
from radplan_env.errors import CaseError
from radplan_env.grid import Grid
from radplan_env.structure_names import is_target

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

RESEARCH_ONLY = "RESEARCH ONLY"
"""What every exported file says of itself, where viewers show it: nothing here is cleared for treatment."""

_CT, _DOSE, STRUCTURES, PLAN = (f"1.2.840.10008.5.1.4.1.1.{n}" for n in ("2", "481.2", "481.3", "481.5"))
_STUDY = "1.2.840.10008.3.1.2.3.1"
_AXIAL = [1, 0, 0, 0, 1, 0]


def export_dicom(case: Case, dose_gy: ArrayLike, dose_grid: Grid, folder: str | Path) -> Path:
    """Write CT, structures and a dose that a viewer opens together.

    Parameters
    ----------
    case
        The case planned on.
    dose_gy
        Total dose in Gy on `dose_grid`, such as ``plan.dose_gy`` on ``plan.grid``.
    folder
        Made if need be; gets ``CT_0001.dcm`` …, ``RTSTRUCT.dcm`` and ``RTDOSE.dcm``.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    CaseError
        If the dose does not fit its grid, or holds negative, infinite or NaN values.
    """
    folder = Path(folder)
    dose_gy = _checked(dose_gy, dose_grid)
    export_ct(case, folder)
    export_rtstruct(case, folder / "RTSTRUCT.dcm")
    export_rtdose(case, dose_gy, dose_grid, folder / "RTDOSE.dcm")
    return folder


def export_ct(case: Case, folder: str | Path) -> None:
    """Write the CT as one file a slice, HU rounded to integers."""
    from tqdm import tqdm

    digest, grid = case.digest(), case.grid
    pixels = np.clip(np.rint(case.ct_hu), -32768, 32767).astype("<i2")
    for k in tqdm(range(grid.shape[0]), "writing CT", unit="slice", delay=2, leave=False):
        slice_ = dataset_of(case, digest, _CT, "CT", f"CT {k}")
        slice_.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
        slice_.InstanceNumber = k + 1
        slice_.KVP = slice_.AcquisitionNumber = None
        slice_.PatientPosition, slice_.Laterality = "HFS", ""
        slice_.RescaleIntercept, slice_.RescaleSlope, slice_.RescaleType = 0, 1, "HU"
        slice_.WindowCenter, slice_.WindowWidth = 40, 400
        _set_pixels(slice_, pixels[k], grid, first_plane=k)
        save(slice_, Path(folder) / f"CT_{k + 1:04d}.dcm")


def export_rtstruct(case: Case, path: str | Path) -> None:
    """Write the structures as closed contours on every slice, in the colours of the figures.

    The file is of implicit VR: explicit VR has no room for the points of a contour beyond 64 KiB.
    """
    from pydicom.uid import ImplicitVRLittleEndian
    from tqdm import tqdm

    from radplan_env.render.colors import structure_colors

    digest = case.digest()
    dataset = dataset_of(case, digest, STRUCTURES, "RTSTRUCT", "RTSTRUCT")
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    dataset.InstanceNumber = 1
    dataset.StructureSetLabel = RESEARCH_ONLY
    dataset.StructureSetDate = dataset.StructureSetTime = ""
    slices = [item(ReferencedSOPClassUID=_CT, ReferencedSOPInstanceUID=uid) for uid in _ct_uids(case, digest)]
    series = item(SeriesInstanceUID=uid(digest, "series CT"), ContourImageSequence=slices)
    study = item(
        ReferencedSOPClassUID=_STUDY,
        ReferencedSOPInstanceUID=uid(digest, "study"),
        RTReferencedSeriesSequence=[series],
    )
    dataset.ReferencedFrameOfReferenceSequence = [
        item(FrameOfReferenceUID=uid(digest, "frame"), RTReferencedStudySequence=[study])
    ]
    rois: list[Dataset] = []
    outlines: list[Dataset] = []
    observations: list[Dataset] = []
    colors = structure_colors(case.structures)
    structures = tqdm(case.structures.items(), "writing structures", unit="structure", delay=2, leave=False)
    for number, (name, mask) in enumerate(structures, start=1):
        rois.append(
            item(
                ROINumber=number,
                ReferencedFrameOfReferenceUID=uid(digest, "frame"),
                ROIName=name,
                ROIGenerationAlgorithm="",
            )
        )
        contours = [_contour(points, slices[k]) for k, points in _contours(mask, case.grid)]
        color = [int(colors[name][i : i + 2], 16) for i in (1, 3, 5)]
        outlines.append(item(ROIDisplayColor=color, ContourSequence=contours, ReferencedROINumber=number))
        kind = "EXTERNAL" if name == "Body" else name[:3] if is_target(name) and name[0] != "I" else "ORGAN"
        observations.append(
            item(
                ObservationNumber=number,
                ReferencedROINumber=number,
                RTROIInterpretedType=kind,
                ROIInterpreter="",
            )
        )
    dataset.StructureSetROISequence = rois
    dataset.ROIContourSequence = outlines
    dataset.RTROIObservationsSequence = observations
    save(dataset, Path(path))


def _contour(points: NDArray[np.float64], image: Dataset) -> Dataset:
    from pydicom.dataelem import DataElement

    contour = item(
        ContourImageSequence=[image], ContourGeometricType="CLOSED_PLANAR", NumberOfContourPoints=len(points)
    )
    text = "\\".join(f"{c:.3f}" for c in points.ravel())
    # As decimal objects that are checked one by one, a case's contours took ten times as long as all else.
    contour.add(DataElement("ContourData", "DS", text, already_converted=True))
    return contour


def export_rtdose(case: Case, dose_gy: ArrayLike, grid: Grid, path: str | Path) -> None:
    """Write a total dose in Gy, 16 bits a voxel, in steps of about a thousandth of a Gy; see `export_dicom`."""
    dose = _checked(dose_gy, grid)
    digest = case.digest()
    scaling = float(f"{max(dose.max(), 1.0) / (2**16 - 2):.9e}")  # as the file will hold it
    content = hashlib.sha256(dose.tobytes()).hexdigest()
    dataset = dataset_of(case, digest, _DOSE, "RTDOSE", f"RTDOSE {grid} {content}")
    dataset.InstanceNumber = 1
    dataset.FrameIncrementPointer = 0x3004000C  # GridFrameOffsetVector
    dataset.NumberOfFrames = grid.shape[0]
    dataset.GridFrameOffsetVector = [_ds(k * grid.spacing_mm[0]) for k in range(grid.shape[0])]
    dataset.DoseUnits, dataset.DoseType, dataset.DoseSummationType = "GY", "PHYSICAL", "PLAN"
    dataset.DoseGridScaling = _ds(scaling)
    # Type 1C for a sum over a plan, which an ideal plan's files lack.
    plan = item(ReferencedSOPClassUID=PLAN, ReferencedSOPInstanceUID=plan_uid(digest, dose, grid))
    dataset.ReferencedRTPlanSequence = [plan]
    dataset.DoseComment = f"{RESEARCH_ONLY}: not for treatment"
    _set_pixels(dataset, np.rint(dose / scaling).astype("<u2"), grid)
    save(dataset, Path(path))


def plan_uid(digest: str, dose_gy: ArrayLike, grid: Grid) -> str:
    """Return the UID by which a dose refers to its plan."""
    return uid(digest, f"RTPLAN {grid} {hashlib.sha256(np.asarray(dose_gy, np.float64).tobytes()).hexdigest()}")


def _checked(dose_gy: ArrayLike, grid: Grid) -> NDArray[np.float64]:
    dose = np.asarray(dose_gy, np.float64)
    if dose.shape != grid.shape:
        raise CaseError(f"dose has shape {dose.shape}, its grid {grid.shape}")
    if not np.isfinite(dose).all() or dose.min() < 0:
        raise CaseError("dose to export holds negative, infinite or NaN values")
    return dose


def _contours(mask: NDArray[np.bool_], grid: Grid) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Slice and LPS points (x, y, z) of every closed contour, half-way between voxels in and out."""
    import contourpy

    x, y = (grid.origin_mm[axis] + grid.spacing_mm[axis] * np.arange(-1.0, grid.shape[axis] + 1) for axis in (2, 1))
    for k in np.flatnonzero(mask.any(axis=(1, 2))):
        lines = contourpy.contour_generator(x, y, np.pad(mask[k], 1).astype(float)).lines(0.5)
        for line in lines:
            points = np.asarray(line)[:-1]  # the last repeats the first
            yield int(k), np.column_stack([points, np.full(len(points), grid.coordinates_mm(0)[k])])


def dataset_of(case: Case, digest: str, sop_class: str, modality: str, instance: str) -> Dataset:
    """Patient, study, series and frame of reference, the same for all files of a case."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian

    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = UID(sop_class), UID(uid(digest, instance))
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.Modality, dataset.Manufacturer = modality, "radplan_env"
    dataset.PatientName, dataset.PatientID = "radplan_env", case.id.replace("\\", "/")[:64]
    dataset.PatientBirthDate = dataset.PatientSex = ""
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = "radplan_env case"
    dataset.StudyInstanceUID, dataset.StudyID = uid(digest, "study"), ""
    dataset.StudyDate = dataset.StudyTime = dataset.AccessionNumber = dataset.ReferringPhysicianName = ""
    dataset.SeriesInstanceUID = uid(digest, f"series {modality}")
    dataset.SeriesNumber = {"CT": 1, "RTSTRUCT": 2, "RTDOSE": 3, "RTPLAN": 4}[modality]
    dataset.SeriesDescription = f"{RESEARCH_ONLY}, synthetic anatomy" if case.synthetic else RESEARCH_ONLY
    dataset.OperatorsName = ""
    dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = uid(digest, "frame"), ""
    return dataset


def _set_pixels(dataset: Dataset, pixels: NDArray[Any], grid: Grid, first_plane: int = 0) -> None:
    (dz, dy, dx), (z, y, x) = grid.spacing_mm, grid.origin_mm
    dataset.ImagePositionPatient = [_ds(x), _ds(y), _ds(z + first_plane * dz)]
    dataset.ImageOrientationPatient = _AXIAL
    dataset.PixelSpacing, dataset.SliceThickness = [_ds(dy), _ds(dx)], _ds(dz)
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    bits = 8 * pixels.dtype.itemsize
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes()


def save(dataset: Dataset, path: Path) -> None:
    """Write a file, and its folder if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)


def item(**elements: Any) -> Dataset:
    """Return an item of a sequence."""
    from pydicom.dataset import Dataset

    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item


def _ct_uids(case: Case, digest: str) -> list[str]:
    return [uid(digest, f"CT {k}") for k in range(case.grid.shape[0])]


def uid(digest: str, what: str) -> str:
    """Return the UID of a part of a case."""
    from pydicom.uid import generate_uid

    return str(generate_uid(entropy_srcs=[digest, what]))


def _ds(value: float) -> Any:
    """A decimal string of at most the 16 characters that DICOM allows."""
    from pydicom.valuerep import DSfloat

    return DSfloat(value, auto_format=True)
