"""An episode's record: a line of episodes.jsonl."""

from __future__ import annotations

import json
from typing import Any

SCHEMA = 2
COMPLETE = "complete"
FAILED = "failed"
CIRCUMSTANCES = ("seconds", "ran_on", "command")
"""What of a record tells how it came about; all else is the same wherever and however often a run is started."""

Record = dict[str, Any]
"""An episode, a line of episodes.jsonl. Of its fields:

- status, error: "complete" and null, or "failed" and the message, place and traceback.
- steps: a plan summary for each solve, in order, those before a failure too.
- handed_over: which of the steps the episode hands over. It counts from 0, where figures and reports say "solve 1".
  Null where there is no step.
- best_score, final_score: the highest of the steps' scores, and the last.
- agent_record: what the agent's `record()` returned, null where it says nothing.
"""
Key = tuple[str, str, int]


def key_of(record: Record) -> Key:
    """The (agent, case, seed) that a record is of."""
    return record["agent"], record["case"], record["seed"]


def parse(line: bytes) -> Record | None:
    """The record in a line, or None where it is cut short or no record of this schema."""
    try:
        record = json.loads(line)
        agent, case, seed = key_of(record)
    except (ValueError, KeyError, TypeError):
        return None
    whole = record.get("schema") == SCHEMA and record.get("status") in (COMPLETE, FAILED)
    return record if whole and isinstance(agent, str) and isinstance(case, str) and isinstance(seed, int) else None
