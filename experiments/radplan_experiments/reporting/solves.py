"""The solves of an episode in words: how each plan stands, and what was changed to make it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from radplan_agents.criteria import failing_names
from radplan_agents.plan_changes import moved_line, plan_changes
from radplan_env.planning import Summary
from radplan_experiments.recording.ranking import reasons


@dataclass(frozen=True)
class Solve:
    """A solve of an episode.

    Parameters
    ----------
    number : int
        From 1.
    score : float
        Of its plan.
    refused_for : list of str
        Why the screen refuses its plan; empty where it does not.
    failing : list of str
        Criteria that its plan fails, the most urgent first.
    changed : list of str
        Parameters and limits that differ from those of the solve before.
    effect : str
        Criteria that got better and worse by it; empty for the first solve.
    """

    number: int
    score: float
    refused_for: list[str]
    failing: list[str]
    changed: list[str]
    effect: str


def solves_of(plans: Sequence[Summary]) -> list[Solve]:
    """Return the solves of an episode, each with what differs from the one before.

    Parameters
    ----------
    plans : sequence of dict
        Summaries of its plans, in order.
    """
    pairs = zip([None, *plans], plans, strict=False)  # each with the one before
    return [_solve(number, before, plan) for number, (before, plan) in enumerate(pairs, 1)]


def _solve(number: int, before: Summary | None, plan: Summary) -> Solve:
    return Solve(
        number=number,
        score=plan["score"],
        refused_for=reasons(plan),
        failing=failing_names(plan),
        changed=[] if before is None else plan_changes(before, plan),
        effect="" if before is None else moved_line(before, plan),
    )
