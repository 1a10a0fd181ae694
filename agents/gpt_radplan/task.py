"""What is to be planned: the part of `info` that stays the same for an episode, and nothing that names the patient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

Parameters = Mapping[str, Mapping[str, float]]
"""Weight and objective dose by structure, as `info` has them."""

Summary = Mapping[str, Any]
"""A plan as `Plan.summary` gives it."""


@dataclass(frozen=True)
class Task:
    """One patient's planning task.

    Parameters
    ----------
    title : str
        The protocol's title.
    prescriptions_gy : Mapping[str, float]
        Prescribed dose by target, the primary target first.
    structures : tuple of str
        Structures that have planning parameters: targets, then organs.
    criteria : tuple of str
        Names of the protocol's criteria, such as "Rectum V31Gy".
    ranges : Mapping
        Lowest and highest value by structure and quantity.
    start_parameters : Parameters
        The protocol's.
    budget : int
        Solves there are.
    """

    title: str
    prescriptions_gy: Mapping[str, float]
    structures: tuple[str, ...]
    criteria: tuple[str, ...]
    ranges: Mapping[str, Mapping[str, tuple[float, float]]]
    start_parameters: Parameters
    budget: int

    @classmethod
    def of(cls, info: Mapping[str, Any]) -> Self:
        """Read what `RadPlanEnv.reset` told."""
        return cls(
            title=info["protocol"]["title"],
            prescriptions_gy=info["protocol"]["prescriptions_gy"],
            structures=tuple(info["case"]["structures"]),
            criteria=tuple(criterion_name(criterion) for criterion in info["protocol"]["criteria"]),
            ranges=info["ranges"],
            start_parameters=info["start_parameters"],
            budget=info["budget"],
        )

    @property
    def prescription_gy(self) -> float:
        """Prescription of the primary target."""
        return next(iter(self.prescriptions_gy.values()))


def criterion_name(criterion: Mapping[str, Any]) -> str:
    """Name of a criterion, such as "Rectum V31Gy"."""
    return f"{criterion['structure']} {criterion['metric']}"
