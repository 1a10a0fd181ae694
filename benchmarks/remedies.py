"""What do the remedies of ``gpt-radplan:small`` do? Each is applied alone to plans of training patients that fail.

Three plans of a patient are looked at: the template's, the same with the organs' weights times three (`pressed`), and
with their objective doses up by 20 Gy (`eased`). For every criterion that one of them fails, each parameter of its
structure, of the primary target, of the body and of all organs together is moved both ways: a weight by a factor of 2,
an objective dose by 10 Gy, of a target by 0.5 Gy, as the form suggests. Printed is, by kind of criterion and by what
was moved,

- whether it is listed as a remedy there, and so told to models;
- the share of trials in which the criterion came closer to its limit by 0.1 % of it or more, and the median change;
- the share in which the score rose, and the median change;

of moves that are listed, or that brought the criterion closer in at least half of the trials.

  python benchmarks/remedies.py
  python benchmarks/remedies.py --data open-kbp/provided-data
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import process_time

# Run as a script: find our packages from any directory.
if not __package__:
    root = Path(__file__).resolve().parent.parent
    sys.path[:1] = [str(root), str(root / "agents")]

import numpy as np
import tyro
from tqdm import tqdm

from benchmarks import judged_plans
from benchmarks.machine import print_machine
from radplan_agents.criteria import criterion_name
from radplan_agents.gpt_radplan.small.levers import Kind, Lever, shortfalls
from radplan_agents.gpt_radplan.task import Task
from radplan_agents.plan_changes import Parameters
from radplan_env.case import Case
from radplan_env.env import RadPlanEnv
from radplan_env.parameters import PlanningParameters
from radplan_env.planning import Plan

FACTOR, ORGAN_GY, TARGET_GY = 2.0, 10.0, 0.5
PRESSED, EASED_GY = 3.0, 20.0

NOTICED = 0.1
"""Percent of its limit by which a criterion must come closer to count."""

Moved = tuple[str, str, str]
"""Direction, parameter and whose, such as ("raise", "weight", "its own")."""


@dataclass
class Asked:
    """Which patients; all are of the training splits."""

    prostates: tuple[str, ...] = ("0", "1", "2", "3")
    """Ids of synthetic prostates."""
    necks: tuple[str, ...] = ("pt_17", "pt_5")
    """Ids of OpenKBP's patients."""
    data: Path | None = None
    """Folder of OpenKBP's provided-data; without it only prostates are planned."""

    def cases(self) -> Iterator[tuple[str, Case]]:
        """Yield protocols and patients."""
        for case in judged_plans.cases(judged_plans.Asked(cases=self.prostates)) if self.prostates else ():
            yield "prostate", case
        if self.data is not None and self.necks:
            of_necks = judged_plans.Asked("head-and-neck", data=self.data, cases=self.necks)
            yield from (("head_and_neck", case) for case in judged_plans.cases(of_necks))


@dataclass(frozen=True)
class Trial:
    """What one move did: to a criterion, in percent of its limit towards it, and to the score."""

    listed: bool
    closer: float
    gain: float


def main(asked: Asked) -> None:
    print_machine()
    found: defaultdict[tuple[Kind, Moved], list[Trial]] = defaultdict(list)
    for protocol, case in asked.cases():
        for key, trial in trials(protocol, case):
            found[key].append(trial)
    print("\n| criterion | moved | listed | trials | closer | by, % of limit | score rises | by, points |")
    print("|---|---|---|---|---|---|---|---|")
    for (kind, moved), own in sorted(found.items(), key=lambda item: (item[0][0], -median_gain(item[1]))):
        closer, gain = (np.array([getattr(trial, name) for trial in own]) for name in ("closer", "gain"))
        helps, listed = np.mean(closer >= NOTICED), "yes" if any(trial.listed for trial in own) else ""
        if listed or helps >= 0.5:
            shares = f"{helps:.0%} | {np.median(closer):+.1f} | {np.mean(gain > 0):.0%} | {np.median(gain):+.2f}"
            print(f"| {kind} | {moved[0]} the {moved[1]} of {moved[2]} | {listed} | {len(own)} | {shares} |")


def median_gain(trials: list[Trial]) -> float:
    return float(np.median([trial.gain for trial in trials]))


def trials(protocol: str, case: Case) -> Iterator[tuple[tuple[Kind, Moved], Trial]]:
    """Yield what every move did to every criterion that a plan of this patient fails."""
    env = RadPlanEnv(protocol=protocol, cases=[case], fidelity="fast", progress=False)
    _, info = env.reset(seed=0)
    task = Task.of(info)

    def plan(parameters: Parameters, warm_start: Plan | None = None) -> Plan:
        return env.system.plan(PlanningParameters.from_dict(parameters), warm_start)

    for name, start in starts(task).items():
        base = plan(start)
        before = base.summary()
        margins = {criterion_name(each): each["relative_margin"] for each in before["criteria"]}
        failed = shortfalls({name: before}, task)
        wanted: dict[tuple[Lever, ...], list[tuple[Kind, Moved, str, bool]]] = defaultdict(list)
        for short in failed:
            for moved, levers in moves(short.structure, task).items():
                listed = len(levers) == 1 and levers[0] in short.remedies
                wanted[levers].append((short.kind, moved, short.criterion, listed))
        print(f"{case.id}, {name}: {before['score']:.1f}, fails {', '.join(each.criterion for each in failed)}")
        for levers, asked in tqdm(wanted.items(), unit="solve", file=sys.stderr, leave=False):
            if (parameters := shifted(start, levers, task)) == start:
                continue
            after = plan(parameters, base).summary()
            now = {criterion_name(each): each["relative_margin"] for each in after["criteria"]}
            for kind, moved, criterion, listed in asked:
                closer = 100 * (now[criterion] - margins[criterion])
                yield (kind, moved), Trial(listed, closer, after["score"] - before["score"])


def organs_of(task: Task) -> list[str]:
    return [name for name in task.structures if name not in task.prescriptions_gy and name != "Body"]


def starts(task: Task) -> dict[str, Parameters]:
    """The plans that are looked at."""
    organs = organs_of(task)
    pressed, eased = ({name: dict(values) for name, values in task.start_parameters.items()} for _ in range(2))
    for organ in organs:
        pressed[organ]["weight"] *= PRESSED
        highest_gy = task.ranges[organ]["objective_dose_gy"][1]
        eased[organ]["objective_dose_gy"] = min(eased[organ]["objective_dose_gy"] + EASED_GY, highest_gy)
    return {"template": task.start_parameters, "pressed": pressed, "eased": eased}


def moves(structure: str, task: Task) -> dict[Moved, tuple[Lever, ...]]:
    """What may be moved for a criterion of a structure, by how it is called in the table."""
    primary = next(iter(task.prescriptions_gy))
    whose = {"the primary target": [primary], "Body": ["Body"], "all organs": organs_of(task)}
    if structure in task.structures and structure not in (primary, "Body"):
        whose["its own structure"] = [structure]
    return {
        (direction, parameter, name): tuple(Lever(direction, parameter, each) for each in structures)
        for name, structures in whose.items()
        for parameter in ("weight", "objective_dose")
        for direction in ("raise", "lower")
    }


def shifted(start: Parameters, levers: tuple[Lever, ...], task: Task) -> Parameters:
    """Parameters after these levers were moved, each at most to the end of its range."""
    parameters = {name: dict(values) for name, values in start.items()}
    for lever in levers:
        up, own, ranges = lever.direction == "raise", parameters[lever.structure], task.ranges[lever.structure]
        if lever.parameter == "weight":
            quantity, value = "weight", own["weight"] * (FACTOR if up else 1 / FACTOR)
        else:
            step = TARGET_GY if lever.structure in task.prescriptions_gy else ORGAN_GY
            quantity, value = "objective_dose_gy", own["objective_dose_gy"] + (step if up else -step)
        low, high = ranges[quantity]
        own[quantity] = min(max(value, low), high)
    return parameters


if __name__ == "__main__":
    started = process_time()
    main(tyro.cli(Asked, description=__doc__))
    print(f"{process_time() - started:.0f} CPU seconds")
