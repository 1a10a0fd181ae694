"""How many plans the scorecard's screen refused, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from radplan_experiments.recording.ranking import reasons, refused
from radplan_experiments.recording.records import Record
from radplan_experiments.reporting import frames
from radplan_experiments.wording import counted

MOST_SHOWN = 3
"""Reasons that a sentence names."""


@dataclass(frozen=True)
class Refusals:
    """Plans and episodes that a screen judged, and what it refused.

    Parameters
    ----------
    plans, refused : int
        Plans judged, and refused.
    episodes, without : int
        Episodes with judged plans, and those of which every plan was refused.
    reasons : Counter of str
        Refused plans by reason; one plan may have several.
    """

    plans: int
    refused: int
    episodes: int
    without: int
    reasons: Counter[str]

    @property
    def most(self) -> str:
        """The most frequent reasons with their plans: "coverage 7, cord 5"."""
        ordered = sorted(self.reasons.items(), key=lambda item: (-item[1], item[0]))
        return ", ".join(f"{reason} {count}" for reason, count in ordered[:MOST_SHOWN])


def refusals(records: Iterable[Record]) -> Refusals:
    """Count what the screen refused in episodes that came to their end."""
    judged = [_judged(record) for record in frames.complete(records)]
    judged = [plans for plans in judged if plans]
    out = [plan for plans in judged for plan in plans if refused(plan)]
    return Refusals(
        plans=sum(map(len, judged)),
        refused=len(out),
        episodes=len(judged),
        without=sum(all(map(refused, plans)) for plans in judged),
        reasons=Counter(reason for plan in out for reason in reasons_of(plan)),
    )


def reasons_of(plan: Mapping[str, Any]) -> list[str]:
    """What a plan is refused for, in a word or two each: what stands before the colon of a reason, with its figures."""
    return list(dict.fromkeys(reason.partition(":")[0] for reason in reasons(plan)))


def sentence(records: Iterable[Record]) -> list[str]:
    """Say how many plans were refused and why; nothing where no plan was screened."""
    found = refusals(records)
    if not found.plans:
        return []
    if not found.refused:
        return [f"The screen refused none of {counted(found.plans, 'plan')}."]
    text = (
        f"The screen refused {found.refused} of {counted(found.plans, 'plan')} (most often: {found.most}). A refused "
        "plan ranks below all others: it counts 0 points, and enters no difference of points."
    )
    if found.without:
        text += f" In {found.without} of {counted(found.episodes, 'episode')} no plan passed it."
    return [text]


def _judged(record: Record) -> Sequence[Mapping[str, Any]]:
    return [step for step in record["steps"] if step.get("screened") is not None]
