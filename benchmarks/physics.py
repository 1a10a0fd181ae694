"""Is the dose right? A beam model in water against published values, and a clinical plan against its own dose.

Water values are asked of `dose_at`, which has no lateral cutoff. Sources marked (memory) are commonly quoted values for
which no source was at hand: they bound, they do not prove. `generic-6x` was fitted to some of these values (marked *).

The clinical plan is the VMAT arc of the Alderson pelvis phantom (RayStation, Elekta Versa HD, 10 MV, 76 control
points): apertures averaged over their leaves' motion, dose at the voxels of its RTDOSE, one free scale factor because
the energy differs. It is a check of geometry, and its controls, each with one error put in, must fail.

  python benchmarks/physics.py
  python benchmarks/physics.py --alderson mr_alderson.zip
"""

from __future__ import annotations

import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

# Run as a script: find our packages from any directory.
if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import numpy as np
import pydicom
import tyro
from numpy.typing import NDArray

from benchmarks.machine import print_figures, print_machine
from radplan_env.beam_models import beam_model_named
from radplan_env.beam_models.model import BeamModel
from radplan_env.beams import Beam
from radplan_env.case import Case
from radplan_env.dose import Prepared, Raster, aperture, dose_at, prepare
from radplan_env.sources import dicom

Array = NDArray[np.float64]

AGILITY_TRANSMISSION = 0.005
"""Of the clinical plan's collimator (Elekta Agility; from memory), in place of the model's own."""

RPC = "RPC, Followill 2012, PMC5718235"
TRUEBEAM = "public TrueBeam 6X fit"


@dataclass
class Args:
    beam_model: str = "generic-6x"
    """A beam model that computes apertures."""
    alderson: Path | None = None
    """Zip file of the Alderson phantom's CT, RTSTRUCT, RTPLAN and RTDOSE."""


@dataclass(frozen=True)
class Row:
    """One value: ours, the published range and where it is from."""

    what: str
    ours: float
    low: float
    high: float
    source: str

    @property
    def agrees(self) -> bool:
        return self.low <= self.ours <= self.high


def main(args: Args) -> None:
    print_machine()
    model = beam_model_named(args.beam_model)
    rows = water_rows(model)
    print(f"\n{model.name} in water\n")
    print(f"{'':3}{'quantity':<58}{'ours':>8}  {'published':<16}source")
    for row in rows:
        published = f"{row.low:g} to {row.high:g}"
        print(f"{'' if row.agrees else '!':3}{row.what:<58}{row.ours:8.3f}  {published:<16}{row.source}")
    figures: dict[str, Any] = {row.what.rstrip(" *"): round(float(row.ours), 4) for row in rows}
    if args.alderson is not None:
        shares = alderson_shares(args.alderson, model)
        figures |= {f"alderson, {reading}, % within 3 %": share for reading, share in shares.items()}
    outside = sum(not row.agrees for row in rows)
    print_figures("physics", {"beam_model": model.name, "values_outside_published_range": outside, **figures})


# Water


def water_rows(model: BeamModel) -> list[Row]:
    """Compute what is published."""
    water = Water(model)
    depth = np.arange(0, 320, 0.5, dtype=np.float64)
    curve = water.depth_dose(100, depth)
    of_depth = 100 * curve / curve.max()

    def pdd(mm: float) -> float:
        return float(np.interp(mm, depth, of_depth))

    tpr = 1.2661 * pdd(200) / pdd(100) - 0.0595
    output = {side: water.output(side) / water.output(100) for side in (20, 30, 40, 60, 80, 200)}
    profile = water.profile(200, np.arange(-80, 81, 5.0, dtype=np.float64))
    flatness = float(profile.max() / profile.min())
    across = np.arange(0, 100, 0.25, dtype=np.float64)
    narrow = water.profile(100, across)
    edge = [float(np.interp(-share, -narrow / narrow[0], across)) for share in (0.8, 0.5, 0.2)]
    far = water.profile(100, np.array([0.0, 90.0, 150.0]))
    mu = 100 * curve.max() / model.monitor_units_per_fluence
    return [
        Row("1 MU: cGy at the maximum, 10x10, SSD 1000 *", mu, 0.998, 1.002, "definition"),
        Row("depth of the maximum, 10x10, mm *", float(depth[curve.argmax()]), 13, 17, "BJR Suppl. 25: 15 (memory)"),
        Row("PDD  5 cm, 10x10, SSD 1000, % *", pdd(50), 85.5, 87.5, "typical 6 MV: 86 to 87 (memory)"),
        Row("PDD 10 cm *", pdd(100), 66.5, 67.6, "BJR Suppl. 25: 67.5; others from 66.5 (memory)"),
        Row("PDD 20 cm *", pdd(200), 38.0, 39.5, "typical 6 MV: 38 to 39.5 (memory)"),
        Row("TPR20,10 = 1.2661 PDD20/PDD10 - 0.0595 (IAEA TRS-398)", tpr, 0.66, 0.68, "typical 6 MV (memory)"),
        Row("output  2x2 / 10x10, 10 cm deep, SAD *", output[20], 0.764, 0.790, f"{RPC}: Siemens, Elekta"),
        Row("output  3x3 *", output[30], 0.820, 0.842, f"{RPC}; {TRUEBEAM} .828"),
        Row("output  4x4 *", output[40], 0.855, 0.878, f"{RPC}; {TRUEBEAM} .855"),
        Row("output  6x6 *", output[60], 0.904, 0.930, f"{RPC} .914 to .930; {TRUEBEAM} .904"),
        Row("output  8x8 *", output[80], 0.954, 0.970, f"{TRUEBEAM} .954; upper end (memory)"),
        Row("output 20x20 *", output[200], 1.08, 1.11, "jaw-defined fields (memory)"),
        Row("20x20, 10 cm deep: flatness, max/min within 80 %", flatness, 1.0, 1.06, "IEC 60976"),
        Row("20x20, 10 cm deep: at 80 mm / axis", float(profile[-1] / profile[16]), 0.95, 1.01, "typical (memory)"),
        Row("10x10, 10 cm deep: width at half the axis, mm", 2 * edge[1], 98, 102, "the field's projection"),
        Row("10x10, 10 cm deep: penumbra 80-20 %, mm", edge[2] - edge[0], 4, 9, "film to chamber (memory)"),
        Row("4 cm outside a 10x10, 10 cm deep, % of axis *", 100 * far[1] / far[0], 2.0, 3.3, "(memory)"),
        Row("10 cm outside a 10x10, 10 cm deep, % of axis", 100 * far[2] / far[0], 0.4, 1.2, "(memory)"),
    ]


class Water:
    """A water tank of 500 x 400 x 500 mm under a beam from above."""

    def __init__(self, model: BeamModel) -> None:
        self._model = model
        body = np.ones((50, 40, 50), dtype=bool)
        self._case = Case.from_arrays(
            id="water",
            ct_hu=np.zeros(body.shape),
            structures={"Body": body},
            voxel_size_mm=(10.0,) * 3,
            origin_mm=(-245, 5, -245),  # the surface at y = 0
        )

    def _dose(self, side_mm: float, ssd_mm: float, x_mm: Array, depth_mm: Array) -> Array:
        beam = Beam(0.0, (0.0, self._model.sad_mm - ssd_mm, 0.0), self._model.sad_mm)
        lines = np.array([-side_mm / 2, side_mm / 2])
        points = np.stack(np.broadcast_arrays(0.0 * x_mm, depth_mm, x_mm), axis=1)
        field = Raster(lines, lines, np.ones((1, 1)))
        return dose_at(self._case, [beam], [field], points, beam_model=self._model).astype(np.float64)

    def depth_dose(self, side_mm: float, depth_mm: Array) -> Array:
        """Dose on the axis per unit fluence at SSD 1000 mm."""
        return self._dose(side_mm, 1000.0, 0 * depth_mm, depth_mm)

    def output(self, side_mm: float) -> float:
        """Dose per unit fluence at the isocentre, 100 mm deep."""
        return float(self._dose(side_mm, 900.0, np.zeros(1), np.full(1, 100.0))[0])

    def profile(self, side_mm: float, x_mm: Array) -> Array:
        """Dose across the beam in the isocentre plane, 100 mm deep."""
        return self._dose(side_mm, 900.0, x_mm, np.full(x_mm.shape, 100.0))


# A clinical plan


def alderson_shares(archive: Path, model: BeamModel) -> dict[str, float]:
    """Recompute the clinical plan, right and with one error each."""
    model = replace(model, mlc_transmission=AGILITY_TRANSMISSION)
    with tempfile.TemporaryDirectory() as folder:
        zipfile.ZipFile(archive).extractall(folder)
        case = dicom.load(folder)
        files = [pydicom.dcmread(path) for path in sorted(Path(folder).rglob("*.dcm"))]
    plan = next(file for file in files if file.Modality == "RTPLAN")
    points, given = dose_points(case, [file for file in files if file.Modality == "RTDOSE"])
    print(f"\nclinical VMAT plan of the Alderson phantom, {len(points)} voxels above 10 % of the maximum\n")
    arc = intervals(plan, model)
    readings: dict[str, Sequence[tuple[Beam, Raster]]] = {
        "right": arc,
        "leaves mirrored": [(beam, mirrored(raster)) for beam, raster in arc],
        "gantry reversed": [(turned(beam), raster) for beam, raster in arc],
        "half a leaf off": [(beam, moved(raster, 2.5)) for beam, raster in arc],
    }
    result = {}
    for name, reading in readings.items():
        share, deviation = agreement(case, reading, points, given, model)
        result[name] = round(share, 2)
        print(f"{name:<18}{share:6.1f} % of voxels within 3 % of the maximum; sd {deviation:.2f} %")
    return result


def dose_points(case: Case, files: Sequence[Any]) -> tuple[Array, Array]:
    """Voxels of the RTDOSE in the body with more than 10 % of its maximum, and their dose."""
    total = sum(file.pixel_array * float(file.DoseGridScaling) for file in files)
    file = files[0]
    x0, y0, z0 = map(float, file.ImagePositionPatient)
    rows, columns = map(float, file.PixelSpacing)
    k, j, i = np.nonzero(total > 0.1 * total.max())
    points = np.stack(
        [z0 + np.array(file.GridFrameOffsetVector, dtype=float)[k], y0 + rows * j, x0 + columns * i], axis=1
    )
    place = np.rint((points - case.grid.origin_mm) / case.grid.spacing_mm).astype(int)
    inside = np.all((place >= 0) & (place < np.array(case.grid.shape)), axis=1)
    inside[inside] = case.structures["Body"][tuple(place[inside].T)]
    return points[inside], total[k, j, i][inside]


def intervals(plan: Any, model: BeamModel) -> list[tuple[Beam, Raster]]:
    """Each interval between control points: its middle angle, and its aperture averaged over the leaves' motion."""
    beam = next(beam for beam in plan.BeamSequence if beam.NumberOfControlPoints > 2)
    boundaries = next(d for d in beam.BeamLimitingDeviceSequence if "MLC" in d.RTBeamLimitingDeviceType)
    edges = np.array(boundaries.LeafPositionBoundaries, dtype=float)
    state: dict[str, Array] = {}
    angles, meterset, leaves, jaws = [], [], [], []
    for point in beam.ControlPointSequence:
        for device in point.get("BeamLimitingDevicePositionSequence", []):
            state[device.RTBeamLimitingDeviceType[:5]] = np.array(device.LeafJawPositions, dtype=float)
        angles.append(float(point.GantryAngle))
        meterset.append(float(point.CumulativeMetersetWeight))
        leaves.append(state["MLCX"].reshape(2, -1))
        jaws.append((*state["ASYMX"], *state["ASYMY"]))
    x, y, z = map(float, beam.ControlPointSequence[0].IsocenterPosition)
    arc = []
    for k in range(len(angles) - 1):
        middle = angles[k] + ((angles[k + 1] - angles[k]) % 360) / 2
        (left, right), (left_end, right_end) = leaves[k], leaves[k + 1]
        opening = aperture(left, right, edges, model, jaws[k], left_end_mm=left_end, right_end_mm=right_end)
        share = meterset[k + 1] - meterset[k]
        raster = Raster(opening.x_mm, opening.z_mm, opening.fluence * share)
        arc.append((Beam(middle % 360, (z, y, x), model.sad_mm), raster))
    return arc


def mirrored(raster: Raster) -> Raster:
    return Raster(-raster.x_mm[::-1], raster.z_mm, raster.fluence[::-1])


def moved(raster: Raster, z_mm: float) -> Raster:
    return Raster(raster.x_mm, raster.z_mm + z_mm, raster.fluence)


def turned(beam: Beam) -> Beam:
    return Beam(-beam.gantry_deg % 360, beam.isocentre_mm, beam.sad_mm)


def agreement(
    case: Case, arc: Sequence[tuple[Beam, Raster]], points: Array, given: Array, model: BeamModel
) -> tuple[float, float]:
    """Share of voxels within 3 % of the maximum, and the difference's SD, both in %, with the best one scale."""
    beams, rasters = zip(*arc, strict=True)
    prepared: Prepared = prepare(case, beams, points, beam_model=model)
    ours = prepared.dose(rasters).astype(float)
    scale = (ours @ given) / (ours @ ours)
    difference = 100 * (scale * ours - given) / given.max()
    return 100 * float(np.mean(abs(difference) < 3)), float(difference.std())


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
