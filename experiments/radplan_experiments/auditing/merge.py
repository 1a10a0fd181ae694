"""Results folders of the same settings, but other agents, cases or seeds, put together into one."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from radplan_experiments.auditing.copying import add_calls, copy_file, copy_transcript, new_run_folder
from radplan_experiments.recording.records import Key
from radplan_experiments.recording.run_folder import RunFolder, RunFolderError, read_run_folder
from radplan_experiments.recording.settings import Settings, different_settings
from radplan_experiments.reporting import report

EXTENT = ("agents", "cases", "seeds", "deterministic", "suite")
"""Settings in which folders may differ: they say how much was played, not how."""

MODEL = ("model", "instructions", "library")
"""Settings on which a run without a language model is silent."""


def merge(paths: Sequence[Path], out: Path, *, command: str = "", draw: bool = True) -> int:
    """Merge results folders and report on the whole; return the exit code.

    An episode that several folders hold must be the same in each; it counts once. What was paid for a language model is
    added up.

    Parameters
    ----------
    paths : sequence of Path
        Two or more results folders; nothing in them is changed.
    out : Path
        Folder for the result; it must not hold a run yet.
    command : str
        Noted in run.json.
    draw : bool
        Whether the report has figures.

    Raises
    ------
    RunFolderError
        If the folders do not belong together; the message names what differs.
    """
    if len(paths) < 2:
        raise RunFolderError("merging takes two results folders or more")
    sources = [read_run_folder(path) for path in paths]
    settings = merged_settings(sources)
    cases = {case: source for case in settings.cases if (source := _holder_of_case(sources, case))}
    episodes = {key: source for key in settings.episodes() if (source := _holder_of_episode(sources, key))}
    with new_run_folder(out, settings, command) as target:
        for case, source in cases.items():
            copy_file(source.case_path(case), target.case_path(case))
        for key, source in tqdm(episodes.items(), desc="merge", unit="episode", file=sys.stderr):
            copy_file(source.fluences_path(key), target.fluences_path(key))
            copy_file(source.apertures_path(key), target.apertures_path(key))
            copy_file(source.plan_path(key), target.plan_path(key))
            copy_transcript(source, target, key)
            target.append(source.records[key])
        for source in sources:
            add_calls(source, target)
        print(report.write(target, {}, draw=draw))
    return 0


def merged_settings(sources: Sequence[RunFolder]) -> Settings:
    """The settings of the whole: every agent, case and seed of its parts.

    Raises
    ------
    RunFolderError
        If the parts differ in anything else.
    """
    # With a language model, if any part has one: the others are silent on it.
    first = next((source for source in sources if source.settings.model is not None), sources[0])
    for source in sources:
        differing = different_settings(first.settings.to_json(), _as_far_as_it_says(source.settings, first.settings))
        differing += [
            f"{agent} plays each case once in one of them only"
            for agent in set(first.settings.agents) & set(source.settings.agents)
            if (agent in first.settings.deterministic) != (agent in source.settings.deterministic)
        ]
        if differing:
            raise RunFolderError(f"{first.path} and {source.path} do not belong together: {'; '.join(differing)}")
    every = [source.settings for source in sources]
    suites = {settings.suite for settings in every}
    return replace(
        first.settings,
        agents=_union(settings.agents for settings in every),
        cases=_union(settings.cases for settings in every),
        deterministic=_union(settings.deterministic for settings in every),
        seeds=max(settings.seeds for settings in every),
        suite=suites.pop() if len(suites) == 1 else None,
    )


def _as_far_as_it_says(settings: Settings, first: Settings) -> dict[str, Any]:
    """Settings as JSON, those of `first` where the two may differ."""
    free = EXTENT if settings.model is not None else (*EXTENT, *MODEL)
    # OpenKBP's ids say which patient it is, wherever the data lie; files given one by one are known by their place.
    free = (*free, "data") if settings.source == "openkbp" else free
    return replace(settings, **{name: getattr(first, name) for name in free}).to_json()


def _union(every: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """What is in any, each once, in the order of their first appearance."""
    return tuple(dict.fromkeys(each for names in every for each in names))


def _holder_of_case(sources: Sequence[RunFolder], case: str) -> RunFolder | None:
    """The first folder that knows a case.

    Raises
    ------
    RunFolderError
        If two know it differently, or one's file cannot be read.
    """
    holders = [source for source in sources if source.case_path(case).exists()]
    if any(_facts(source, case) != _facts(holders[0], case) for source in holders):
        paths = " and ".join(str(source.path) for source in holders)
        raise RunFolderError(f"case {case} is not the same in {paths}, or judged differently")
    return holders[0] if holders else None


def _facts(source: RunFolder, case: str) -> Any:
    path = source.case_path(case)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{path} cannot be read: {error}") from error


def _holder_of_episode(sources: Sequence[RunFolder], key: Key) -> RunFolder | None:
    """The first folder that holds an episode.

    Raises
    ------
    RunFolderError
        If two hold it and it went differently.
    """
    holders = [source for source in sources if key in source.records]
    told = ("status", "steps", "delivered_plan")
    went = [[source.records[key].get(name) for name in told] for source in holders]
    for other, source in zip(went, holders, strict=True):
        if other != went[0]:
            agent, case, seed = key
            raise RunFolderError(
                f"{agent} on {case}, seed {seed}, went differently in {holders[0].path} and {source.path}: "
                "leave it out of one of them"
            )
    return holders[0] if holders else None
