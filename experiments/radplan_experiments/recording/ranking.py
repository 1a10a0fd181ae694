"""Which plan is the better one. A plan that the scorecard's screen refuses ranks below every plan that it does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Rank = tuple[bool, float]
"""Whether a plan is not refused, and its score: the higher, the better."""


def refused(plan: Mapping[str, Any]) -> bool:
    """Whether the screen refuses a plan; without a screen (`screened` is None) none is refused."""
    return plan.get("screened") is False


def reasons(plan: Mapping[str, Any]) -> list[str]:
    """What the screen refuses a plan for; nothing where it does not."""
    return list(plan.get("reasons", ())) or ["no reason given"] if refused(plan) else []


def rank(plan: Mapping[str, Any]) -> Rank:
    """The place of a plan, from its summary."""
    return not refused(plan), float(plan["score"])


def points(plan: Mapping[str, Any]) -> float:
    """What a plan counts in means and differences: its score, or nothing where it is refused."""
    return 0.0 if refused(plan) else float(plan["score"])


def best(plans: Sequence[Mapping[str, Any]]) -> int | None:
    """Index of the plan that ranks highest, of equals the first; None of no plans."""
    return max(range(len(plans)), key=lambda i: rank(plans[i]), default=None)


def handed_over(plans: Sequence[Mapping[str, Any]]) -> int | None:
    """Index of the plan that an episode hands over: not refused if any is, then one that meets every criterion."""
    return max(
        range(len(plans)), key=lambda i: (not refused(plans[i]), plans[i]["met"], plans[i]["score"]), default=None
    )


def best_points(plans: Sequence[Mapping[str, Any]]) -> float:
    """What the best of some plans counts; 0 of no plans."""
    return max(map(points, plans), default=0.0)
