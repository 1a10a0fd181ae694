"""A results folder confirmed: its plans are replayed and held against what is recorded of them.

Confirmed is that every plan's dose, metrics, criteria, score and objective follow from its fluence, or from its
apertures, and its parameters on the case recorded, that apertures keep the limits of the run's machine, and that what
is said of an episode follows from its plans. That a fluence or apertures are the best for their parameters, the score
of the ideal plan that apertures were made from, and that an agent did what it did by itself, only a run can show;
seconds, tokens and whatever else agents say of themselves are taken on trust.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from radplan_env.delivery.delivered import Delivery
from radplan_env.episode import Episode
from radplan_env.planning import Plan, PlanningSystem
from radplan_experiments.auditing import replay
from radplan_experiments.auditing.replay import UnusableError
from radplan_experiments.recording.records import COMPLETE, Key, Record, key_of
from radplan_experiments.recording.run_folder import RunFolder
from radplan_experiments.recording.settings import Settings
from radplan_experiments.recording.standing import other_in_package, scorecard_has_changed
from radplan_experiments.running import runner
from radplan_experiments.wording import counted

TOLERANCE = 1e-6
"""By how much a number may differ, relative to it or, below 1 Gy, % or point, absolutely.

On the machine that planned, nothing differs. Elsewhere K may differ in its last digits; a voxel that lies on a metric's
very dose may then fall to its other side, and is reported.
"""

OBJECTIVE_TOLERANCE = 1e-3
"""Relative; the objective squares small differences of doses, and the solver itself aims no closer."""

SHOWN = 4
"""Differences that are spelled out of one plan."""


@dataclass
class Findings:
    """Plans looked at, how many hold, and what does not."""

    plans: int = 0
    confirmed: int = 0
    problems: list[str] = field(default_factory=list)

    def add(self, other: Findings) -> None:
        """Count others in."""
        self.plans += other.plans
        self.confirmed += other.confirmed
        self.problems += other.problems


def validate(path: Path, *, data: Sequence[Path] = (), jobs: int = 0) -> int:
    """Replay every plan of a results folder and confirm what is recorded of it; print what does not hold.

    Plans are those of every solve, handed over or not, and the reference plans. The last line printed says how many of
    how many are confirmed.

    Parameters
    ----------
    path : Path
        A results folder; nothing in it is changed.
    data : sequence of Path
        Where the cases' data lie now, if not where the run found them.
    jobs : int
        Processes; 0 is one per core, at most 8.

    Returns
    -------
    int
        Exit code: 0 if all plans are confirmed, 1 if fewer or none are there.

    Raises
    ------
    RunFolderError
        If there is no run in the folder.
    """
    folder = replay.open_folder(path, data)
    for note in _notes(folder):
        print(note, file=sys.stderr)
    findings = Findings()
    if folder.set_aside:
        lines = f"episodes.jsonl: {folder.set_aside} lines are no episodes of this run, or not for the first time"
        findings.add(Findings(plans=folder.set_aside, problems=[lines]))
    for found in replay.by_case(folder, check_case, jobs):
        findings.add(found)
    for problem in findings.problems:
        print(problem)
    print(f"validated: {findings.confirmed} of {findings.plans} plans confirmed")
    return 0 if findings.confirmed == findings.plans > 0 else 1


def _notes(folder: RunFolder) -> Iterator[str]:
    """What a reader should know before the findings."""
    settings = folder.settings
    yield f"{folder.path}: {counted(len(folder.records), 'episode')} recorded, {len(folder.todo())} not played"
    if other_in_package(settings):
        yield (
            f"the run's protocol, {settings.protocol.name}, is not the package's of that name: "
            "its plans are judged by its own"
        )
    if scorecard_has_changed(settings):
        was = settings.scorecard
        yield (
            f"scorecard {was.name} has changed since, or is not installed (its digest was {was.digest[:12]}…): plans "
            "scored by the old one cannot be confirmed where that matters, but re-scored"
        )
    versions = runner.versions()
    others = {text for record in folder.records.values() for text in differences(record.get("versions"), versions)}
    if others:
        yield f"recorded with other versions: {'; '.join(sorted(others))}"


def check_case(folder: RunFolder, case: str, records: list[Record]) -> Findings:
    """Confirm the episodes of a case, and its reference plan."""
    findings = Findings()
    try:
        system = replay.open_case(folder, case)
    except UnusableError as error:
        plans = sum(max(1, _solves(record)) for record in records)
        return Findings(plans=plans, problems=[f"{case}: {error}; none of its {plans} plans is confirmed"])
    findings.add(_check_facts(folder, system))
    for record in records:
        findings.add(_check_episode(folder, system, record))
    return findings


def _check_facts(folder: RunFolder, system: PlanningSystem) -> Findings:
    """Confirm what is known of a case; its reference plan counts as one, if it has one."""
    path = folder.case_path(system.case.id)
    recorded, found = json.loads(path.read_text(encoding="utf-8")), runner.facts(system)
    different = differences(recorded, found)
    plans = 1 if different or found["reference"] is not None else 0
    problems = [f"{system.case.id}, reference plan: {_shortened(different)}"] if different else []
    return Findings(plans, plans - len(problems), problems)


def _check_episode(folder: RunFolder, system: PlanningSystem, record: Record) -> Findings:
    """Confirm an episode; where something is wrong with the whole of it, none of its plans counts as confirmed."""
    try:
        problems = list(_problems(folder, system, record))
    except Exception as error:  # a damaged record can fail in as many ways as there are fields
        problems = [(None, f"the record is damaged ({type(error).__name__}: {error})")]
    plans = max(_solves(record), 1 if problems else 0)
    wrong = {solve for solve, _ in problems}
    confirmed = 0 if None in wrong else plans - len(wrong)
    return Findings(plans, confirmed, [f"{_name(key_of(record), solve)}: {text}" for solve, text in problems])


def _solves(record: Record) -> int:
    steps = record.get("steps")
    return len(steps) if isinstance(steps, list) else 0


def _name(key: Key, solve: int | None) -> str:
    agent, case, seed = key
    return f"{agent}, {case}, seed {seed}" + ("" if solve is None else f", solve {solve}")


def _problems(folder: RunFolder, system: PlanningSystem, record: Record) -> Iterator[tuple[int | None, str]]:
    """What does not hold of an episode, and in which solve; None is the whole of it."""
    steps = record["steps"]
    yield from ((None, text) for text in _problems_of_episode(folder.settings, record))
    if not steps:
        return
    try:
        solved, deliveries = replay.stored_fluences(folder, record), replay.stored_deliveries(folder, record)
    except UnusableError as error:
        yield None, str(error)
        return
    episode = Episode(system, system.protocol.start_parameters())
    for index, (step, fluence, delivery) in enumerate(zip(steps, solved, deliveries, strict=True)):
        try:
            episode.check_beams(angles := tuple(step["gantry_angles_deg"]))
            episode.turn(angles)
            if delivery is not None and (problem := _problem_of_delivery(folder.settings, delivery)):
                yield index + 1, problem
            plan = replay.judged_again(system, step, fluence, delivery)
        except (ValueError, KeyError, TypeError) as error:
            yield index + 1, f"cannot be replayed ({type(error).__name__}: {error})"
            continue
        if different := differences(_judged(step), _judged(plan.summary())):
            yield index + 1, _shortened(different)
        if index != record["handed_over"]:
            continue
        if different := _problems_of_plan_handed_over(folder, system, record, plan):
            yield index + 1, f"plan handed over: {_shortened(different)}"


def _problem_of_delivery(settings: Settings, found: Delivery) -> str | None:
    """In what apertures are not what the run's settings ask for."""
    wanted = settings.delivery
    if wanted is None:
        return "it is delivered, in a run of ideal plans"
    arcs = sum(each.is_arc for each in found.apertures.fields)
    if found.technique != wanted.technique or arcs != (wanted.arcs if wanted.technique == "vmat" else 0):
        return f"its technique is {found.technique} with {counted(arcs, 'arc')}, not the run's"
    if found.machine != wanted.chosen_machine:
        return f"its machine is another {found.machine.name} than the run's"
    return None


def _problems_of_plan_handed_over(folder: RunFolder, system: PlanningSystem, record: Record, plan: Plan) -> list[str]:
    """In what the plan handed over is not what its solve, and its apertures if it is delivered, give."""
    path = folder.plan_path(key_of(record))
    name = path.relative_to(folder.path)
    try:
        stored = Plan.load(path)
    except FileNotFoundError:
        return [f"{name} is missing"]
    except ValueError as error:
        return [f"{name} is damaged, or of another format ({error.__cause__})"]
    if folder.settings.delivery is None and stored.delivery is None:
        again, told = plan, runner.told_of(None)
    elif stored.delivery is None:
        return [f"{name} has no apertures"]
    elif problem := _problem_of_delivery(folder.settings, stored.delivery):
        return [problem]
    else:
        again = replay.delivered_again(system, plan, stored.delivery)
        told = runner.told_of(again)
    found = _differences_of_file(stored, again)
    if plan.delivery is not None and not _same_apertures(system.judged_in_full(plan), stored):
        found.append("its apertures are not those of the solve")
    names = ("delivered", "delivered_plan", "against_reference")
    return found + differences(
        {name: record.get(name) for name in names}, {**told, "against_reference": system.against_reference(again)}
    )


def _same_apertures(one: Plan, other: Plan) -> bool:
    assert one.delivery is not None
    assert other.delivery is not None
    a, b = one.delivery.arrays(), other.delivery.arrays()
    return all(np.array_equal(a[name], b[name]) for name in a)


def _problems_of_episode(settings: Settings, record: Record) -> Iterator[str]:
    """What a record says of its episode and does not follow from the run's settings or from the plans."""
    steps = record["steps"]
    wanted: dict[str, Any] = {name: getattr(settings, name) for name in ("site", "fidelity", "budget")}
    wanted |= {"protocol": settings.protocol.name, "scorecard": settings.scorecard.identity}
    if len(steps) > settings.budget:
        yield f"{counted(len(steps), 'solve')}, of a budget of {settings.budget}"
    if record["status"] == COMPLETE and (not steps or record["error"] is not None):
        yield "complete, but with an error or without a plan"
    wanted |= runner.outcome(steps)
    told: Mapping[str, Any] = record
    if different := differences({name: told[name] for name in wanted}, wanted):
        yield _shortened(different)


def _differences_of_file(stored: Plan, plan: Plan) -> list[str]:
    """In what the stored plan of an episode differs from the one that its fluence and apertures give."""
    found = differences(_whole(stored), _whole(plan))
    if not np.array_equal(stored.fluence, plan.fluence):
        found.append("its fluence is not that of the solve")
    if stored.grid != plan.grid or not _same_dose(stored, plan):
        source = "fluence" if plan.delivery is None else "apertures"
        found.append(f"its dose is not that of its {source}")
    return found


def _same_dose(stored: Plan, plan: Plan) -> bool:
    tolerance = TOLERANCE * float(plan.dose_gy.max())
    return stored.dose_gy.shape == plan.dose_gy.shape and np.allclose(
        stored.dose_gy, plan.dose_gy, rtol=TOLERANCE, atol=tolerance
    )


def _judged(summary: Mapping[str, Any]) -> dict[str, Any]:
    """What a replay confirms of a plan's summary, criteria by name."""
    judged = {name: summary[name] for name in replay.JUDGED}
    judged["criteria"] = {f"{item['structure']} {item['metric']}": item for item in summary["criteria"]}
    return {**judged, "objective": summary["solver"]["objective"]}


def _whole(plan: Plan) -> dict[str, Any]:
    """What a replay confirms of a stored plan."""
    header = {
        "case_id": plan.case_id,
        "fidelity": plan.fidelity,
        "protocol": plan.protocol.digest(plan.scorecard["name"]),
    }
    header |= {"scorecard": plan.scorecard["digest"]}
    summary: Mapping[str, Any] = plan.summary()
    names = ("parameters", "smoothness", "limits", "gantry_angles_deg", "collimator_angles_deg")
    chosen = {name: summary[name] for name in names}
    return {**header, **chosen, **_judged(summary), "dvh": plan.evaluation.to_dict()["dvh"]}


def differences(recorded: Any, found: Any) -> list[str]:
    """Where two JSON values differ beyond the tolerance, as "metrics.Rectum.mean was 20, is 21"."""
    was, now = dict(_leaves(recorded)), dict(_leaves(found))
    names = dict.fromkeys([*was, *now])
    absent = "absent"
    return [
        f"{name} was {_text(was.get(name, absent))}, is {_text(now.get(name, absent))}"
        for name in names
        if not _same(name, was.get(name, absent), now.get(name, absent))
    ]


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else None
    if not items:  # an empty list is a leaf too
        yield name, value
        return
    for key, item in items:
        yield from _leaves(item, f"{name}.{key}" if name else str(key))


def _same(name: str, recorded: Any, found: Any) -> bool:
    numbers = [isinstance(value, int | float) and not isinstance(value, bool) for value in (recorded, found)]
    if not all(numbers):
        return type(recorded) is type(found) and bool(recorded == found)
    tolerance = OBJECTIVE_TOLERANCE if name == "objective" else TOLERANCE
    return math.isclose(recorded, found, rel_tol=tolerance, abs_tol=TOLERANCE)


def _text(value: Any) -> str:
    return f"{value:.9g}" if isinstance(value, float) else str(value)


def _shortened(texts: Sequence[str]) -> str:
    more = len(texts) - SHOWN
    return "; ".join(texts[:SHOWN]) + (f"; and {more} more" if more > 0 else "")
