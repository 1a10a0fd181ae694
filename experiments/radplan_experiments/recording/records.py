"""An episode's record: a line of episodes.jsonl."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

from radplan_agents.registry import Track
from radplan_env.info import DeliverySummary, PlanSummary
from radplan_env.scorecards import ScorecardIdentity
from radplan_env.verdict.against_reference import AgainstReference

SCHEMA = 2
COMPLETE = "complete"
FAILED = "failed"
CIRCUMSTANCES = ("seconds", "agent_cpu_seconds", "ran_on", "command")
"""What of a record tells how it came about; all else is the same wherever and however often a run is started."""


class Failure(TypedDict):
    """What an episode failed with: the message, the place in the agent's file, the traceback."""

    message: str
    at: NotRequired[str | None]
    traceback: str


class Outcome(TypedDict):
    """What an episode comes to, from the summaries of its plans; None where it has none."""

    best_score: float | None
    """Score of the best of the steps; one that the screen refuses ranks below all others (see `recording.ranking`)."""
    final_score: float | None
    handed_over: int | None
    """Which of the steps the episode hands over. It counts from 0, where figures and reports say "solve 1"."""


class Delivered(TypedDict):
    """What a record says of the delivered plan that an episode hands over; None of a run of ideal plans."""

    delivered: DeliverySummary | None
    """How it is delivered, and what the verdict says of that."""
    delivered_plan: PlanSummary | None
    """Its whole summary; the step that it was made from may be ideal."""


class EpisodeRecord(Outcome, Delivered):
    """An episode, a line of episodes.jsonl."""

    schema: NotRequired[int]
    status: str
    """"complete" or "failed"."""
    error: Failure | None
    agent: str
    case: str
    seed: int
    site: str
    protocol: str
    """The protocol's name; DIR/protocol.yaml holds the rest."""
    scorecard: ScorecardIdentity
    fidelity: str
    budget: int
    steps: list[PlanSummary]
    """A plan summary for each solve, in order, those before a failure too."""
    against_reference: NotRequired[AgainstReference | None]
    """The plan handed over and the case's reference plan, like with like; None where there is no reference."""
    agent_record: dict[str, Any] | None
    """What the agent's `record()` returned; None where it says nothing."""
    agent_source: NotRequired[str | None]
    track: NotRequired[Track]
    """See `radplan_agents.registry.track_of`."""
    seconds: float
    agent_cpu_seconds: NotRequired[float | None]
    """Of an agent in a process of its own; None where they are not known."""
    versions: dict[str, str]
    ran_on: NotRequired[dict[str, str]]
    command: NotRequired[str]
    rescored: NotRequired[dict[str, str]]


Record = EpisodeRecord

Key = tuple[str, str, int]


def key_of(record: Record) -> Key:
    """The (agent, case, seed) that a record is of."""
    return record["agent"], record["case"], record["seed"]


def handed_over(record: Record) -> int:
    """Which of the steps an episode hands over, counted from 0.

    Raises
    ------
    ValueError
        If it made no plan.
    """
    if (chosen := record["handed_over"]) is None:
        raise ValueError(f"{' '.join(map(str, key_of(record)))}: the episode made no plan")
    return chosen


def plan_handed_over(record: Record) -> PlanSummary:
    """The summary of the plan that an episode hands over, as it is delivered if it is; see `handed_over`."""
    return record.get("delivered_plan") or record["steps"][handed_over(record)]


def plans_that_count(record: Record) -> Sequence[PlanSummary]:
    """By what an episode is scored: every plan that it made, or the delivered one that it hands over."""
    delivered = record.get("delivered_plan")
    return record["steps"] if delivered is None else [delivered]


def parse(line: bytes) -> Record | None:
    """The record in a line, or None where it is cut short or no record of this schema."""
    try:
        record: Record = json.loads(line)
        agent, case, seed = key_of(record)
    except (ValueError, KeyError, TypeError):
        return None
    whole = record.get("schema") == SCHEMA and record.get("status") in (COMPLETE, FAILED)
    return record if whole and isinstance(agent, str) and isinstance(case, str) and isinstance(seed, int) else None
