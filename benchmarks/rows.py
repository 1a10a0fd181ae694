"""Do plans survive? The score of a plan on the rows it was made with, and on points that its solver does not know.

Set-ups: `grid`, every body voxel of the dose grid and no smoothness; `sampled`, rows sampled from a fine grid
(`radplan_env.influence.rows`) and smooth fluences. Each makes the template plan, then one with a heavier organ, then,
with `--limits`, one that holds the protocol's limits and takes a tenth off every dose and volume of the organs.

Judged by the verdict (`radplan_env.verdict`): the dose of the fluence at points no solver knows, scaled to D95 = Rx.
CPU seconds are those of a whole step, verdict and all. Choose constants on training patients only.

  python benchmarks/rows.py --case synthetic --patients 0 1 2
  python benchmarks/rows.py --case openkbp --data open-kbp/provided-data --patients pt_17 --sampled-bixel-mm 8
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from time import process_time
from typing import Literal

# Run as a script: find our packages from any directory.
if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import numpy as np
import tyro

from benchmarks.machine import print_figures, print_machine
from radplan_env.case import Case
from radplan_env.evaluation import Evaluation
from radplan_env.influence import Fidelity
from radplan_env.influence.rows import Sampling
from radplan_env.limits import Limit
from radplan_env.planning import Plan, PlanningSystem
from radplan_env.protocol import OUTSIDE_TARGETS, load_protocol
from radplan_env.sources import openkbp, synthetic

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
    scorecard: str = "v1"
    """By which plans are judged."""


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
            found[name] += survey(case, site, name, fidelity, smoothness, args)
    figures = {}
    for name, plans in found.items():
        for kind in dict.fromkeys(kind for kind, *_ in plans):
            own, verdict, seconds = np.array([rest for k, *rest in plans if k == kind]).T
            figures[f"{name} {kind}: median loss"] = round(float(np.median(own - verdict)), 2)
            figures[f"{name} {kind}: median verdict"] = round(float(np.median(verdict)), 1)
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
    case: Case, site: str, name: str, fidelity: Fidelity, smoothness: float, args: Args
) -> list[tuple[str, float, float, float]]:
    """Return kind of plan, score on its own rows, by the verdict, and CPU seconds."""
    system = PlanningSystem(case, load_protocol(site), fidelity=fidelity, scorecard=args.scorecard, progress=False)
    start = replace(system.protocol.start_parameters(), smoothness=smoothness)
    organ = system.protocol.organs[1].structure
    wanted = {"template": start, "heavier": start.replace(organ, weight=HEAVIER * start.structures[organ].weight)}
    first: Plan | None = None
    results = []
    for kind in [*wanted, *(["limits"] if args.limits else [])]:
        parameters = replace(start, limits=pushed(first.evaluation)) if kind == "limits" and first else wanted[kind]
        began = process_time()
        plan = system.plan(parameters, first)
        seconds = process_time() - began
        first = first or plan
        met = all(constraint.met for constraint in plan.solution.constraints)
        print(
            f"{case.id} {name} {kind}: own rows {plan.own_rows_score:.1f}, verdict {plan.evaluation.score:.1f} "
            f"({failed(plan.evaluation)} criteria failed), {seconds:.2f} CPU s, {plan.solution.iterations} steps, "
            f"constraints met: {met}",
            flush=True,
        )
        results.append((kind, plan.own_rows_score, plan.evaluation.score, seconds))
    return results


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
