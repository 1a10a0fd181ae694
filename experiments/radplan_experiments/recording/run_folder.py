"""Results on disk: a folder that can be killed at any moment and continued.

DIR/run.json          the settings, fixed when the folder is made
DIR/protocol.yaml     the protocol that the run's plans are made and judged by
DIR/machine.yaml      the machine that delivers them, where one does
DIR/episodes.jsonl    one JSON object per episode, appended when the episode is over
DIR/failures.txt      the tracebacks of the episodes that agents failed in
DIR/set_aside.jsonl   lines of episodes.jsonl that could not be read; never used, never deleted
DIR/cases/            what is known of each case before an agent sees it, its reference plan among it
DIR/plans/            the plan that each episode handed over, whole
DIR/fluences/         the fluence of every solve of each episode: any of its plans can be had again from it
DIR/apertures/        the apertures of every solve of each episode, where each is delivered
DIR/transcripts/      what language models were shown and said, by agent, case and seed
DIR/replies.sqlite, DIR/llm_calls.sqlite
                      the replies themselves, and what was paid for them
DIR/report.html, DIR/figures/, DIR/tables/, DIR/tables.md
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from radplan_env.delivery.machine import read_machine
from radplan_env.protocol import ProtocolError, load_protocol
from radplan_experiments.recording.records import FAILED, SCHEMA, Key, Record, key_of, parse
from radplan_experiments.recording.settings import Settings, different_settings
from radplan_experiments.writing import UNFINISHED, slug, write_atomically, write_json, write_text

PROTOCOL, MACHINE = "protocol.yaml", "machine.yaml"


class RunFolderError(Exception):
    """The folder cannot be used for this run; the message says why and what to do."""


@dataclass
class RunFolder:
    """A run's folder, open for appending. Make one with `open_run_folder`.

    Parameters
    ----------
    path, settings
        The folder and what its run is.
    records : dict
        Episodes recorded, by agent, case and seed.
    set_aside : int
        Lines of episodes.jsonl that are not used.
    present_digests : Mapping[str, str]
        While it is played in: digests of the code of the user's own agents, by name (see `own_agents`).
    """

    path: Path
    settings: Settings
    records: dict[Key, Record] = field(default_factory=dict)
    set_aside: int = 0
    present_digests: Mapping[str, str] = field(default_factory=dict)

    @property
    def episodes_path(self) -> Path:
        return self.path / "episodes.jsonl"

    def plan_path(self, key: Key) -> Path:
        agent, case, seed = key
        return self.path / "plans" / slug(agent) / slug(case) / f"seed_{seed}.npz"

    def fluences_path(self, key: Key) -> Path:
        agent, case, seed = key
        return self.path / "fluences" / slug(agent) / slug(case) / f"seed_{seed}.npz"

    def apertures_path(self, key: Key) -> Path:
        agent, case, seed = key
        return self.path / "apertures" / slug(agent) / slug(case) / f"seed_{seed}.npz"

    def transcript_path(self, key: Key) -> Path:
        agent, case, seed = key
        return self.path / "transcripts" / slug(agent) / slug(case) / f"seed_{seed}"

    def case_path(self, case: str) -> Path:
        return self.path / "cases" / f"{slug(case)}.json"

    def known_cases(self) -> dict[str, dict[str, Any]]:
        """What is known of the run's cases, by id, of those that have been prepared."""
        paths = {case: self.case_path(case) for case in self.settings.cases}
        return {case: json.loads(path.read_text(encoding="utf-8")) for case, path in paths.items() if path.exists()}

    def todo(self) -> list[Key]:
        """Episodes that have no record yet."""
        return [key for key in self.settings.episodes() if key not in self.records]

    def append(self, record: Record) -> None:
        """Add one episode's record: whole and on the disk when this returns.

        Raises
        ------
        OSError
            If the disk is full or the folder no longer writable; what was recorded before stays whole.
        """
        line = json.dumps({"schema": SCHEMA, **record}, allow_nan=False).encode() + b"\n"
        with self.episodes_path.open("ab", buffering=0) as file:
            end = file.tell()
            try:
                if file.write(line) != len(line):
                    raise OSError(f"{self.episodes_path} took only part of a record: is the disk full?")
                os.fsync(file.fileno())
            except OSError:
                file.truncate(end)
                raise
        self.records[key_of(record)] = record


@contextmanager
def open_run_folder(
    path: Path,
    settings: Settings,
    *,
    command: str = "",
    versions: dict[str, str] | None = None,
    retry_failed: bool = False,
) -> Iterator[RunFolder]:
    """Make the folder of a run, or take up one that was left, and keep other runs out of it meanwhile.

    Parameters
    ----------
    path, settings
        The folder and what its run is. A folder without any episode is given over to the run.
    command, versions
        Noted in run.json when the folder is made.
    retry_failed : bool
        Whether episodes that failed are to be played again.

    Raises
    ------
    RunFolderError
        If the folder holds a run of other settings or another schema, something that is no run, is in use by
        another process, or cannot be read or written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path / ".lock", timeout=0)
        lock.acquire()
    except Timeout:
        raise RunFolderError(f"another run is writing to {path}; wait for it, or give another --out") from None
    except OSError as error:
        raise RunFolderError(f"cannot write to {path}: {error.strerror or error}") from error
    try:
        _check_settings(path, settings, command, versions or {})
        for left_behind in path.rglob(f"{UNFINISHED}*"):  # by a run that was killed
            left_behind.unlink()
        folder = RunFolder(path, settings)
        _read_records(folder, retry_failed)
        yield folder
    finally:
        lock.release()


def _check_settings(path: Path, settings: Settings, command: str, versions: dict[str, str]) -> None:
    """See that the folder is the run's; one of other settings is given over to it as long as nothing was played."""
    file, episodes = path / "run.json", path / "episodes.jsonl"
    played = episodes.exists() and episodes.stat().st_size > 0
    if not file.exists() and played:
        raise RunFolderError(f"{path} holds episodes but no run.json that says of which run; give another --out")
    if file.exists():
        differing = different_settings(read_settings(path), settings.to_json())
        if not differing:
            return
        if played:
            raise RunFolderError(
                f"{path} holds a run of other settings ({'; '.join(differing)}); "
                "repeat its settings to continue it, or give another --out"
            )
        for prepared in (path / "cases").glob("*.json"):
            prepared.unlink()
    write_text(path / PROTOCOL, settings.protocol.to_yaml())
    if settings.delivery is not None:
        write_text(path / MACHINE, settings.delivery.chosen_machine.to_yaml())
    write_json(file, {"schema": SCHEMA, "settings": settings.to_json(), "command": command, "versions": versions})


def read_settings(path: Path) -> dict[str, Any]:
    """The settings of the run in a folder, as `Settings.to_json` gives them.

    Raises
    ------
    RunFolderError
        If there is no run of this format.
    """
    try:
        stored = json.loads((path / "run.json").read_text(encoding="utf-8"))
        schema, settings = stored["schema"], dict(stored["settings"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunFolderError(f"cannot read {path / 'run.json'}: {error}; give another folder") from error
    if schema != SCHEMA:
        raise RunFolderError(f"{path} was written in format {schema}, this is format {SCHEMA}; give another folder")
    return settings


def read_run_folder(path: Path) -> RunFolder:
    """A run's folder to read, not to play in: nothing in it is changed, and a run that plays in it goes on.

    `set_aside` counts the lines of episodes.jsonl that are no episodes of the run.

    Raises
    ------
    RunFolderError
        If there is no run of this format.
    """
    stored = read_settings(path)
    try:
        machine = None if stored["delivery"] is None else read_machine(path / MACHINE)
        folder = RunFolder(path, Settings.from_json(stored, load_protocol(path / PROTOCOL), machine))
    except (ProtocolError, ValueError) as error:
        raise RunFolderError(str(error)) from error
    except (TypeError, KeyError) as error:
        raise RunFolderError(f"cannot read {path / 'run.json'}: {error}; give another folder") from error
    if folder.settings.protocol_digest != stored["protocol_digest"]:
        raise RunFolderError(f"{path / PROTOCOL} is not the protocol that {path / 'run.json'} names: restore it")
    if machine is not None and machine.digest != stored["delivery"]["digest"]:
        raise RunFolderError(f"{path / MACHINE} is not the machine that {path / 'run.json'} names: restore it")
    kept, aside = _sorted_lines(folder, retry_failed=False)
    folder.records = {key_of(record): record for record in kept.values()}
    folder.set_aside = len(aside)
    return folder


def _read_records(folder: RunFolder, retry_failed: bool) -> None:
    """Load the episodes; move lines that are none of ours, or to be played again, to set_aside.jsonl."""
    file = folder.episodes_path
    if not file.exists():
        return
    kept, aside = _sorted_lines(folder, retry_failed)
    folder.records = {key_of(record): record for record in kept.values()}
    folder.set_aside = len(aside)
    if aside:
        with (folder.path / "set_aside.jsonl").open("ab") as other:
            other.writelines(line + b"\n" for line in aside)
            other.flush()
            os.fsync(other.fileno())
    whole = b"".join(line + b"\n" for line in kept)
    if whole != file.read_bytes():
        write_atomically(file, lambda temporary: temporary.write_bytes(whole))


def _sorted_lines(folder: RunFolder, retry_failed: bool) -> tuple[dict[bytes, Record], list[bytes]]:
    """The lines of episodes.jsonl that hold the run's episodes, and the others."""
    expected = set(folder.settings.episodes())
    kept: dict[bytes, Record] = {}
    aside = []
    content = folder.episodes_path.read_bytes() if folder.episodes_path.exists() else b""
    for line in content.split(b"\n"):
        record = parse(line)
        if record is not None and key_of(record) in expected and not (retry_failed and record["status"] == FAILED):
            kept[line] = record
            expected.remove(key_of(record))
        elif line.strip():
            aside.append(line)
    return kept, aside
