"""Results folders made of others: refused where there is one already, and what is copied."""

from __future__ import annotations

import shutil
from contextlib import AbstractContextManager
from pathlib import Path

from radplan_agents.llm.cache import ReplyStore
from radplan_agents.llm.metering import Ledger
from radplan_experiments.recording.records import Key
from radplan_experiments.recording.run_folder import RunFolder, RunFolderError, open_run_folder
from radplan_experiments.recording.settings import Settings
from radplan_experiments.running import runner
from radplan_experiments.writing import write_atomically

LEDGER, REPLIES = "llm_calls.sqlite", "replies.sqlite"


def new_run_folder(path: Path, settings: Settings, command: str) -> AbstractContextManager[RunFolder]:
    """Make the folder of a run; see `open_run_folder`.

    Raises
    ------
    RunFolderError
        If it holds a run already.
    """
    if any((path / name).exists() for name in ("run.json", "episodes.jsonl")):
        raise RunFolderError(f"{path} holds a run already; give another --out")
    return open_run_folder(path, settings, command=command, versions=runner.versions())


def copy_file(source: Path, target: Path) -> None:
    """Copy a file, if it is there."""
    if source.exists():
        write_atomically(target, lambda temporary: shutil.copyfile(source, temporary))


def copy_transcript(source: RunFolder, target: RunFolder, key: Key) -> None:
    """Copy what a language model was shown and said in an episode, if it was."""
    if (path := source.transcript_path(key)).is_dir():
        shutil.copytree(path, target.transcript_path(key), dirs_exist_ok=True)


def add_calls(source: RunFolder, target: RunFolder) -> None:
    """Add replies of a language model, and what was paid for them, to those that are there."""
    if (source.path / LEDGER).exists():
        Ledger(target.path / LEDGER).add_all(Ledger(source.path / LEDGER))
    if (source.path / REPLIES).exists():
        ReplyStore(target.path / REPLIES).add_all(ReplyStore(source.path / REPLIES))
