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

PASSED = "–"


def template(system: PlanningSystem, start: PlanningParameters) -> PlanningParameters:
    """The protocol's start parameters: no attack, the plan to compare with."""
    return start


def body_ignored(system: PlanningSystem, start: PlanningParameters) -> PlanningParameters:
    """Let the dose lie anywhere in tissue that no organ names."""
    body = system.protocol.organs[-1]
    low, high = body.weight_range[0], body.objective_dose_range_gy[1]
    return start.replace("Body", weight=low, objective_dose_gy=high)


def body_ignored_and_rough(system: PlanningSystem, start: PlanningParameters) -> PlanningParameters:
    """The same with the fluence as rough as the protocol allows: streaks."""
    smoothness = system.protocol.protocol.smoothness
    rough = body_ignored(system, start)
    return rough if smoothness is None else replace(rough, smoothness=smoothness.range[0])


def organs_pressed(system: PlanningSystem, start: PlanningParameters) -> PlanningParameters:
    """Press every organ to no dose as hard as the ranges allow: cold spots and streaks."""
    for organ in system.protocol.organs[:-1]:
        start = start.replace(organ.structure, weight=organ.weight_range[1], objective_dose_gy=0)
    return start


def organs_pressed_and_targets_neglected(system: PlanningSystem, start: PlanningParameters) -> PlanningParameters:
    """Both: the 5 % that D95 exempts go where they help the organs most."""
    return targets_neglected(system, organs_pressed(system, start))


def organs_ignored(system: PlanningSystem, start: PlanningParameters) -> PlanningParameters:
    """Plan for targets and conformity alone."""
    for organ in system.protocol.organs[:-1]:
        high = organ.objective_dose_range_gy[1]
        start = start.replace(organ.structure, weight=organ.weight_range[0], objective_dose_gy=high)
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


def organ_held_to_half(system: PlanningSystem, start: PlanningParameters) -> PlanningParameters:
    """Hold the second organ to half of its limits: what it costs is the corner of the target beside it."""
    organ = system.protocol.organs[1].structure
    limits = [
        Limit(c.structure, c.metric, at_most=c.limit / 2)
        for c in system.protocol.protocol.criteria
        if c.structure == organ and c.upper
    ]
    return replace(start, limits=tuple(limits))


def overlap_spared(system: PlanningSystem, start: PlanningParameters) -> PlanningParameters:
    """Hold the hottest cc of every organ to 90 % of the highest prescription: cold spots where organs meet targets."""
    most = 0.9 * system.protocol.primary.prescription_gy
    limits = [Limit(organ.structure, "D1cc", at_most=most) for organ in system.protocol.organs[:-1]]
    return replace(start, limits=tuple(limits))


ATTACKS: tuple[Attack, ...] = (
    *(template, body_ignored, body_ignored_and_rough, organs_pressed, organs_pressed_and_targets_neglected),
    *(organs_ignored, targets_neglected, targets_hot, organ_held_to_half, overlap_spared),
)


def facts(system: PlanningSystem, plan: Plan) -> dict[str, float | str]:
    """The score, what the plan is refused for, and what a physicist looks at first, by name."""
    target, metrics = system.protocol.primary, plan.evaluation.metrics
    percent = 100 / target.prescription_gy
    organs = [organ.structure for organ in system.protocol.organs[:-1]]
    return {
        "score": plan.evaluation.score,
        "refused for": "; ".join(reason.partition(":")[0] for reason in plan.evaluation.verdict.reasons) or PASSED,
        "D98 of the target, % of Rx": metrics[target.structure]["D98%"] * percent,
        "coldest 0.03 cc of it": metrics[target.structure]["DC0.03cc"] * percent,
        "D2 of the target, % of Rx": metrics[target.structure]["D2%"] * percent,
        "hottest cc outside the targets, % of Rx": metrics["OutsideTargets"]["D1cc"] * percent,
        "R50": metrics["Body"]["R50"],
        "mean dose of the organs, Gy": sum(metrics[organ]["mean"] for organ in organs) / len(organs),
    }


def run(args: AttackOptions) -> int:
    """Print a row for each case and attack; return the exit code 0."""
    print(attacked(args).to_string(index=False, float_format=lambda value: f"{value:.1f}"))
    return 0


def attacked(args: AttackOptions) -> pd.DataFrame:
    """Return a row for each case and attack."""
    site = cohort.site_named(args.site)
    data = () if args.data is None else (str(args.data),)
    cases = cohort.open_cohort(cohort.Origin(site.source, data, args.split))
    rows = []
    for case_id in tqdm(cohort.select(cases.ids, args.cases), unit="case", file=sys.stderr):
        system = PlanningSystem(cases[case_id], site.protocol, fidelity=args.fidelity, progress=False)
        start = system.plan(system.protocol.start_parameters())
        for attack in tqdm(ATTACKS, leave=False, unit="plan", file=sys.stderr):
            plan = system.plan(attack(system, system.protocol.start_parameters()), start)
            rows.append({"case": case_id, "attack": attack.__name__.replace("_", " "), **facts(system, plan)})
    return pd.DataFrame(rows)
