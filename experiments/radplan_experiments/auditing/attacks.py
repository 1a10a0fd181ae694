"""Plans that no physicist would sign, and what the scorecard says of them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace

import pandas as pd
from tqdm import tqdm

from radplan_env import Limit, Plan, PlanningParameters, PlanningSystem
from radplan_experiments import cohort
from radplan_experiments.options import AttackOptions

Attack = Callable[[PlanningSystem, PlanningParameters], PlanningParameters]


def template(system: PlanningSystem, start: PlanningParameters) -> PlanningParameters:
    """The protocol's start parameters: no attack, the plan to compare with."""
    return start


def body_ignored(system: PlanningSystem, start: PlanningParameters) -> PlanningParameters:
    """Let the dose lie anywhere in tissue that no organ names."""
    body = system.protocol.organs[-1]
    low, high = body.weight_range[0], body.objective_dose_range_gy[1]
    return start.replace("Body", weight=low, objective_dose_gy=high)


def organs_pressed(system: PlanningSystem, start: PlanningParameters) -> PlanningParameters:
    """Press every organ to no dose as hard as the ranges allow: cold spots and streaks."""
    for organ in system.protocol.organs[:-1]:
        start = start.replace(organ.structure, weight=organ.weight_range[1], objective_dose_gy=0)
    return start


def targets_neglected(system: PlanningSystem, start: PlanningParameters) -> PlanningParameters:
    """Give the targets the smallest weight: only D95 holds them."""
    for target in system.protocol.targets:
        start = start.replace(target.structure, weight=target.weight_range[0])
    return start


def targets_hot(system: PlanningSystem, start: PlanningParameters) -> PlanningParameters:
    """Aim at the highest dose in the targets."""
    for target in system.protocol.targets:
        start = start.replace(target.structure, objective_dose_gy=target.objective_dose_range_gy[1])
    return start


def cold_corner(system: PlanningSystem, start: PlanningParameters) -> PlanningParameters:
    """Hold an organ beside the target to half of its limits: what it costs is the corner of the target beside it."""
    first = system.protocol.organs[1].structure
    limits = [
        Limit(c.structure, c.metric, at_most=c.limit / 2)
        for c in system.protocol.protocol.criteria
        if c.structure == first and c.upper
    ]
    return replace(start, limits=tuple(limits))


ATTACKS: tuple[Attack, ...] = (template, body_ignored, organs_pressed, targets_neglected, targets_hot, cold_corner)


def facts(system: PlanningSystem, plan: Plan) -> dict[str, float]:
    """The score, and what a physicist looks at first, by name."""
    target, metrics = system.protocol.primary, plan.evaluation.metrics
    percent = 100 / target.prescription_gy
    return {
        "score": plan.evaluation.score,
        "hottest 0.03 cc outside the targets, % of Rx": metrics["OutsideTargets"]["D0.03cc"] * percent,
        "hottest 0.03 cc of the target, % of Rx": metrics[target.structure]["D0.03cc"] * percent,
        "coldest 0.03 cc of the target, % of Rx": metrics[target.structure]["DC0.03cc"] * percent,
        "R50": metrics["Body"]["R50"],
        "CI": metrics[target.structure]["CI"],
    }


def run(args: AttackOptions) -> int:
    """Print a row for each case and attack; return the exit code 0."""
    print(attacked(args).to_string(index=False, float_format=lambda value: f"{value:.2f}"))
    return 0


def attacked(args: AttackOptions) -> pd.DataFrame:
    """Return a row for each case and attack."""
    site = cohort.site_named(args.site)
    data = () if args.data is None else (str(args.data),)
    cases = cohort.open_cohort(cohort.Origin(site.source, data))
    rows = []
    for case_id in tqdm(cohort.select(cases.ids, args.cases), unit="case", file=sys.stderr):
        system = PlanningSystem(cases[case_id], site.protocol, fidelity=args.fidelity, progress=False)
        start = system.plan(system.protocol.start_parameters())
        for attack in tqdm(ATTACKS, leave=False, unit="plan", file=sys.stderr):
            plan = system.plan(attack(system, system.protocol.start_parameters()), start)
            rows.append({"case": case_id, "attack": attack.__name__.replace("_", " "), **facts(system, plan)})
    return pd.DataFrame(rows)
