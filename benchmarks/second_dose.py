"""The dose of a delivered plan by another engine: PyDoseRT's pencil beams on the same apertures.

PyDoseRT (PyPI pydosert) has its own leaves, ray tracing, rotation and kernels (Nyholm 2006, doi
10.1016/j.radonc.2006.02.002, from TPR20,10 alone). It shares with ours the machine (leaves, leaf gap, transmission,
profile, focus, head scatter), the relative electron density of the CT, and the dose of a monitor unit 10 cm deep in
water; nothing is fitted. Each interval is two static apertures there, with its leaves as in the middle of each half;
ours moves them. Doses are compared at the sampled points of the verdict.

  python benchmarks/second_dose.py
  python benchmarks/second_dose.py --plan plan.npz
  python benchmarks/second_dose.py --fields

With `--fields` the openings are simple ones on water, to tell the engines' output of small fields from their depths.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any

# Run as a script: find our packages from any directory.
if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from pydosert import BeamSequence, MachineConfig, PencilDepthEngine
from scipy.ndimage import map_coordinates

from benchmarks.machine import print_figures, print_machine
from radplan_env.beam_models import DEFAULT_BEAM_MODEL, BeamModel, beam_model_named
from radplan_env.beam_models.gaussian import GaussianKernels
from radplan_env.beams import Beam
from radplan_env.case import Case
from radplan_env.delivery.apertures import Apertures, Field
from radplan_env.delivery.delivered import Delivery
from radplan_env.delivery.machine import machine_named
from radplan_env.dose import Raster, dose_at
from radplan_env.grid import Grid
from radplan_env.planning import Plan, PlanningSystem
from radplan_env.sources import synthetic
from radplan_env.tracing import body_density

Array = NDArray[np.float64]

TPR_20_10 = 0.674
"""Of generic-6x: benchmarks/physics.py."""
SPACING_MM = 2.5
HEIGHT_MM = 150.0
KERNEL = 81
"""Voxels of a kernel's side."""
PIXEL_MM = 1.0
"""Of PyDoseRT's fluence; it draws every opening half a pixel wider to both sides."""
PARTS = 2
"""Static apertures of an interval."""
FIELDS_MM = ((100, 100), (50, 50), (20, 20), (10, 100), (5, 100), (100, 10))
"""Along the leaves and across them."""


@dataclass
class Args:
    plan: Path | None = None
    """A delivered plan of the case; it is made if not given."""
    patient: int = 2
    """Synthetic training prostate."""
    fidelity: str = "fast"
    """Of the ideal plan."""
    save: Path | None = None
    """Where to keep the plan that is made."""
    fields: bool = False
    """Whether to compare simple fields on water instead."""


def main(args: Args) -> None:
    print_machine(("numpy", "torch", "pydosert"))
    if args.fields:
        print_fields()
        return
    system = PlanningSystem(synthetic.load("train")[args.patient], "prostate", fidelity=args.fidelity, progress=False)
    held = _delivery(system, args)
    points, model = system.judge.sampled_points, system.judge.beam_model
    ours = _ours(system.case, held, model, points.positions_mm)
    other = Other(system.case, held, model)
    begun = process_time()
    dose = other.dose(held.apertures)
    seconds = process_time() - begun
    theirs = other.at(dose, points.positions_mm)
    figures: dict[str, Any] = {"case": system.case.id, "mu": held.monitor_units, "cpu_s": seconds}
    figures |= _differences(ours, theirs)
    for name, one in (("ours", ours), ("theirs", theirs)):
        figures |= {f"{name}_{key}": value for key, value in _verdict(system, one).items()}
    print_figures("second_dose", {key: _rounded(value) for key, value in figures.items()})


def print_fields() -> None:
    """Print doses of simple openings on water on the axis, at four depths, and their ratio.

    Voxels of PyDoseRT begin at the surface, as in its own calibration.
    """
    model, machine = beam_model_named(DEFAULT_BEAM_MODEL), machine_named("millennium120")
    shape = (80, 100, 100)
    water = Case.from_arrays(
        id="water",
        ct_hu=np.zeros(shape),
        structures={"Body": np.ones(shape, dtype=bool)},
        voxel_size_mm=(SPACING_MM,) * 3,
        origin_mm=(-98.75, -100.0, -123.75),  # the surface at y = -101.25
    )
    points = np.array([[0.0, y, 0.0] for y in (-50.0, 0.0, 50.0, 100.0)])
    depths = " | ".join(f"{y + 101.25:.0f} mm deep" for y in points[:, 1])
    print(f"\n| field, mm | {depths} | output by ours |")
    print("|---|---|---|---|---|---|")
    other, widest = None, 0.0
    for x, z in FIELDS_MM:
        lines, inside = machine.boundaries_mm, (abs(machine.boundaries_mm[1:] + machine.boundaries_mm[:-1]) < z)[None]
        closed = np.full(inside.shape, 100.0)
        left, right = np.where(inside, -x / 2, closed), np.where(inside, x / 2, closed)
        jaws = Field((0.0,), 0.0, (-x / 2, x / 2, -z / 2, z / 2))
        held = Delivery(
            technique="step-and-shoot",
            machine=machine,
            apertures=Apertures((jaws,), lines, left, right, np.array([100.0])),
            isocentre_mm=(0.0, 0.0, 0.0),
            sad_mm=model.sad_mm,
            fractions=1,
            parts=1,
            ideal_score=0.0,
        )
        other = other or Other(water, held, model)
        ours, theirs = _ours(water, held, model, points), other.at(other.dose(held.apertures), points)
        widest = widest or ours[1]
        ratios = " | ".join(f"{ratio:.3f}" for ratio in theirs / ours)
        print(f"| {x:g} x {z:g} | {ratios} | {ours[1] / widest:.3f} |", flush=True)


def _rounded(value: Any) -> Any:
    return round(value, 3) if isinstance(value, float) else value


def _delivery(system: PlanningSystem, args: Args) -> Delivery:
    if args.plan is not None:
        plan = Plan.load(args.plan)
    else:
        plan = system.deliver(system.plan(system.protocol.start_parameters())).plan
        if args.save is not None:
            plan.save(args.save)
    if plan.case_id != system.case.id or plan.delivery is None:
        raise SystemExit(f"--plan: a delivered plan of {system.case.id} is needed")
    return plan.delivery


def _ours(case: Case, held: Delivery, model: BeamModel, points_mm: Array) -> Array:
    return dose_at(case, held.beams(PARTS), held.rasters(model, PARTS), points_mm, beam_model=model).astype(float)


class Other:
    """PyDoseRT on a cube of voxels round the isocentre, wide enough for the whole body."""

    def __init__(self, case: Case, held: Delivery, model: BeamModel) -> None:
        self._held = held
        density, grid = body_density(case.ct_hu, case.structures["Body"], case.grid)
        corners = np.array([grid.origin_mm, np.array(grid.origin_mm) + grid.spacing_mm * (np.array(grid.shape) - 1)])
        reach = float(np.hypot(*abs(corners - held.isocentre_mm).max(axis=0)[1:]))
        wide = 2 * int(np.ceil(reach / SPACING_MM)) + 1
        shape = 2 * round(HEIGHT_MM / 2 / SPACING_MM) + 1, wide, wide
        middle = [SPACING_MM * (n - 1) / 2 for n in shape]
        origin = [c - half for c, half in zip(held.isocentre_mm, middle, strict=True)]
        self.grid = Grid(shape, (SPACING_MM,) * 3, (origin[0], origin[1], origin[2]))
        self._middle = (middle[0], middle[1], middle[2])
        at = np.meshgrid(*(self.grid.coordinates_mm(axis) for axis in range(3)), indexing="ij")
        index = [(c - o) / s for c, o, s in zip(at, grid.origin_mm, grid.spacing_mm, strict=True)]
        self._density = torch.tensor(map_coordinates(density, index, order=1), dtype=torch.float32)
        self._engine = PencilDepthEngine(
            _machine(held, model),
            KERNEL,
            self.grid.spacing_mm,
            shape,
            device="cpu",
            beam_chunk_size=4,
        )
        self._engine.calibrate(_units_per_gy(model), verbose=False)

    def dose(self, apertures: Apertures) -> Array:
        """Return the dose in Gy of all fractions on the grid."""
        sequence, outside = self._sequence(apertures)
        with torch.no_grad():
            self._engine._initialize_layers(sequence)
            maps = self._engine.fluence_map_layer(sequence.leaf_positions[None], sequence.jaw_positions[None])
            maps[:, :, outside] = 0  # its jaws move along z only
            dose = self._engine.compute_dose(sequence, self._density, fluence_maps=maps)
        total: Array = self._held.fractions * dose[0].numpy().astype(float)
        return total

    def at(self, dose: Array, points_mm: Array) -> Array:
        """Return a dose on the grid at points, by linear interpolation."""
        index = (points_mm - self.grid.origin_mm) / self.grid.spacing_mm
        found: Array = map_coordinates(dose, index.T, order=1)
        return found

    def _sequence(self, apertures: Apertures) -> tuple[BeamSequence, NDArray[np.bool_]]:
        """Static apertures in the middle of each part, and which columns of pixels lie behind the jaws of x."""
        (field,) = apertures.fields
        leaves, units, gantry = [], [], []
        for n, start, end in apertures.divided(PARTS):
            a, b, share = apertures.first[n], apertures.last[n], (start + end) / 2
            leaves.append([(1 - share) * ends[a] + share * ends[b] for ends in (apertures.left_mm, apertures.right_mm)])
            units.append((end - start) * apertures.monitor_units[n])
            gantry.append((1 - share) * apertures.gantry_deg[a] + share * apertures.gantry_deg[b])
        x1, x2, z1, z2 = field.jaws_mm
        narrower = np.array([z1, z2]) + PIXEL_MM / 2 * np.array([1, -1])
        sequence = BeamSequence(
            mus=_tensor(units),
            leaf_positions=_tensor(np.transpose(leaves, (0, 2, 1))),
            jaw_positions=_tensor(np.tile(narrower, (len(units), 1))),
            field_size=(400, 400),
            iso_center=self._middle,
            sid=self._held.sad_mm,
            gantry_angles=_tensor(np.radians(gantry)),
            collimator_angles=_tensor(np.full(len(units), np.radians(field.collimator_deg))),  # x towards z, as ours
        )
        x = np.arange(400) + 0.5 - 200
        return sequence, (x < x1) | (x > x2)


def _tensor(values: Any) -> torch.Tensor:
    return torch.tensor(np.asarray(values), dtype=torch.float32)


def _machine(held: Delivery, model: BeamModel) -> MachineConfig:
    kernels = model.kernels
    assert isinstance(kernels, GaussianKernels)
    focus_mm = 2.355 * kernels.source_sigma_mm
    return MachineConfig(
        tpr_20_10=TPR_20_10,
        number_of_leaf_pairs=held.machine.pairs,
        leaf_widths=np.diff(held.machine.boundaries_mm).tolist(),
        mlc_transmission=model.mlc_transmission,
        dlg_mm=held.machine.dosimetric_leaf_gap_mm - PIXEL_MM,
        penumbra_fwhm=[focus_mm, focus_mm],
        head_scatter_amplitude=[kernels.head_share, 1.0],
        head_scatter_sigma=[kernels.head_sigma_mm / 10] * 2,
        profile_corrections=[model.radius_mm.tolist(), model.relative_fluence.tolist()],
    )


def _units_per_gy(model: BeamModel) -> float:
    """Monitor units for 1 Gy at the isocentre, 10 cm deep in water, of a 10 x 10 cm field."""
    water = Case.from_arrays(
        id="water",
        ct_hu=np.zeros((50, 40, 50)),
        structures={"Body": np.ones((50, 40, 50), dtype=bool)},
        voxel_size_mm=(10.0,) * 3,
        origin_mm=(-245, -95, -245),  # the surface at y = -100
    )
    lines = np.array([-50.0, 50.0])
    beam = Beam(0.0, (0.0, 0.0, 0.0), model.sad_mm)
    dose = dose_at(water, [beam], [Raster(lines, lines, np.ones((1, 1)))], np.zeros((1, 3)), beam_model=model)
    return model.monitor_units_per_fluence / float(dose[0])


def _differences(ours: Array, theirs: Array) -> dict[str, Any]:
    """Of points above 10 % of our maximum, in % of it: with the monitor units as they are, and with one factor."""
    high = ours > 0.1 * ours.max()
    a, b = ours[high], theirs[high]
    factor = float((a @ b) / (b @ b))
    off, scaled = 100 * (b - a) / ours.max(), 100 * (factor * b - a) / ours.max()
    return {
        "points": int(high.sum()),
        "mean_percent": float(off.mean()),
        "rms_percent": float(np.sqrt((off**2).mean())),
        "within_3_percent": 100 * float((abs(off) < 3).mean()),
        "factor": factor,
        "rms_percent_with_factor": float(np.sqrt((scaled**2).mean())),
        "within_3_percent_with_factor": 100 * float((abs(scaled) < 3).mean()),
    }


def _verdict(system: PlanningSystem, dose: Array) -> dict[str, float]:
    judge = system.judge
    as_it_is = judge.judge_dose(dose, judge.sampled_points, scale=False).evaluation
    scaled = judge.judge_dose(dose, judge.sampled_points).evaluation
    metrics = as_it_is.metrics
    chosen = {"PTV_7020": ("D95%", "D50%", "D2%"), "Rectum": ("mean",), "Bladder": ("mean",)}
    named = {
        f"{structure}_{name}": float(metrics[structure][name])
        for structure, names in chosen.items()
        for name in names
        if name in metrics[structure]
    }
    return {**named, "score_scaled_to_d95": scaled.score}


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
