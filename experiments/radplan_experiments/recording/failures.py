"""Episodes in which an agent failed: what went wrong, where in its code, and what to do."""

from __future__ import annotations

import traceback
from collections.abc import Iterable

from radplan_agents.registry import track_of
from radplan_experiments.recording.records import FAILED, Failure, Record, key_of
from radplan_experiments.recording.run_folder import RunFolder
from radplan_experiments.running.own_agents import source_file
from radplan_experiments.wording import counted
from radplan_experiments.writing import write_text

FILE = "failures.txt"


def failed(records: Iterable[Record]) -> list[Record]:
    """Records of failed episodes, in an order that does not depend on who was faster."""
    return sorted((record for record in records if record["status"] == FAILED), key=key_of)


def place(raised: BaseException, agent: str) -> str | None:
    """Where an exception left the file of an agent's class: "my_agent.py, line 30"; None if it came from elsewhere."""
    if (file := source_file(agent)) is None:
        return None
    found = [frame.lineno for frame in traceback.extract_tb(raised.__traceback__) if frame.filename == str(file)]
    return f"{file.name}, line {found[-1]}" if found else None


def message(record: Record) -> str:
    """What an agent failed with, and where in its code."""
    error = _error(record)
    at = error.get("at")
    return error["message"] + (f" ({at})" if at else "")


def episode(record: Record) -> str:
    """On which case and seed an agent failed, and after how many solves."""
    solves = len(record["steps"])
    when = f"after {counted(solves, 'solve')}" if solves else "before any solve"
    return f"{record['case']}, seed {record['seed']}, {when}"


def line(record: Record) -> str:
    """Which episode failed, when and why."""
    return f"{record['agent']} failed on {episode(record)}: {message(record)}"


def advice(where: str) -> str:
    """What to do, once `where` the tracebacks are is known."""
    return f"Tracebacks in {where}; once the agent is mended, the same command with --retry-failed plays these again."


def lines(records: Iterable[Record], where: str = FILE) -> list[str]:
    """Every failed episode, and what to do; nothing where none failed."""
    found = [line(record) for record in failed(records)]
    return [*found, advice(where)] if found else []


def gone_early(records: Iterable[Record]) -> list[str]:
    """Say which agents in processes of their own ended before their episode, and with which last words."""
    found = []
    for record in sorted(records, key=key_of):
        said = record["agent_record"] or {}
        if track_of(record["agent"]) == "ranked" and said.get("stopped") not in (None, "finished"):
            *_, last = (said.get("last_words") or "nothing on its standard error").splitlines()
            found.append(f"{record['agent']}, {record['case']}, seed {record['seed']}: {said['stopped']}; {last}")
    return found


def write_tracebacks(folder: RunFolder) -> None:
    """Write DIR/failures.txt: the traceback of every failed episode. There is no such file where none failed."""
    path, found = folder.path / FILE, failed(folder.records.values())
    if not found:
        path.unlink(missing_ok=True)
        return
    write_text(path, "\n".join(f"{line(record)}\n\n{_traceback(record)}\n" for record in found))


def _traceback(record: Record) -> str:
    return _error(record).get("traceback") or "No exception was raised.\n"


def _error(record: Record) -> Failure:
    if (error := record["error"]) is None:
        raise ValueError(f"{episode(record)}: the episode did not fail")
    return error
