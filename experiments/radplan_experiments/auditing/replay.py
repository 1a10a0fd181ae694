"""Plans of a results folder made again from their fluences, without solving."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from radplan_env.case import Case, CaseError
from radplan_env.delivery.delivered import Delivery
from radplan_env.planning import Plan, PlanningSystem, Summary
from radplan_experiments.recording import apertures, fluences
from radplan_experiments.recording.records import Record, key_of
from radplan_experiments.recording.run_folder import RunFolder, read_run_folder
from radplan_experiments.running.backends import open_backend
from radplan_experiments.running.runner import planning_system, read_case

JUDGED = (
    *("stage", "score", "screened", "reasons", "verdict", "scaled_by", "as_drawn", "own_rows_score", "complexity"),
    *("met", "metrics", "criteria", "terms", "delivered"),
)
"""What of a plan's summary follows from its fluence and apertures, the protocol and the scorecard."""

Result = TypeVar("Result", covariant=True)
Stored = TypeVar("Stored")


class Work(Protocol[Result]):
    """What is done with the episodes of a case; it can be sent to other processes."""

    def __call__(self, folder: RunFolder, case: str, records: list[Record], /) -> Result:
        """Of the run's folder, without its records, a case's id and its episodes."""


class UnusableError(Exception):
    """Something stored cannot be replayed; the message says what and why."""


def open_folder(path: Path, data: Sequence[Path] = ()) -> RunFolder:
    """A results folder to read.

    Parameters
    ----------
    path : Path
    data : sequence of Path
        Where the cases' data lie now, if not where the run found them.

    Raises
    ------
    RunFolderError
        If there is no run in the folder.
    """
    folder = read_run_folder(path)
    if data:
        found = tuple(str(each.expanduser().resolve()) for each in data)
        folder.settings = replace(folder.settings, data=found)
    return folder


def by_case(folder: RunFolder, work: Work[Result], jobs: int) -> list[Result]:
    """Do something with the recorded episodes of each case, on several processes.

    Parameters
    ----------
    folder : RunFolder
    work : Work
    jobs : int
        Processes; 0 is one per core, at most 8.
    """
    bare = RunFolder(folder.path, folder.settings)
    episodes: dict[str, list[Record]] = {}
    for record in folder.records.values():
        episodes.setdefault(record["case"], []).append(record)
    if not episodes:
        return []
    with open_backend(len(episodes), jobs) as backend:
        return backend.map(partial(_call, work, bare), list(episodes.items()), "replay", "case")


def _call(work: Work[Result], folder: RunFolder, task: tuple[str, list[Record]]) -> Result:
    case, records = task
    return work(folder, case, records)


def recorded_case(folder: RunFolder, case: str) -> Case:
    """A case of a run, read again from where its data lie.

    Raises
    ------
    UnusableError
        If it cannot be read, or is not the one that was planned.
    """
    path = folder.case_path(case)
    try:
        recorded = json.loads(path.read_text(encoding="utf-8"))["digest"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnusableError(f"{path.relative_to(folder.path)} cannot be read ({error})") from error
    try:
        found = read_case(folder.settings, case)
    except Exception as error:  # every source has its own ways to fail
        raise UnusableError(f"the case cannot be read ({type(error).__name__}: {error})") from error
    if found.digest() != recorded:
        raise UnusableError(f"the case is not the one that was planned: its digest was {recorded}, is {found.digest()}")
    return found


def open_case(folder: RunFolder, case: str) -> PlanningSystem:
    """The planning system of a case of a run.

    Raises
    ------
    UnusableError
        If it cannot be planned, or is not the one that was.
    """
    found = recorded_case(folder, case)
    try:
        return planning_system(folder.settings, found)
    except (CaseError, ValueError) as error:
        raise UnusableError(f"the case cannot be planned ({error})") from error


def judged_again(
    system: PlanningSystem, step: Summary, fluence: fluences.Fluence, delivery: Delivery | None = None
) -> Plan:
    """A plan of a run made again, and judged on all points of the verdict, as every plan of a run is.

    Where the step says what rounding costs, the plan does too.

    Raises
    ------
    ValueError
        If the plan does not fit the case, or fluence or apertures not the plan.
    """
    plan = system.restore({**step, "verdict": "full"}, fluence, delivery)
    return system.with_rounding(plan) if "rounding_costs" in step["complexity"] else plan


def delivered_again(system: PlanningSystem, plan: Plan, delivery: Delivery) -> Plan:
    """The delivered plan that an episode hands over made again, from the solve and from its apertures.

    Raises
    ------
    ValueError
        If the apertures do not fit the plan.
    """
    again = system.restore(plan.summary(), plan.solution.fluence, delivery)
    return replace(again, complexity=plan.complexity)


def stored_deliveries(folder: RunFolder, record: Record) -> list[Delivery | None]:
    """The apertures of every solve of an episode; None of the ideal ones.

    Raises
    ------
    UnusableError
        If they are not all there.
    """
    if folder.settings.delivery is None or folder.settings.delivery.when == "final":
        return [None] * len(record["steps"])
    path = folder.apertures_path(key_of(record))
    return [*_of_every_solve(folder, record, path, apertures.load, "apertures of {} plans")]


def stored_fluences(folder: RunFolder, record: Record) -> list[fluences.Fluence]:
    """The fluence of every solve of an episode.

    Raises
    ------
    UnusableError
        If they are not all there.
    """
    return _of_every_solve(folder, record, folder.fluences_path(key_of(record)), fluences.load, "{} fluences")


def _of_every_solve(
    folder: RunFolder, record: Record, path: Path, load: Callable[[Path], list[Stored]], counted: str
) -> list[Stored]:
    name = path.relative_to(folder.path)
    try:
        found = load(path)
    except FileNotFoundError as error:
        raise UnusableError(f"{name} is missing") from error
    except ValueError as error:
        raise UnusableError(f"{name} is damaged ({error.__cause__})") from error
    if len(found) != (solves := len(record["steps"])):
        raise UnusableError(f"{name} holds {counted.format(len(found))}, the record {solves} solves")
    return found
