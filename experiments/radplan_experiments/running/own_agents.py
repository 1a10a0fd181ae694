"""The code of an agent: where it lies, and which it was when it played, as one's own is edited between two runs."""

from __future__ import annotations

import hashlib
import inspect
import shlex
from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from radplan_agents.registry import COMMAND, REGISTRY, load_agent
from radplan_experiments.recording.records import COMPLETE, Record
from radplan_experiments.recording.run_folder import RunFolder
from radplan_experiments.recording.settings import Settings
from radplan_experiments.wording import counted


def source_file(agent: str) -> Path | None:
    """The file that defines an agent's class, or that a command names; None where there is no class or no file."""
    if agent.startswith(COMMAND):
        files = [Path(word) for word in shlex.split(agent.removeprefix(COMMAND)) if Path(word).is_file()]
        return files[-1] if files else None
    try:
        file = inspect.getsourcefile(load_agent(agent))
    except (Exception, SystemExit):  # a third party's module may raise anything; the episode's record says what
        return None
    return None if file is None else Path(file)


@cache
def source_digest(agent: str) -> str | None:
    """Digest of the file that defines the class of an agent of the user's own; None where there is no such file.

    None too for agents of this repository, whose version is recorded anyway. It is read once in a process, close to
    when the class is loaded.
    """
    if agent in REGISTRY.built_in or (file := source_file(agent)) is None or not file.exists():
        return None
    return hashlib.sha256(file.read_bytes()).hexdigest()


def present_digests(settings: Settings) -> dict[str, str]:
    """Digests of the agents of a run as their code is now, of those that have one."""
    digests = {agent: source_digest(agent) for agent in settings.agents}
    return {agent: digest for agent, digest in digests.items() if digest is not None}


def other_versions(folder: RunFolder, records: Iterable[Record]) -> list[str]:
    """Say which agents' episodes were not all played by the same code, or not by that which plays now."""
    records, found = list(records), []
    for agent in folder.settings.agents:
        own = [record for record in records if record["agent"] == agent and record["status"] == COMPLETE]
        played = Counter(record["agent_source"] for record in own if record.get("agent_source"))
        now = folder.present_digests.get(agent)
        if now is not None and (others := played.total() - played[now]):
            found.append(f"{agent} ({others} of {counted(len(own), 'episode')} played by earlier code)")
        elif now is None and len(played) > 1:
            found.append(f"{agent} ({len(own)} episodes by {len(played)} versions of it)")
    if not found:
        return []
    return [
        f"Code was edited between runs: {', '.join(found)}. For results of the present code alone give another --out."
    ]
