"""Which DICOM files of a folder belong together."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radplan_env.errors import CaseError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


@dataclass(frozen=True)
class File:
    """A DICOM file and its header, pixels left unread."""

    path: Path
    header: Dataset


def scan(folder: Path) -> dict[str, list[File]]:
    """DICOM files by modality, pixels left unread."""
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError
    from tqdm import tqdm

    if folder.is_file():
        raise CaseError(f"{folder} is a file: name the folder of a patient's DICOM files, an archive unpacked")
    if not folder.is_dir():
        raise CaseError(f"there is no folder {folder}")
    files: dict[str, list[File]] = defaultdict(list)
    paths = sorted(p for p in folder.rglob("*") if p.is_file())
    for path in tqdm(paths, "reading DICOM headers", unit="file", delay=2, leave=False):
        try:
            header = dcmread(path, stop_before_pixels=True, force=_is_bare(path))
        except InvalidDicomError:
            if path.suffix.lower() == ".dcm":
                raise CaseError(f"{path} is damaged or no DICOM file") from None
            continue
        except Exception as error:
            raise CaseError(f"{path} is damaged: {type(error).__name__}") from None
        if "Modality" in header:
            files[str(header.Modality)].append(File(path, header))
        elif path.name != "DICOMDIR":
            raise CaseError(f"{path} is truncated: it names no modality")
    return files


def _is_bare(path: Path) -> bool:
    """Whether a file starts as DICOM without preamble does: with an element of group 2 or 8, little endian."""
    with path.open("rb") as file:
        group, element = struct.unpack("<HH", file.read(4).ljust(4, b"\0"))
    return bool((group == 0x0008 and element <= 0x0070) or (group == 0x0002 and element <= 0x0010))


def the_only(files: Sequence[File], what: str, folder: str | Path) -> File:
    """The single file of a kind that a patient has one of."""
    if len(files) != 1:
        found = ", ".join(str(f.path) for f in files) or "none"
        raise CaseError(f"{folder} should hold one {what}, found {found}")
    return files[0]


def series_of(structure_set: File, slices: Sequence[File], folder: str | Path) -> list[File]:
    """The CT slices that an RTSTRUCT was drawn on, by its series and its frame of reference."""
    if not slices:
        raise CaseError(f"{folder} holds no CT")
    frames = structure_set.header.get("ReferencedFrameOfReferenceSequence") or []
    frame_uids = {frame.get("FrameOfReferenceUID") for frame in frames}
    frame_uids |= {
        roi.get("ReferencedFrameOfReferenceUID") for roi in structure_set.header.get("StructureSetROISequence") or []
    }
    series_uids = {
        series.get("SeriesInstanceUID")
        for frame in frames
        for study in frame.get("RTReferencedStudySequence") or []
        for series in study.get("RTReferencedSeriesSequence") or []
    }
    by_series: dict[Any, list[File]] = defaultdict(list)
    for file in slices:
        by_series[file.header.get("SeriesInstanceUID")].append(file)
    matches = [
        series
        for uid, series in by_series.items()
        if series[0].header.get("FrameOfReferenceUID") in frame_uids and (uid in series_uids or not series_uids)
    ]
    if not matches:
        raise CaseError(
            f"{structure_set.path} was drawn on another CT than the one in {folder} "
            "(frame of reference or series differ): export both together"
        )
    if len(matches) > 1:
        folders = sorted({str(series[0].path.parent) for series in matches})
        raise CaseError(
            f"{len(matches)} CT series could belong to {structure_set.path}, in {', '.join(folders)}: "
            "keep the planning CT only"
        )
    return matches[0]


def plan_dose(files: Mapping[str, Sequence[File]], frame_of_reference: Any) -> File | None:
    """The RTDOSE that sums up a plan on this CT, None where there is no RTDOSE at all."""
    doses = files.get("RTDOSE", ())
    if not doses:
        return None
    sums = [
        dose
        for dose in doses
        if dose.header.get("DoseSummationType") == "PLAN"
        and dose.header.get("FrameOfReferenceUID") == frame_of_reference
    ]
    plans = {plan.header.get("SOPInstanceUID") for plan in files.get("RTPLAN", ())}
    if len(sums) > 1:
        sums = [dose for dose in sums if _plans_of(dose) & plans and len(plans) == 1]
    if len(sums) != 1:
        found = ", ".join(str(dose.path) for dose in doses)
        raise CaseError(
            f"one RTDOSE should be the sum of a plan on this CT (DoseSummationType PLAN, same frame of "
            f"reference); found {found}. Keep one"
        )
    return sums[0]


def _plans_of(dose: File) -> set[Any]:
    return {plan.get("ReferencedSOPInstanceUID") for plan in dose.header.get("ReferencedRTPlanSequence") or []}
