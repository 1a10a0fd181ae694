"""Plans of a results folder judged by another protocol or scorecard, in a folder of their own."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from radplan_env.planning import Plan, PlanningSystem
from radplan_env.protocol import Protocol
from radplan_env.scorecards import check_scorecard, load_scorecard
from radplan_experiments.auditing import replay
from radplan_experiments.auditing.copying import add_calls, copy_transcript, new_run_folder
from radplan_experiments.auditing.replay import UnusableError
from radplan_experiments.recording.records import Record, key_of
from radplan_experiments.recording.run_folder import RunFolder, RunFolderError
from radplan_experiments.recording.settings import ScorecardChoice, Settings
from radplan_experiments.reporting import report
from radplan_experiments.running import runner
from radplan_experiments.writing import write_json


def rescore(
    path: Path,
    out: Path,
    *,
    protocol: Protocol | None = None,
    scorecard: str | None = None,
    data: Sequence[Path] = (),
    jobs: int = 0,
    command: str = "",
) -> int:
    """Judge the plans of a results folder anew, into another folder, and report on them.

    By the protocol and the scorecard that are given, else by the run's own protocol, which its folder holds, and the
    scorecard of the name it was scored by, as that is now.

    What agents did stays as it was, though another protocol might have led them elsewhere: the records and the
    report say that they are re-scored, and the result bears no suite's name. Episodes that cannot be replayed are left
    out, and said.

    Parameters
    ----------
    path : Path
        A results folder; nothing in it is changed.
    out : Path
        Folder for the result; it must not hold a run yet.
    protocol : Protocol, optional
    scorecard : str, optional
        Name of one.
    data : sequence of Path
        Where the cases' data lie now, if not where the run found them.
    jobs : int
        Processes; 0 is one per core, at most 8.
    command : str
        Noted in run.json.

    Returns
    -------
    int
        Exit code: 0 if every episode is there again, 1 if fewer.

    Raises
    ------
    RunFolderError
        If there is no run in the folder, or one in `out`; if protocol and scorecard do not fit.
    """
    source = replay.open_folder(path, data)
    settings = _settings(source.settings, protocol, scorecard)
    with new_run_folder(out, settings, command) as target:
        empty = RunFolder(target.path, target.settings)
        for records, problems in replay.by_case(source, partial(rescore_case, empty), jobs):
            for record in records:
                copy_transcript(source, target, key_of(record))
                target.append(record)
            for problem in problems:
                print(f"left out: {problem}", file=sys.stderr)
        add_calls(source, target)
        print(report.write(target, {}))
        return 0 if len(target.records) == len(source.records) else 1


def _settings(settings: Settings, protocol: Protocol | None, scorecard: str | None) -> Settings:
    """Those of the re-scored run: of no suite, as its agents planned for another protocol."""
    protocol = protocol or settings.protocol
    try:
        chosen = load_scorecard(scorecard or settings.scorecard.name)
        check_scorecard(chosen, protocol)
    except ValueError as error:
        raise RunFolderError(str(error)) from error
    if settings.delivery is not None and _dose(protocol) != _dose(settings.protocol):
        raise RunFolderError(
            f"plans of this run are delivered for {_dose(settings.protocol)}: apertures cannot be judged by a protocol "
            f"of {_dose(protocol)}"
        )
    return replace(settings, protocol=protocol, scorecard=ScorecardChoice.of(chosen), suite=None)


def _dose(protocol: Protocol) -> str:
    return f"{protocol.primary.prescription_gy:g} Gy in {protocol.fractions} fractions"


def rescore_case(
    target: RunFolder, source: RunFolder, case: str, records: list[Record]
) -> tuple[list[Record], list[str]]:
    """Judge the episodes of a case, write their plans, and return their records and what cannot be judged."""
    try:
        system = replay.open_case(RunFolder(source.path, target.settings), case)
    except UnusableError as error:
        return [], [f"{case}: {error}"]
    write_json(target.case_path(case), runner.facts(system))
    judged, problems = [], []
    for record in records:
        try:
            judged.append(_rescored(target, source, system, record))
        except (UnusableError, ValueError, KeyError, TypeError) as error:
            agent, _, seed = key_of(record)
            problems.append(f"{agent}, {case}, seed {seed}: {error}")
    return judged, problems


def _rescored(target: RunFolder, source: RunFolder, system: PlanningSystem, record: Record) -> Record:
    """An episode's record by the protocol and scorecard of `target`; its plans are written first."""
    solved = replay.stored_fluences(source, record) if record["steps"] else []
    made = zip(record["steps"], solved, replay.stored_deliveries(source, record) if solved else [], strict=True)
    plans = [replay.judged_again(system, step, fluence, delivery) for step, fluence, delivery in made]
    came_to = runner.outcome([plan.summary() for plan in plans])
    against = delivered = None
    if (chosen := came_to["handed_over"]) is not None:
        plans[chosen] = system.with_rounding(plans[chosen])
        delivered = _delivered(source, system, record, chosen, plans[chosen])
        runner.keep(target, key_of(record), plans, delivered or plans[chosen])
        against = system.against_reference(delivered or plans[chosen])
    steps: list[Any] = [
        {**step, **{name: value for name, value in plan.summary().items() if name in replay.JUDGED}}
        for step, plan in zip(record["steps"], plans, strict=True)
    ]
    return {
        **record,
        **came_to,
        **runner.told_of(delivered),
        "against_reference": against,
        "protocol": target.settings.protocol.name,
        "scorecard": system.scorecard.identity,
        "steps": steps,
        "rescored": {
            "from": str(source.path),
            "by": judges(target.settings),
            "was": judges(source.settings),
        },
    }


def _delivered(source: RunFolder, system: PlanningSystem, record: Record, chosen: int, plan: Plan) -> Plan | None:
    """The plan handed over as it is delivered: by its stored apertures, where it is the same solve as before."""
    delivery = source.settings.delivery
    if delivery is None:
        return None
    if chosen == record["handed_over"]:
        stored = Plan.load(source.plan_path(key_of(record))).delivery
        if stored is None:
            raise UnusableError("the plan handed over has no apertures")
        return replay.delivered_again(system, plan, stored)
    return runner.deliver(source.settings, system, plan)


def judges(settings: Settings) -> str:
    """By what the plans of a run are judged; the protocol's digest counts its section of the scorecard."""
    scorecard = settings.scorecard
    protocol = f"protocol {settings.protocol.name} (digest {settings.protocol_digest[:12]})"
    return f"scorecard {scorecard.name} (digest {scorecard.digest[:12]}) and {protocol}"
