"""What agents say of their episodes themselves, as numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from experiments.recording.records import Record, Settings
from experiments.reporting.tables.table import Table

SHOWN_ELSEWHERE = frozenset(
    {
        *("training_solves", "distance_gy"),  # in the overview
        *("calls", "calls_from_cache", "calls_with_pictures", "calls_with_pictures_seen", "failed_questions"),
        *("faults", "adaptations", "usage", "cost_usd", "models", "vision"),  # of the language model
    }
)


def agent_records(settings: Settings, records: Sequence[Record]) -> Table:
    """Every number in what an agent's `record()` returns, over its episodes; lists are counted, text is left out."""
    rows = []
    for agent in settings.agents:
        said = [r["agent_record"] for r in records if r["agent"] == agent and r.get("agent_record")]
        for name, values in _by_name(said).items():
            rows.append(
                {
                    "agent": agent,
                    "said": name,
                    "episodes": len(values),
                    "mean": float(np.mean(values)),
                    "lowest": float(min(values)),
                    "highest": float(max(values)),
                    "sum": float(sum(values)),
                }
            )
    note = (
        "Numbers that the agents give of their episodes, failed ones too, for what they are worth: nobody checks them. "
        "Of lists the number of entries. The rest lies in episodes.jsonl, under agent_record."
    )
    return Table("agent_records", "What agents say of their episodes", note, pd.DataFrame(rows))


def _by_name(said: Sequence[Any]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for own in said:
        for name, value in _numbers(own):
            if name.partition(".")[0].partition(", entries")[0] not in SHOWN_ELSEWHERE:
                found.setdefault(name, []).append(value)
    return found


def _numbers(value: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Numbers by name, those inside of others as "outer.inner"."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _numbers(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list):
        yield f"{name}, entries".removeprefix(", "), len(value)
    elif isinstance(value, int | float):
        yield name or "record", float(value)
