"""Reading an RTPLAN back, or another system's: arcs and static fields of a multileaf collimator along x."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radplan_env.delivery.apertures import Apertures, Field
from radplan_env.grid import Triple

Row = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ReadPlan:
    """What an RTPLAN says of its treatment beams.

    Parameters
    ----------
    apertures : Apertures
    isocentre_mm : tuple of float
        (z, y, x) in patient coordinates.
    sad_mm : float
    fractions : int
    """

    apertures: Apertures
    isocentre_mm: Triple
    sad_mm: float
    fractions: int


def read_rtplan(path: str | Path) -> ReadPlan:
    """Read an RTPLAN.

    Raises
    ------
    ValueError
        If the file is no RTPLAN, or holds what cannot be read here: the message names the beam and what it is.
    """
    import pydicom

    dataset = pydicom.dcmread(path)
    if getattr(dataset, "Modality", "") != "RTPLAN":
        raise ValueError(f"{path} is no RTPLAN but {getattr(dataset, 'Modality', 'unknown')!r}")
    (group,) = dataset.FractionGroupSequence
    meterset = {int(beam.ReferencedBeamNumber): beam.get("BeamMeterset") for beam in group.ReferencedBeamSequence}
    beams = [beam for beam in dataset.BeamSequence if beam.get("TreatmentDeliveryType", "TREATMENT") == "TREATMENT"]
    if not beams:
        raise ValueError(f"{path} has no treatment beam")
    read = [_beam(beam, meterset[int(beam.BeamNumber)]) for beam in beams]
    centres = {tuple(map(float, beam.ControlPointSequence[0].IsocenterPosition)) for beam in beams}
    if len(centres) != 1 or len({float(beam.SourceAxisDistance) for beam in beams}) != 1:
        raise ValueError(f"{path}: beams differ in isocentre or source-axis distance")
    x, y, z = next(iter(centres))
    boundaries = read[0][1]
    if any(not np.array_equal(each[1], boundaries) for each in read):
        raise ValueError(f"{path}: beams differ in leaf boundaries")
    apertures = Apertures(
        tuple(each[0] for each in read),
        boundaries,
        np.concatenate([each[2] for each in read]),
        np.concatenate([each[3] for each in read]),
        np.concatenate([each[4] for each in read]),
    )
    return ReadPlan(apertures, (z, y, x), float(beams[0].SourceAxisDistance), int(group.NumberOfFractionsPlanned))


def _beam(beam: Any, meterset: Any) -> tuple[Field, Row, Row, Row, Row]:
    """Field, leaf boundaries, left and right ends and monitor units of one beam."""
    name = beam.get("BeamName", beam.BeamNumber)
    if meterset is None:
        raise ValueError(f"beam {name!r} has no meterset")
    devices = {device.RTBeamLimitingDeviceType: device for device in beam.BeamLimitingDeviceSequence}
    if "MLCX" not in devices:
        raise ValueError(f"beam {name!r} has no collimator with leaves along x (MLCX), but {', '.join(devices)}")
    boundaries = np.array([float(edge) for edge in devices["MLCX"].LeafPositionBoundaries])
    state: dict[str, Row] = {}
    gantry: list[float] = []
    turning: list[str] = []
    weight: list[float] = []
    ends: list[Row] = []
    direction, angle = "NONE", 0.0
    for point in beam.ControlPointSequence:
        for device in point.get("BeamLimitingDevicePositionSequence", ()):
            state[device.RTBeamLimitingDeviceType] = np.array([float(v) for v in device.LeafJawPositions])
        angle = float(point.get("GantryAngle", angle))
        direction = str(point.get("GantryRotationDirection", direction))
        gantry.append(angle)
        turning.append(direction)
        weight.append(float(point.CumulativeMetersetWeight))
        ends.append(state["MLCX"])
    units = float(meterset) * np.diff(weight) / float(beam.FinalCumulativeMetersetWeight)
    first = beam.ControlPointSequence[0]
    if float(first.get("PatientSupportAngle", 0)) % 360:
        raise ValueError(f"beam {name!r} has a turned couch: only coplanar beams can be read")
    x = state.get("ASYMX", state.get("X", np.array([-200.0, 200.0])))
    z = state.get("ASYMY", state.get("Y", boundaries[[0, -1]]))
    jaws = float(x[0]), float(x[1]), float(z[0]), float(z[1])
    collimator = float(first.BeamLimitingDeviceAngle)
    left, right = np.split(np.array(ends), 2, axis=1)
    if len(set(gantry)) == 1:
        giving = np.flatnonzero(units > 0)
        if any(not np.array_equal(ends[k], ends[k + 1]) for k in giving):
            raise ValueError(
                f"beam {name!r}: leaves move at a standing gantry while the beam is on; only segments are read"
            )
        return (
            Field((gantry[0],) * giving.size, collimator, jaws),
            boundaries,
            left[giving],
            right[giving],
            units[giving],
        )
    return Field(_running_on(gantry, turning), collimator, jaws), boundaries, left, right, units


def _running_on(gantry: list[float], turning: list[str]) -> tuple[float, ...]:
    """Angles that go on beyond 360 or below 0, in the direction that each control point says."""
    angles = [gantry[0]]
    for angle, way in zip(gantry[1:], turning[:-1], strict=True):
        step = (angle - angles[-1]) % 360
        angles.append(angles[-1] + (step if way != "CC" else step - 360 if step else 0.0))
    return tuple(angles)
