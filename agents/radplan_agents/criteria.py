"""What planners know of a plan's criteria: which come first, and whose parameters decide over them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from radplan_env.protocol import OUTSIDE_TARGETS

Criterion = Mapping[str, Any]

NEAR_PRESCRIPTION = 0.95
"""An organ gets this share of the highest prescription only where it touches the target."""


def criterion_name(criterion: Criterion) -> str:
    """Name of a criterion, such as "Rectum V31Gy"."""
    return f"{criterion['structure']} {criterion['metric']}"


def failing(plan: Mapping[str, Any]) -> list[Criterion]:
    """Return the criteria a plan fails, highest priority first, then the furthest from its limit.

    Parameters
    ----------
    plan : Mapping
        As `Plan.summary` gives it.
    """
    return most_urgent_first(criterion for criterion in plan["criteria"] if not criterion["passed"])


def failing_names(plan: Mapping[str, Any]) -> list[str]:
    """Return the names of the criteria a plan fails, in the order of `failing`."""
    return [criterion_name(criterion) for criterion in failing(plan)]


def most_urgent_first(criteria: Iterable[Criterion]) -> list[Criterion]:
    """Return criteria by priority, of one priority the furthest beyond its limit first."""
    return sorted(criteria, key=lambda criterion: (criterion["priority"], criterion["relative_margin"]))


def decided_by_body(structure: str, metric: str) -> bool:
    """Whether a criterion is about dose outside the targets, which answers to the parameters of the body."""
    return structure == OUTSIDE_TARGETS or metric in ("CI", "R50")


def lies_in_overlap(criterion: Criterion, prescription_gy: float) -> bool:
    """Whether an organ's criterion is about a dose that it gets only where it touches the target.

    Parameters
    ----------
    criterion : Mapping
        Of an organ, not a target.
    prescription_gy : float
        The highest.
    """
    return bool(criterion["unit"] == "Gy" and criterion["limit"] >= NEAR_PRESCRIPTION * prescription_gy)


def is_held(criterion: Criterion, prescriptions_gy: Mapping[str, float]) -> bool:
    """Whether the inner loop sees to a criterion whatever the parameters are: D95 of a target at its prescription.

    Parameters
    ----------
    criterion : Mapping
        With structure, metric, upper and limit.
    prescriptions_gy : Mapping[str, float]
        By target.
    """
    prescribed_gy = prescriptions_gy.get(criterion["structure"], 0.0)
    return bool(criterion["metric"] == "D95%" and not criterion["upper"] and criterion["limit"] <= prescribed_gy)
