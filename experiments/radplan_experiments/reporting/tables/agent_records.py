"""What agents say of their episodes themselves."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from radplan_experiments.recording.records import Record
from radplan_experiments.recording.settings import Settings
from radplan_experiments.reporting.tables.table import Table

SHOWN_ELSEWHERE = frozenset(
    {
        *("training_solves", "distance_gy"),  # in the overview
        *("calls", "calls_from_cache", "calls_with_pictures", "calls_with_pictures_seen", "failed_questions"),
        *("faults", "adaptations", "usage", "cost_usd", "models", "vision"),  # of the language model
    }
)
LONGEST = 60
"""Characters of a text that are shown."""

Said = int | float | str


def agent_records(settings: Settings, records: Sequence[Record]) -> Table:
    """Numbers and texts in what an agent's `record()` returns, over its episodes; lists are counted."""
    rows = []
    for agent in settings.agents:
        said = [r["agent_record"] for r in records if r["agent"] == agent and r.get("agent_record")]
        for name, values in _by_name(said).items():
            numbers = [value for value in values if not isinstance(value, str)]
            texts = [value for value in values if isinstance(value, str)]
            row = {"agent": agent, "said": name, "episodes": len(values), **_summary(numbers), "text": _text(texts)}
            rows.append(row)
    note = (
        "What the agents say of their episodes, failed ones too, for what it is worth: nobody checks it. Of a list the "
        "number of entries; of texts that differ, how many there are. What stands in lists, the rest of long texts and "
        "nulls are left out. All of it lies in episodes.jsonl, under agent_record."
    )
    frame = pd.DataFrame(rows, dtype=object)  # whole numbers stay whole
    if not frame.empty and frame["text"].isna().all():
        frame = frame.drop(columns="text")
    return Table("agent_records", "What agents say of their episodes", note, frame)


def _summary(numbers: Sequence[int | float]) -> dict[str, int | float]:
    if not numbers:
        return dict.fromkeys(("mean", "lowest", "highest", "sum"), np.nan)
    total = sum(numbers)
    mean = total / len(numbers)
    whole = isinstance(total, int) and mean.is_integer()
    return {"mean": int(mean) if whole else mean, "lowest": min(numbers), "highest": max(numbers), "sum": total}


def _text(texts: Sequence[str]) -> str | float:
    """The text that all episodes agree in, else how many different ones there are; NaN where there is none."""
    if not texts:
        return np.nan
    different = len(set(texts))
    return f"{different} different" if different > 1 else textwrap.shorten(texts[0], LONGEST, placeholder=" …")


def _by_name(said: Sequence[Any]) -> dict[str, list[Said]]:
    found: dict[str, list[Said]] = {}
    for own in said:
        for name, value in _values(own):
            if name.partition(".")[0].partition(", entries")[0] not in SHOWN_ELSEWHERE:
                found.setdefault(name, []).append(value)
    return found


def _values(value: Any, name: str = "") -> Iterator[tuple[str, Said]]:
    """Numbers and texts by name, those inside of others as "outer.inner"."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _values(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list):
        yield f"{name}, entries".removeprefix(", "), len(value)
    elif isinstance(value, bool):
        yield name or "record", int(value)
    elif isinstance(value, int | float | str):
        yield name or "record", value
