"""What is lost when a plan is delivered, and does a physicist believe it?

For training cases, by technique: the verdict of the ideal fluence and of the delivered plan by v1 and v0, terms that
lose most, Eq. 1 on points that no optimiser has seen, monitor units, seconds, violations, mean gap, modulation
complexity, CPU seconds, the score under errors of leaves, monitor units and position, a neck's reference plan beside
it; with `--read-back` what the plan's RTPLAN says. The protocol's start parameters are delivered or, with `--agent`,
those of the plan that an agent hands over. Plans and figures are kept in a folder, so that a run that was broken off
goes on where it was, and ends with a table of all that the folder has.

CPU seconds are by part: K and the tracing of beams, once a patient; the ideal plan of the coarse fields; apertures; the
verdict; the score under errors.

  python benchmarks/delivery.py --keep figures --cases 0 1 2 --ways vmat:1 vmat:2 step-and-shoot
  python benchmarks/delivery.py --keep figures --data open-kbp/provided-data --cases pt_5 pt_17 --ways vmat:2
  python benchmarks/delivery.py --keep figures --cases 0 --agent coordinate --budget 10
  python benchmarks/delivery.py --keep figures --cases
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any
from unittest.mock import patch

# Run as a script: find our packages from any directory.
if not __package__:
    root = Path(__file__).resolve().parent.parent
    sys.path[:1] = [str(root), str(root / "agents")]

import numpy as np
import tyro
from numpy.typing import NDArray

from benchmarks.judged_plans import best_plan
from benchmarks.machine import peak_memory_gb, print_machine
from radplan_env.case import Case
from radplan_env.delivery import optimise
from radplan_env.delivery.blocks import BlocksOfK
from radplan_env.delivery.delivered import Delivery
from radplan_env.delivery.limits import violations
from radplan_env.delivery.planner import AperturePlanner
from radplan_env.delivery.read_rtplan import read_rtplan
from radplan_env.dose import dose_at, prepare, prepared
from radplan_env.env import RadPlanEnv
from radplan_env.evaluation import evaluate
from radplan_env.export_plan import export_rtplan
from radplan_env.fluence import FluenceSolution
from radplan_env.influence.rows import Rows
from radplan_env.metrics import dose_at_volume
from radplan_env.parameters import PlanningParameters
from radplan_env.planning import DeliverablePlan, Plan, PlanningSystem, delivered_dose
from radplan_env.planning.delivered_dose import DeliveredDose
from radplan_env.planning.inner_problem import InnerProblem
from radplan_env.planning.robustness import robustness, shifts_of, worst_shifted_score
from radplan_env.scorecards import load_scorecard
from radplan_env.sources import openkbp, synthetic
from radplan_env.verdict import Judge
from radplan_env.verdict.against_reference import comparable, compared, judged_voxels

Figures = dict[str, Any]

FINEST_PARTS = 4
"""Of an interval of 4 degrees."""


@dataclass
class Args:
    keep: Path
    """Folder of figures and plans; what is there is not computed again."""
    cases: tuple[str, ...] = ()
    """Numbers of synthetic training prostates, or with `--data` names of OpenKBP training patients."""
    data: Path | None = None
    """Folder of OpenKBP's provided-data."""
    ways: tuple[str, ...] = ("vmat:1",)
    """vmat:1, vmat:2 (arcs) and step-and-shoot."""
    agent: str | None = None
    """Who plans, on ideal plans of the protocol's beams; the protocol's start parameters by default."""
    budget: int = 10
    """Solves of the agent."""
    fidelity: str = "fast"
    """Of the ideal plans."""
    thrift: float = optimise.THRIFT
    """Price of monitor units; see `radplan_env.delivery.optimise`."""
    warm: bool = False
    """Whether to time a warm delivery too: the same parameters once more, as within an episode."""
    shifts: bool = False
    """Whether to trace kept plans anew under shifts of the isocentre, instead of planning."""
    read_back: bool = False
    """Whether to write each plan as an RTPLAN, read that, and compare dose and score, also at intervals of 1 degree."""


def main(args: Args) -> None:
    print_machine()
    optimise.THRIFT = args.thrift
    args.keep.mkdir(parents=True, exist_ok=True)
    for name in args.cases:
        planner = "" if args.agent is None else f" {args.agent}:{args.budget}"
        names = {way: f"{name}_{way}{planner}".replace(":", "_").replace(" ", "_") for way in args.ways}
        todo = [way for way, stem in names.items() if args.shifts or not (args.keep / f"{stem}.json").exists()]
        if not todo:
            continue
        site = "prostate" if args.data is None else "head_and_neck"
        settings: Figures = {"fidelity": args.fidelity, "budget": args.budget, "progress": False}
        env = RadPlanEnv(protocol=site, cases=[_case(args, name)], **settings)
        env.reset(seed=0)
        system = env.system
        if args.shifts:
            for way in args.ways:
                held = Plan.load(args.keep / f"{names[way]}.npz").delivery
                assert held is not None
                (args.keep / f"{names[way]}.shifts").write_text(json.dumps(_shifts_traced(system, held)))
            continue
        start = system.protocol.start_parameters()
        plan = system.plan(start) if args.agent is None else best_plan(env, args.agent)[0]
        for way in todo:
            technique, _, arcs = way.partition(":")
            with clocked() as cold:
                delivered = system.deliver(plan, technique, arcs=int(arcs or 1))
            with clocked() as warm:
                if args.warm:
                    system.deliver(plan, technique, arcs=int(arcs or 1), warm_start=delivered.plan, final=False)
            delivered.plan.save(args.keep / f"{names[way]}.npz")
            cpu = {"cpu_s": dict(cold), "warm_cpu_s": dict(warm), "peak_memory_gb": peak_memory_gb()}
            figures = {"case": name, "site": site, "way": f"{way}{planner}"} | _figures(system, delivered) | cpu
            figures["protocol_beams_v1"] = plan.evaluation.score
            figures["protocol_beams_refused"] = list(plan.evaluation.verdict.reasons)
            figures |= _against_reference(system, delivered.delivery)
            if args.read_back:
                figures |= _read_back(system, delivered)
            (args.keep / f"{names[way]}.json").write_text(json.dumps(figures))
            print(json.dumps(figures), flush=True)
    print_table([json.loads(path.read_text()) for path in sorted(args.keep.glob("*.json"))])


PARTS = {
    "K": (BlocksOfK, "computed"),
    "tracing": (prepared, "depths"),
    "ideal": (PlanningSystem, "plan"),
    "apertures": (AperturePlanner, "optimised"),
    "verdict": (DeliveredDose, "scaled"),
    "errors": (delivered_dose, "robustness"),
}
"""What is timed, each without the others that it calls."""


@contextmanager
def clocked() -> Iterator[dict[str, float]]:
    """CPU seconds by part."""
    seconds, running, since = dict.fromkeys([*PARTS, "rest"], 0.0), ["rest"], [process_time()]

    def change(to: str | None) -> None:
        now = process_time()
        seconds[running[-1]] += now - since[0]
        since[0] = now
        if to is None:
            running.pop()
        else:
            running.append(to)

    def timed(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **settings: Any) -> Any:
            change(part)
            try:
                return function(*arguments, **settings)
            finally:
                change(None)

        return call

    with ExitStack() as patched:
        for part, (owner, name) in PARTS.items():
            patched.enter_context(patch.object(owner, name, timed(part, getattr(owner, name))))
        yield seconds
    change(None)


def _case(args: Args, name: str) -> Case:
    if args.data is None:
        return synthetic.load("train")[int(name)]
    cases = openkbp.load(args.data, "train")
    return next(case for case in cases if case.id.endswith(f"/{name}"))


def _figures(system: PlanningSystem, delivered: DeliverablePlan) -> Figures:
    judge, held, ideal = system.judge, delivered.delivery, delivered.ideal
    v0 = Judge(system.case, system.protocol, load_scorecard("v0"), beam_model=judge.beam_model.name)
    (deliverer,) = system._deliveries._held.values()
    beams, bixels = deliverer._ideal.columns(ideal)
    ideal_dose = judge.prepared(beams, judge.points).dose_of_bixels(bixels, ideal.fluence)
    traced = judge.prepared(held.beams(held.parts), judge.points)
    delivered_dose = traced.dose(held.rasters(judge.beam_model, held.parts))
    ideal_v0, delivered_v0 = (v0.judge_dose(dose, judge.points) for dose in (ideal_dose, delivered_dose))
    objectives = {
        "ideal_objective": _objective(system, ideal.parameters, ideal_v0.scaled_by * ideal_dose),
        "delivered_objective": _objective(system, ideal.parameters, delivered_v0.scaled_by * delivered_dose),
    }
    summary = delivered.plan.summary()["delivered"]
    assert summary is not None
    lost = {name: points - delivered.evaluation.terms[name] for name, points in ideal.evaluation.terms.items()}
    return {
        "ideal_v1": ideal.evaluation.score,
        "delivered_v1": delivered.evaluation.score,
        "lost_v1": delivered.points_lost,
        "ideal_v0": ideal_v0.evaluation.score,
        "delivered_v0": delivered_v0.evaluation.score,
        "lost_terms": dict(sorted(lost.items(), key=lambda term: -abs(term[1]))[:6]),
        "ideal_refused": list(ideal.evaluation.verdict.reasons),
        "refused": list(delivered.evaluation.verdict.reasons),
        "mu_per_gy": held.monitor_units * held.fractions / system.protocol.primary.prescription_gy,
        **objectives,
        **summary,
    }


def _objective(system: PlanningSystem, parameters: PlanningParameters, dose_gy: NDArray[np.float32]) -> float:
    """Eq. 1 of a dose at the verdict's points, which no optimiser has seen."""
    points, own = system.judge.points, system.protocol.case_name
    members = {own.get(name, name): np.flatnonzero(points.inside(name)) for name in points.names}
    rows = Rows(system.case.grid, np.arange(len(points)), points.positions_mm, points.volume_cc, members)
    problem = InnerProblem(system.protocol, system.case.id, rows).problem(parameters)
    return FluenceSolution.of(problem, np.zeros(0), dose_gy.astype(float), kkt_residual=0.0, iterations=0).objective


def _against_reference(system: PlanningSystem, held: Delivery) -> Figures:
    """Score and criteria of the delivered and the reference plan, on the reference's voxels and scaled alike.

    The delivered plan's dose is that of the planner's intervals in the middle of the voxels of targets and organs;
    elsewhere both have the reference's.
    """
    case, judge, factor = system.case, system.judge, system.reference_scaled_by
    if case.reference_dose_gy is None or system.reference is None or factor is None:
        return {}
    voxels = judged_voxels(system.protocol, judge.regions)
    index = np.stack(np.unravel_index(voxels, case.grid.shape), axis=-1)
    middles = index * np.array(case.grid.spacing_mm) + case.grid.origin_mm
    ours = dose_at(case, held.beams(), held.rasters(judge.beam_model), middles, beam_model=judge.beam_model)
    dose, target = factor * case.reference_dose_gy, judge.regions.masks[system.protocol.primary.structure]
    dose.ravel()[voxels] = ours
    dose.ravel()[voxels] *= system.protocol.primary.prescription_gy / dose_at_volume(dose[target], 95)
    names = system.protocol.case_name
    doses = {names.get(name, name): dose[mask] for name, mask in judge.regions.masks.items()}
    settings: Figures = {"in_targets_percent": judge.in_targets_percent}
    evaluation = evaluate(doses, case.grid.voxel_cc, system.protocol, system.scorecard, **settings)
    both = compared(case, system.protocol, judge.regions, voxels, ours)
    better = [
        each.bound.margin(both["ours"][name]) >= each.bound.margin(both["reference"][name])
        for name, each in comparable(system.protocol).items()
    ]
    return {
        "on_voxels_v1": evaluation.score,
        "reference_v1": system.reference.score,
        "not_worse": int(sum(better)),
        "compared": len(better),
        "against_reference": dict(both),
    }


def _shifts_traced(system: PlanningSystem, held: Delivery) -> Figures:
    """Scores under shifts, reported and with depths traced anew; how far doses differ, in % of the maximum."""
    judge, points = system.judge, system.judge.sampled_points
    reported = robustness(judge, held).scores
    kept, figures, settings = judge.prepared(held.beams(), points), {}, {"beam_model": judge.beam_model}
    rasters, places = held.rasters(judge.beam_model), dict(shifts_of(held.isocentre_mm))
    doses = kept.doses_from(rasters, list(places.values()))
    for (name, isocentre_mm), ours in zip(places.items(), doses, strict=True):
        beams = replace(held, isocentre_mm=isocentre_mm).beams()
        dose = prepare(system.case, beams, points.positions_mm, spacing_mm=kept.spacing_mm, **settings).dose(rasters)
        off = 100 * (ours - dose)[dose > 0.1 * dose.max()] / dose.max()
        score = judge.judge_dose(dose, points, scale=False).evaluation.score
        figures[name] = {
            "reported": reported[name],
            "traced": score,
            "rms": float(np.sqrt(np.mean(off**2))),
            "most": float(abs(off).max()),
            "d98": [_core_d98(system, each) for each in (ours, dose)],
        }
        print(name, json.dumps(figures[name]), flush=True)
    return figures


def _core_d98(system: PlanningSystem, dose_gy: NDArray[np.float32]) -> float:
    view = system.judge.view(dose_gy, system.judge.sampled_points)
    return view.metric(f"{system.protocol.primary.structure}.core", "D98%")


def _read_back(system: PlanningSystem, delivered: DeliverablePlan) -> Figures:
    """Limits, dose and score of what the RTPLAN says; the score and gamma also at intervals of one degree."""
    held = delivered.delivery
    prescriptions = {target.structure: target.prescription_gy for target in system.protocol.targets}
    with TemporaryDirectory() as folder:
        plan = read_rtplan(export_rtplan(system.case, held, prescriptions, Path(folder) / "RTPLAN.dcm"))
    read = replace(held, apertures=plan.apertures, isocentre_mm=plan.isocentre_mm, fractions=plan.fractions)
    ours, theirs = (_dose(system, each, held.parts) for each in (held, read))
    finely = _dose(system, read, FINEST_PARTS)
    return {
        "read_violations": len(violations(read.apertures, read.machine)),
        "read_dose_off_percent": 100 * float(abs(ours - theirs).max() / ours.max()),
        "v1 sampled": _score(system, ours, scale=False),
        "v1 at 1 degree, as it is": _score(system, finely, scale=False),
        "v1 at 1 degree, covering": _score(system, finely, scale=True),
        "gamma_percent at 4 degrees": _gamma_percent(system, delivered.dose_gy, read, held.parts // 2),
        "gamma_percent at 2 degrees": _gamma_percent(system, delivered.dose_gy, read, held.parts),
    }


def _gamma_percent(system: PlanningSystem, dose_gy: NDArray[np.float32], read: Delivery, parts: int) -> float:
    """Share of the dose grid's nodes above 10 % whose dose at 1 degree has that of `parts` within 1 % and 1 mm."""
    from pymedphys import gamma

    grid, high = system.grid, np.argwhere(dose_gy > 0.1 * dose_gy.max())
    axes = tuple(grid.coordinates_mm(axis)[high[:, axis].min() : high[:, axis].max() + 1] for axis in range(3))
    nodes = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    model, shape = system.judge.beam_model, [axis.size for axis in axes]
    doses = [
        dose_at(system.case, read.beams(each), read.rasters(model, each), nodes, beam_model=model).reshape(shape)
        for each in (FINEST_PARTS, parts)
    ]
    found = gamma(axes, doses[0], axes, doses[1], 1, 1, lower_percent_dose_cutoff=10, max_gamma=1.1, quiet=True)
    return 100 * float((found[np.isfinite(found)] <= 1).mean())


def _dose(system: PlanningSystem, held: Delivery, parts: int) -> NDArray[np.float32]:
    points, model = system.judge.sampled_points.positions_mm, system.judge.beam_model
    return dose_at(system.case, held.beams(parts), held.rasters(model, parts), points, beam_model=model)


def _score(system: PlanningSystem, dose_gy: NDArray[np.float32], *, scale: bool) -> float:
    return system.judge.judge_dose(dose_gy, system.judge.sampled_points, scale=scale).evaluation.score


def _worst_shift(row: Figures) -> float:
    return worst_shifted_score(row["robustness"])


COLUMNS: dict[str, tuple[Callable[[Figures], float], str]] = {
    "ideal v1": (lambda row: row["ideal_v1"], ".1f"),
    "delivered v1": (lambda row: row["delivered_v1"], ".1f"),
    "lost": (lambda row: row["lost_v1"], ".1f"),
    "ideal v0": (lambda row: row["ideal_v0"], ".1f"),
    "delivered v0": (lambda row: row["delivered_v0"], ".1f"),
    "Eq. 1": (lambda row: row["delivered_objective"] / row["ideal_objective"], ".2f"),
    "MU per Gy": (lambda row: row["mu_per_gy"], ".0f"),
    "seconds": (lambda row: row["seconds"], ".0f"),
    "mean gap, mm": (lambda row: row["mean_gap_mm"], ".1f"),
    "MCS": (lambda row: row["modulation_complexity"], ".2f"),
    "limits broken": (lambda row: row["violations"], ".0f"),
    "worst shift": (_worst_shift, ".1f"),
    "K, tracing": (lambda row: row["cpu_s"]["K"] + row["cpu_s"]["tracing"], ".0f"),
    "ideal": (lambda row: row["cpu_s"]["ideal"], ".0f"),
    "apertures": (lambda row: row["cpu_s"]["apertures"], ".0f"),
    "verdict": (lambda row: row["cpu_s"]["verdict"], ".0f"),
    "errors": (lambda row: row["cpu_s"]["errors"], ".0f"),
    "warm": (lambda row: sum(row["warm_cpu_s"].values()) - row["warm_cpu_s"]["tracing"] or float("nan"), ".0f"),
    "GB": (lambda row: row["peak_memory_gb"], ".1f"),
    "on voxels": (lambda row: row.get("on_voxels_v1", float("nan")), ".1f"),
    "reference": (lambda row: row.get("reference_v1", float("nan")), ".1f"),
}


def print_table(rows: Sequence[Figures]) -> None:
    """Print a line a plan, then medians by site and way."""
    print(f"\n| case | way | {' | '.join(COLUMNS)} |\n|---|---|{'---|' * len(COLUMNS)}")
    for row in rows:
        print(_line(row["case"], row["way"], [value(row) for value, _ in COLUMNS.values()]))
    for site, way in sorted({(row["site"], row["way"]) for row in rows}):
        own = [row for row in rows if (row["site"], row["way"]) == (site, way)]
        medians = [median(value(row) for row in own) for value, _ in COLUMNS.values()]
        print(_line(f"median of {len(own)}, {site}", way, medians))
    for row in rows:
        lost = ", ".join(f"{name} {points:.1f}" for name, points in row["lost_terms"].items())
        shifted = ", ".join(f"{name} {value:.1f}" for name, value in row["robustness"]["worst_shift"].items())
        print(f"{row['case']} {row['way']}: lost {lost}; shifted {shifted}; refused {row['refused']}")


def _line(case: str, way: str, values: Sequence[float]) -> str:
    cells = (f"{value:{form}}" for value, (_, form) in zip(values, COLUMNS.values(), strict=True))
    return f"| {case} | {way} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
