"""A delivered plan as an RTPLAN: for research only, of an invented machine, and approved by nobody."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from radplan_env.case import Case
from radplan_env.delivery.apertures import Apertures, Field
from radplan_env.delivery.delivered import Delivery
from radplan_env.export import PLAN, RESEARCH_ONLY, STRUCTURES, dataset_of, item, save, uid

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MACHINE_NAME = "RADPLAN RESEARCH"
"""No machine in a clinic is called so; 16 characters are the most that DICOM allows."""
_ENERGY_MV = 6
_Row = NDArray[np.float64]


def export_rtplan(
    case: Case,
    delivery: Delivery,
    prescriptions_gy: Mapping[str, float],
    path: str | Path,
    *,
    instance_uid: str | None = None,
) -> Path:
    """Write a delivered plan as an RTPLAN.

    Parameters
    ----------
    case : Case
    delivery : Delivery
    prescriptions_gy : Mapping of str to float
        Of each target, as the protocol names it.
    path : str or Path
    instance_uid : str, optional
        What an RTDOSE refers to the plan by; one of its own content by default.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ValueError
        If the plan breaks a limit of its machine.
    """
    from pydicom.uid import UID

    if broken := delivery.violations:
        raise ValueError(f"a plan that no machine delivers is not exported: {broken[0]}")
    digest, apertures = case.digest(), delivery.apertures
    content = "".join(map(str, (apertures.left_mm.sum(), apertures.right_mm.sum(), apertures.monitor_units.sum())))
    dataset = dataset_of(case, digest, PLAN, "RTPLAN", f"RTPLAN {content}")
    if instance_uid is not None:
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(instance_uid)
    dataset.InstanceNumber = 1
    dataset.RTPlanLabel, dataset.RTPlanName = RESEARCH_ONLY, delivery.technique
    dataset.RTPlanDescription = f"{RESEARCH_ONLY}: not for treatment"
    dataset.RTPlanDate = dataset.RTPlanTime = ""
    dataset.PlanIntent, dataset.ApprovalStatus = "RESEARCH", "UNAPPROVED"
    dataset.RTPlanGeometry = "PATIENT"
    dataset.ReferencedStructureSetSequence = [
        item(ReferencedSOPClassUID=STRUCTURES, ReferencedSOPInstanceUID=uid(digest, "RTSTRUCT"))
    ]
    dataset.DoseReferenceSequence = [
        item(
            DoseReferenceNumber=number,
            DoseReferenceStructureType="SITE",
            DoseReferenceDescription=name,
            DoseReferenceType="TARGET",
            TargetPrescriptionDose=_ds(dose_gy, 3),
        )
        for number, (name, dose_gy) in enumerate(prescriptions_gy.items(), 1)
    ]
    dataset.PatientSetupSequence = [item(PatientSetupNumber=1, PatientPosition="HFS")]
    dataset.FractionGroupSequence = [_fractions(delivery)]
    dataset.BeamSequence = [_beam(delivery, f) for f in range(len(apertures.fields))]
    save(dataset, Path(path))
    return Path(path)


def _fractions(delivery: Delivery) -> Dataset:
    beams = [
        item(ReferencedBeamNumber=f + 1, BeamMeterset=_ds(_units(delivery.apertures, f).sum(), 3))
        for f in range(len(delivery.apertures.fields))
    ]
    return item(
        FractionGroupNumber=1,
        NumberOfFractionsPlanned=delivery.fractions,
        NumberOfBeams=len(beams),
        NumberOfBrachyApplicationSetups=0,
        ReferencedBeamSequence=beams,
    )


def _units(apertures: Apertures, field: int) -> _Row:
    units: _Row = apertures.monitor_units[apertures.field == field]
    return units


def _beam(delivery: Delivery, f: int) -> Dataset:
    apertures, field = delivery.apertures, delivery.apertures.fields[f]
    points = _control_points(delivery, f)
    collimator = item(
        RTBeamLimitingDeviceType="MLCX",
        NumberOfLeafJawPairs=delivery.machine.pairs,
        LeafPositionBoundaries=[_ds(edge, 2) for edge in apertures.boundaries_mm],
    )
    jaws = [item(RTBeamLimitingDeviceType=kind, NumberOfLeafJawPairs=1) for kind in ("ASYMX", "ASYMY")]
    return item(
        BeamNumber=f + 1,
        BeamName=f"{'Arc' if field.is_arc else 'Field'} {f + 1}",
        BeamType="DYNAMIC" if len(points) > 2 or field.is_arc else "STATIC",
        RadiationType="PHOTON",
        Manufacturer="radplan_env",
        TreatmentMachineName=MACHINE_NAME,
        PrimaryDosimeterUnit="MU",
        SourceAxisDistance=_ds(delivery.sad_mm, 1),
        BeamLimitingDeviceSequence=[*jaws, collimator],
        TreatmentDeliveryType="TREATMENT",
        NumberOfWedges=0,
        NumberOfCompensators=0,
        NumberOfBoli=0,
        NumberOfBlocks=0,
        FinalCumulativeMetersetWeight=_ds(1, 0),
        NumberOfControlPoints=len(points),
        ReferencedPatientSetupNumber=1,
        ControlPointSequence=points,
    )


def _control_points(delivery: Delivery, f: int) -> list[Dataset]:
    """Control points of a field: an arc's as they are, two for each segment of a static field."""
    apertures, field = delivery.apertures, delivery.apertures.fields[f]
    units = _units(apertures, f)
    given = np.concatenate([[0.0], np.cumsum(units)]) / max(units.sum(), 1e-12)
    given[-1] = 1.0
    start = sum(each.control_points for each in apertures.fields[:f])
    if field.is_arc:
        shapes = [(start + k, given[k]) for k in range(field.control_points)]
    else:
        shapes = [(start + k, given[k + end]) for k in range(field.control_points) for end in (0, 1)]
    points = []
    for number, (shape, share) in enumerate(shapes):
        leaves = [_ds(place, 2) for ends in (apertures.left_mm, apertures.right_mm) for place in ends[shape]]
        point = item(
            ControlPointIndex=number,
            CumulativeMetersetWeight=_ds(share, 10),
            GantryAngle=_ds(field.gantry_deg[shape - start] % 360, 4),
            GantryRotationDirection=_direction(field, number, len(shapes)),
        )
        positions = [item(RTBeamLimitingDeviceType="MLCX", LeafJawPositions=leaves)]
        if number == 0:
            _complete(point, delivery, field)
            x1, x2, z1, z2 = field.jaws_mm
            positions = [
                item(RTBeamLimitingDeviceType="ASYMX", LeafJawPositions=[_ds(x1, 2), _ds(x2, 2)]),
                item(RTBeamLimitingDeviceType="ASYMY", LeafJawPositions=[_ds(z1, 2), _ds(z2, 2)]),
                *positions,
            ]
        point.BeamLimitingDevicePositionSequence = positions
        points.append(point)
    return points


def _complete(point: Dataset, delivery: Delivery, field: Field) -> None:
    """Add what a first control point must have and later ones inherit."""
    z, y, x = delivery.isocentre_mm
    point.NominalBeamEnergy = _ENERGY_MV
    point.DoseRateSet = _ds(delivery.machine.monitor_units_per_min[1], 1)
    point.BeamLimitingDeviceAngle, point.BeamLimitingDeviceRotationDirection = (
        _ds(field.collimator_deg % 360, 3),
        "NONE",
    )
    point.PatientSupportAngle, point.PatientSupportRotationDirection = 0, "NONE"
    point.TableTopEccentricAngle, point.TableTopEccentricRotationDirection = 0, "NONE"
    point.TableTopVerticalPosition = point.TableTopLongitudinalPosition = point.TableTopLateralPosition = None
    point.IsocenterPosition = [_ds(x, 3), _ds(y, 3), _ds(z, 3)]


def _direction(field: Field, number: int, points: int) -> str:
    if not field.is_arc or number == points - 1:
        return "NONE"
    return "CW" if field.gantry_deg[1] > field.gantry_deg[0] else "CC"


def _ds(value: float, digits: int) -> Any:
    """A decimal string of so many decimals."""
    from pydicom.valuerep import DSfloat

    text = f"{value:.{digits}f}"
    return DSfloat(text.rstrip("0").rstrip(".") if "." in text else text)
