"""Tables of what the agents' plans took: beside the scores, never inside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from radplan_agents.registry import track_of
from radplan_experiments.recording.ranking import best_points
from radplan_experiments.recording.records import Record, plans_that_count
from radplan_experiments.recording.settings import Settings
from radplan_experiments.reporting import frames
from radplan_experiments.reporting.tables.table import TRACKS, UNKNOWN, Table, known_columns, mean_or_nan, told
from radplan_experiments.writing import slug

USAGE = ("prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens")
SESSION = {
    "usage",
    "cost_usd",
    "calls",
    "calls_with_pictures",
    "calls_with_pictures_seen",
    "failed_questions",
    "faults",
    "adaptations",
}


def effort(settings: Settings, records: Sequence[Record]) -> Table:
    """Solves, training solves, tokens, money and wall-clock time of an episode."""
    rows = []
    for agent in settings.agents:
        episodes = [record for record in records if record["agent"] == agent]
        if not episodes:
            continue
        solves = [len(record["steps"]) for record in episodes]
        seconds = [record["seconds"] for record in episodes]
        said = [own for record in episodes if (own := _said(record)) is not None]
        rows.append(
            {
                "method": agent,
                "track": track_of(agent),
                "best score": mean_or_nan(
                    [best_points(plans_that_count(record)) for record in frames.complete(episodes)]
                ),
                "episodes": len(episodes),
                "solves": mean_or_nan(solves),
                "training solves": told(episodes, "training_solves"),
                "prompt tokens": _mean_known([own["usage"]["prompt_tokens"] for own in said]),
                "completion tokens": _mean_known([own["usage"]["completion_tokens"] for own in said]),
                "cost [USD]": _mean_known([own["cost_usd"] for own in said]),
                "agent's CPU [s]": mean_or_nan(_known(record.get("agent_cpu_seconds") for record in episodes)),
                "wall-clock [s]": mean_or_nan(seconds),
                "per solve [s]": sum(seconds) / sum(solves) if any(solves) else np.nan,
            }
        )
    frame = known_columns(pd.DataFrame(rows))
    note = (
        f"Means over episodes, failed ones too but for the score; {UNKNOWN} where there is none or it is not known. "
        "Training solves are those that a policy learned from, once. Seconds are of the machines that played, whatever "
        "else they did, the agent's thinking included and the dose-influence matrix not: they differ from run to run. "
        f"{TRACKS} The agent's CPU seconds are those of its process."
    )
    decimals = {"training solves": 0, "prompt tokens": 0, "completion tokens": 0, "cost [USD]": 4, "per solve [s]": 2}
    return Table("effort", "What an episode took", note, frame, 1, decimals)


def language_model(settings: Settings, records: Sequence[Record]) -> Table:
    """What the agents that talk to a language model used, cost and met with."""
    rows = []
    for agent in settings.agents:
        said = [record for record in records if record["agent"] == agent and _said(record) is not None]
        if not said:
            continue
        scores = [best_points(plans_that_count(r)) for r in frames.complete(said)]
        episodes = [own for record in said if (own := _said(record)) is not None]
        faults = _added(episode["faults"] for episode in episodes)
        adapted = _added(episode["adaptations"] for episode in episodes)
        asked = sum(episode["calls_with_pictures"] for episode in episodes)
        seen = sum(episode["calls_with_pictures_seen"] for episode in episodes)
        tokens = {name: _mean_known([e["usage"][name] for e in episodes]) for name in USAGE}
        rows.append(
            {
                "method": agent,
                "best score": mean_or_nan(scores),
                "episodes": len(episodes),
                "calls": mean_or_nan([episode["calls"] for episode in episodes]),
                **{name.replace("_", " "): mean for name, mean in tokens.items()},
                "cost [USD]": _mean_known([episode["cost_usd"] for episode in episodes]),
                "failed questions": mean_or_nan([episode["failed_questions"] for episode in episodes]),
                "pictures seen": f"{seen} of {asked} calls" if asked else "none shown",
                "faults": _counted(faults),
                "adapted": _counted(adapted),
                "transcripts": f"[transcripts](transcripts/{slug(agent)})",
            }
        )
    note = (
        f"Means over episodes, failed ones too, but for the score; {UNKNOWN} where the service does not say. What was "
        "answered from kept replies counts as on the day it was paid for. Pictures and faults are added up; a fault is "
        "a reply, or a want of one, that made the agent ask again, a failed question one that never got a usable "
        "reply. Adapted is what a service refused or put in an odd place, or a model thought aloud, and was dealt "
        "with."
    )
    one = dict.fromkeys(("best score", "calls", "failed questions"), 1)
    return Table("language_model", "Language model", note, pd.DataFrame(rows), 0, {**one, "cost [USD]": 4})


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _added(counts: Iterable[Mapping[str, int]]) -> Counter[str]:
    return sum(map(Counter, counts), Counter[str]())


def _counted(names: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(names.items())) or "none"


def _said(record: Record) -> dict[str, Any] | None:
    """What an agent says of an episode, if it is what `radplan_agents.llm.Session.record` tells."""
    said = record["agent_record"] or {}
    told = said.keys() >= SESSION and isinstance(said["usage"], dict) and said["usage"].keys() >= set(USAGE)
    return said if told else None


def _mean_known(values: Sequence[float | None]) -> float:
    """The mean, NaN where any is not known."""
    return float("nan") if None in values else mean_or_nan([value for value in values if value is not None])
