"""Sends the cases and episodes of a run to its workers, and puts what comes back into the run's folder.

Workers write nothing there but language models' transcripts: an episode's files come back with its record, from
other machines too, and are written before it.
"""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from tempfile import gettempdir
from typing import TypeVar
from uuid import uuid4

from radplan_agents.agent import EpisodeInterruptedError
from radplan_experiments.recording.records import Key, Record
from radplan_experiments.recording.run_folder import RunFolder
from radplan_experiments.recording.settings import Settings
from radplan_experiments.running import runner
from radplan_experiments.running.backends import Backend, progress
from radplan_experiments.running.language_model import LanguageModel
from radplan_experiments.writing import write_atomically

Files = dict[str, bytes]
"""Contents of files by their path in a run's folder."""

Result = TypeVar("Result")


def prepare_all(backend: Backend, folder: RunFolder) -> dict[str, str]:
    """Prepare every case that still has episodes to play; return what went wrong, by case.

    Raises
    ------
    OSError
        If it is the machine's fault, not the case's.
    """
    todo = dict.fromkeys(case for _, case, _ in folder.todo())
    cases = [case for case in todo if not folder.case_path(case).exists()]
    failed = {}
    with progress(len(cases), "dose influence", "case") as bar:
        for outcome in backend.run(partial(_prepare, folder.settings), cases):
            if isinstance(outcome.error, OSError):
                raise outcome.error
            if outcome.error is not None:
                failed[outcome.task] = f"{type(outcome.error).__name__}: {outcome.error}"
            else:
                _write(folder, outcome.result())
            bar.update()
    return failed


def play_all(
    backend: Backend, folder: RunFolder, keys: Sequence[Key], command: str, model: LanguageModel | None = None
) -> None:
    """Play episodes and record each when it is over.

    Raises
    ------
    EpisodeInterruptedError
        If an episode cannot go on; those under way come to their end first, so that their work is not lost.
    """
    interruption: EpisodeInterruptedError | None = None
    solves = 0

    def until_interrupted() -> Iterator[Key]:
        for key in keys:
            if interruption is not None:
                return
            yield key

    with progress(len(keys), "episodes", "episode") as bar:
        for outcome in backend.run(partial(_play, folder.settings, model), until_interrupted()):
            try:
                record, files = outcome.result()
            except EpisodeInterruptedError as error:
                interruption = interruption or error
                continue
            _write(folder, files)
            folder.append({**record, "ran_on": outcome.ran_on, "command": command})
            solves += len(record["steps"])
            bar.set_postfix(solves=solves, refresh=False)
            bar.update()
    if interruption is not None:
        raise interruption


def _prepare(settings: Settings, case: str) -> Files:
    """`runner.prepare`, on a worker."""
    return _apart(settings, lambda folder: runner.prepare(settings, case, folder.case_path(case)))[1]


def _play(settings: Settings, model: LanguageModel | None, key: Key) -> tuple[Record, Files]:
    """`runner.play`, on a worker."""
    return _apart(settings, lambda folder: runner.play(folder, key, model))


def _apart(settings: Settings, work: Callable[[RunFolder], Result]) -> tuple[Result, Files]:
    """Work on a folder that is there for this alone; return also what was written into it."""
    for path in settings.data:
        if not Path(path).exists():
            raise FileNotFoundError(f"{platform.node()} has no {path}: every machine of a run needs its data there")
    scratch = Path(gettempdir()) / f"radplan-{uuid4().hex}"  # not made before there is something to write
    try:
        result = work(RunFolder(scratch, settings))
        written = (path for path in scratch.rglob("*") if path.is_file())
        return result, {str(path.relative_to(scratch)): path.read_bytes() for path in written}
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _write(folder: RunFolder, files: Files) -> None:
    for name, content in files.items():
        write_atomically(folder.path / name, partial(Path.write_bytes, data=content))
