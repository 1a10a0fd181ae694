"""Do plans survive? The score of a plan on the rows it was made with, and on points that its solver does not know.

Set-ups: `grid`, every body voxel of the dose grid and no smoothness; `sampled`, rows sampled from a fine grid
(`radplan_env.influence.rows`) and smooth fluences. Each makes the template plan, then one with a heavier organ, then,
with `--limits`, one that holds the protocol's limits and takes a tenth off every dose and volume of the organs.

Judged on the body's voxels of a 2.5 mm grid moved by a millimetre or so, with the dose of the fluence computed there
by `radplan_env.dose`, scaled to D95 = Rx, by the scorecard v0. Choose constants on training patients only.

  python benchmarks/rows.py --case synthetic --patients 0 1 2
  python benchmarks/rows.py --case openkbp --data open-kbp/provided-data --patients pt_17 --sampled-bixel-mm 8
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from time import process_time
from typing import Literal

# Run as a script: find our packages from any directory.
if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import numpy as np
import tyro
from numpy.typing import NDArray

from benchmarks.machine import print_figures, print_machine
from radplan_env.case import Case
from radplan_env.dose import prepare
from radplan_env.evaluation import Evaluation, evaluate
from radplan_env.grid import Grid
from radplan_env.influence import Fidelity, rows_of
from radplan_env.influence.rows import Rows, Sampling, rows_of_grid
from radplan_env.limits import Limit
from radplan_env.planning import Plan, PlanningSystem
from radplan_env.planning.inner_problem import with_outside
from radplan_env.planning.system import BEAM_MODEL
from radplan_env.protocol import OUTSIDE_TARGETS, BoundProtocol, load_protocol
from radplan_env.sources import openkbp, synthetic

JUDGED_MM, MOVED_MM = 2.5, (0.9, -0.7, 1.1)
HEAVIER, PUSHED = 3.0, 0.9


@dataclass
class Args:
    case: Literal["synthetic", "openkbp"] = "synthetic"
    """Synthetic prostates of the training split, or OpenKBP training patients."""
    data: Path | None = None
    """Folder of OpenKBP's provided-data."""
    patients: tuple[str, ...] = ("0", "1")
    """Numbers of synthetic cases, or names such as pt_17."""
    grid_mm: float = 5.0
    """Dose grid of the set-up `grid`."""
    bixel_mm: float = 8.0
    """Its bixels."""
    sampled_bixel_mm: float = 5.0
    """Bixels of the set-up `sampled`."""
    target_mm: float = 5.0
    """One row per cube of this size inside targets, whose inner edge is kept in full,"""
    near_mm: float = 5.0
    """in organs and near targets,"""
    far_mm: float = 10.0
    """and elsewhere."""
    smoothness: float = 3.0
    """Weight of the fluence's roughness."""
    limits: bool = False
    """Hold limits as well."""


def main(args: Args) -> None:
    print_machine()
    sampling = Sampling(target_mm=args.target_mm, near_mm=args.near_mm, far_mm=args.far_mm)
    set_ups = {
        "grid": (Fidelity("grid", args.grid_mm, args.bixel_mm), 0.0),
        "sampled": (Fidelity("sampled", args.grid_mm, args.sampled_bixel_mm, sampling=sampling), args.smoothness),
    }
    found: dict[str, list[tuple[str, float, float, float]]] = {name: [] for name in set_ups}
    for patient in args.patients:
        case, site = load(args, patient)
        for name, (fidelity, smoothness) in set_ups.items():
            found[name] += survey(case, site, name, fidelity, smoothness, args.limits)
    figures = {}
    for name, plans in found.items():
        for kind in dict.fromkeys(kind for kind, *_ in plans):
            own, independent, seconds = np.array([rest for k, *rest in plans if k == kind]).T
            figures[f"{name} {kind}: median loss"] = round(float(np.median(own - independent)), 2)
            figures[f"{name} {kind}: median independent"] = round(float(np.median(independent)), 1)
            figures[f"{name} {kind}: CPU s"] = round(float(np.median(seconds)), 2)
    print_figures("rows", figures)


def load(args: Args, patient: str) -> tuple[Case, str]:
    if args.case == "synthetic":
        return synthetic.load("train")[int(patient)], "prostate"
    if args.data is None:
        raise SystemExit("--case openkbp needs --data, the provided-data folder of github.com/ababier/open-kbp")
    cohort = openkbp.load(args.data, "train")
    return cohort[cohort.ids.index(f"openkbp/{patient}")], "head_and_neck"


def survey(
    case: Case, site: str, name: str, fidelity: Fidelity, smoothness: float, limits: bool
) -> list[tuple[str, float, float, float]]:
    """Return kind of plan, score on its own rows, on independent points, and CPU seconds."""
    system = PlanningSystem(case, load_protocol(site), fidelity=fidelity, progress=False)
    targets = [system.protocol.case_name[target.structure] for target in system.protocol.targets]
    own_rows = rows_of(case, targets, fidelity)
    grid = case.grid.coarsened(JUDGED_MM)
    z, y, x = (o + moved for o, moved in zip(grid.origin_mm, MOVED_MM, strict=True))
    points = inside(rows_of_grid(case, Grid(grid.shape, grid.spacing_mm, (z, y, x))), case)
    beams = system._beams(system.gantry_angles_deg, system.collimator_angles_deg)
    judge = prepare(case, beams.k.beams, points.points_mm, beam_model=BEAM_MODEL)
    start = replace(system.protocol.start_parameters(), smoothness=smoothness)
    organ = system.protocol.organs[1].structure
    wanted = {"template": start, "heavier": start.replace(organ, weight=HEAVIER * start.structures[organ].weight)}
    first: Plan | None = None
    results = []
    for kind in [*wanted, *(["limits"] if limits else [])]:
        parameters = replace(start, limits=pushed(first.evaluation)) if kind == "limits" and first else wanted[kind]
        began = process_time()
        plan = system.plan(parameters, first)
        seconds = process_time() - began
        first = first or plan
        own = judged(plan.solution.dose_gy, own_rows, system.protocol)
        there = judged(judge.dose_of_bixels(beams.k.bixels, plan.fluence), points, system.protocol)
        met = all(constraint.met for constraint in plan.solution.constraints)
        print(
            f"{case.id} {name} {kind}: own rows {own.score:.1f} ({failed(own)} failed), independent {there.score:.1f} "
            f"({failed(there)} failed), {seconds:.2f} CPU s, {plan.solution.iterations} steps, constraints met: {met}",
            flush=True,
        )
        results.append((kind, own.score, there.score, seconds))
    return results


def inside(rows: Rows, case: Case) -> Rows:
    """Return the rows that lie on the case's CT."""
    low = np.array(case.grid.origin_mm) - np.array(case.grid.spacing_mm) / 2
    on_ct = ((rows.points_mm >= low) & (rows.points_mm <= low + case.grid.extent_mm)).all(axis=1)
    place = np.cumsum(on_ct) - 1
    members = {name: place[index[on_ct[index]]] for name, index in rows.members.items()}
    return Rows(rows.grid, rows.index[on_ct], rows.volumes_cc[on_ct], members)


def judged(dose_gy: NDArray[np.floating], rows: Rows, protocol: BoundProtocol) -> Evaluation:
    """Judge a dose on rows, scaled to D95 = Rx of the primary target; each row counts as often as its volume says."""
    counts = np.rint(rows.volumes_cc / rows.volumes_cc.min()).astype(int)
    members = with_outside(rows, protocol)
    primary = members[protocol.case_name[protocol.primary.structure]]
    d95 = np.percentile(np.repeat(dose_gy[primary], counts[primary]), 5)
    scale = protocol.primary.prescription_gy / d95
    doses: Mapping[str, NDArray[np.floating]] = {
        name: np.repeat(scale * dose_gy[index], counts[index]) for name, index in members.items()
    }
    return evaluate(doses, float(rows.volumes_cc.min()), protocol)


def pushed(evaluation: Evaluation) -> tuple[Limit, ...]:
    """Return limits that bind: the protocol's, and the organs' a tenth below what a plan reached."""
    limits = []
    for result in evaluation.criteria:
        criterion, value = result.criterion, result.value
        if criterion.metric in ("HI", "CI", "R50", "D95%"):
            continue
        organ = criterion.structure != OUTSIDE_TARGETS and not criterion.structure.startswith("PTV")
        if not criterion.upper:
            limits.append(Limit(criterion.structure, criterion.metric, at_least=min(criterion.limit, 0.99 * value)))
        elif organ and not criterion.metric.startswith("D0."):
            bound = min(criterion.limit, PUSHED * value)
            limits.append(Limit(criterion.structure, criterion.metric, at_most=bound))
        else:
            limits.append(Limit(criterion.structure, criterion.metric, at_most=max(criterion.limit, 0.99 * value)))
    return tuple(limits)


def failed(evaluation: Evaluation) -> int:
    return sum(not result.passed for result in evaluation.criteria)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
