"""What is lost when a plan is delivered, and does a physicist believe it?

For training cases, by technique: the verdict of the ideal fluence and of the delivered plan, monitor units, seconds,
violations, mean gap, modulation complexity, CPU seconds; with `--robustness` the score under errors of leaves, monitor
units and position, and what the plan would be screened for under them; with `--read-back` what its RTPLAN says.

  python benchmarks/delivery.py --patients 4 --technique vmat --arcs 1
  python benchmarks/delivery.py --site head-and-neck --data open-kbp/provided-data --patients 1 --technique vmat
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any, Literal

# Run as a script: find our packages from any directory.
if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import numpy as np
import tyro
from numpy.typing import NDArray

from benchmarks.machine import peak_memory_gb, print_figures, print_machine
from radplan_env.delivery.delivered import Delivery
from radplan_env.delivery.limits import violations
from radplan_env.delivery.read_rtplan import read_rtplan
from radplan_env.dose import dose_at
from radplan_env.export_plan import export_rtplan
from radplan_env.planning import DeliverablePlan, PlanningSystem
from radplan_env.planning.robustness import robustness
from radplan_env.scorecards import load_scorecard
from radplan_env.sources import openkbp, synthetic
from radplan_env.verdict import Judge


@dataclass
class Args:
    site: Literal["prostate", "head-and-neck"] = "prostate"
    """Synthetic training prostates, or OpenKBP training patients."""
    data: Path | None = None
    """Folder of OpenKBP's provided-data."""
    first: int = 0
    """First training patient."""
    patients: int = 1
    """How many."""
    fidelity: str = "fast"
    """Of the ideal plans."""
    technique: Literal["vmat", "step-and-shoot"] = "vmat"
    """How plans are delivered."""
    arcs: int = 1
    """With vmat."""
    robustness: bool = False
    """Whether to ask for the score under errors of leaves, units and position."""
    read_back: bool = False
    """Whether to write the plan as an RTPLAN, read that, and compare dose and score, also at intervals of 1 degree."""


def main(args: Args) -> None:
    print_machine()
    for number in range(args.first, args.first + args.patients):
        system = PlanningSystem(
            _case(args, number), args.site.replace("-", "_"), fidelity=args.fidelity, progress=False
        )
        plan = system.plan(system.protocol.start_parameters())
        begun = process_time()
        delivered = system.deliver(plan, args.technique, arcs=args.arcs)
        figures = _figures(system, delivered) | {"cpu_s_with_k": process_time() - begun}
        figures |= {"peak_memory_gb": peak_memory_gb(), "protocol_beams_v1": plan.evaluation.score}
        if args.robustness:
            figures |= _under_errors(system, delivered.delivery)
        if args.read_back:
            figures |= _read_back(system, delivered.delivery)
        print_figures(f"delivery {system.case.id} {args.technique}", figures)


def _case(args: Args, number: int) -> Any:
    if args.site == "prostate":
        return synthetic.load("train")[number]
    if args.data is None:
        raise SystemExit("--data: the folder of OpenKBP's provided-data is needed")
    return openkbp.load(args.data, "train")[number]


def _figures(system: PlanningSystem, delivered: DeliverablePlan) -> dict[str, Any]:
    v0 = Judge(system.case, system.protocol, load_scorecard("v0"), beam_model=system.judge.beam_model.name)
    held = delivered.delivery
    rasters = held.rasters(system.judge.beam_model, held.parts)
    by_v0 = v0.judge_rasters(held.beams(held.parts), rasters).evaluation.score
    summary = held.summary()
    per_gy = system.protocol.primary.prescription_gy / held.fractions
    return {
        "ideal_v1": delivered.ideal.evaluation.score,
        "delivered_v1": delivered.evaluation.score,
        "lost_v1": delivered.points_lost,
        "delivered_v0": by_v0,
        "screened": delivered.evaluation.screened,
        "mu_per_gy": held.monitor_units / per_gy,
        **{name: summary[name] for name in ("mu", "seconds", "mean_gap_mm", "modulation_complexity", "violations")},
    }


def _under_errors(system: PlanningSystem, held: Delivery) -> dict[str, Any]:
    begun = process_time()
    found = robustness(system.judge, held)
    figures: dict[str, Any] = {f"v1 {name}": score for name, score in found.scores.items()}
    return figures | {"screened under": "; ".join(found.reasons) or "none", "robustness_cpu_s": process_time() - begun}


def _read_back(system: PlanningSystem, held: Delivery) -> dict[str, Any]:
    """Limits, dose and score of what the RTPLAN says; the score also at intervals of one degree."""
    prescriptions = {target.structure: target.prescription_gy for target in system.protocol.targets}
    with TemporaryDirectory() as folder:
        plan = read_rtplan(export_rtplan(system.case, held, prescriptions, Path(folder) / "RTPLAN.dcm"))
    read = replace(held, apertures=plan.apertures, isocentre_mm=plan.isocentre_mm, fractions=plan.fractions)
    ours, theirs = (_dose(system, each, held.parts) for each in (held, read))
    finely = _dose(system, read, 2 * held.parts)
    return {
        "read_violations": len(violations(read.apertures, read.machine)),
        "read_dose_off_percent": 100 * float(abs(ours - theirs).max() / ours.max()),
        "v1 sampled": _score(system, ours, scale=False),
        "v1 at 1 degree, as it is": _score(system, finely, scale=False),
        "v1 at 1 degree, covering": _score(system, finely, scale=True),
    }


def _dose(system: PlanningSystem, held: Delivery, parts: int) -> NDArray[np.float32]:
    points, model = system.judge.sampled_points.positions_mm, system.judge.beam_model
    return dose_at(system.case, held.beams(parts), held.rasters(model, parts), points, beam_model=model)


def _score(system: PlanningSystem, dose_gy: NDArray[np.float32], *, scale: bool) -> float:
    points = system.judge.sampled_points
    return system.judge.judge_dose(dose_gy, points, "sampled", scale=scale).evaluation.score


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
