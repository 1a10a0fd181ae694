"""What is to be planned: the part of `info` that stays the same for an episode, and nothing that names the patient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from radplan_agents.criteria import criterion_name, is_held
from radplan_agents.plan_changes import Parameters


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
    held : frozenset of str
        Those of them that the inner loop holds whatever the parameters are: D95 of the targets (the paper's Eq. 1).
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
    held: frozenset[str]
    ranges: Mapping[str, Mapping[str, tuple[float, float]]]
    start_parameters: Parameters
    budget: int

    @classmethod
    def of(cls, info: Mapping[str, Any]) -> Self:
        """Read what `RadPlanEnv.reset` returned."""
        criteria, prescriptions_gy = info["protocol"]["criteria"], info["protocol"]["prescriptions_gy"]
        return cls(
            title=info["protocol"]["title"],
            prescriptions_gy=prescriptions_gy,
            structures=tuple(info["case"]["structures"]),
            criteria=tuple(map(criterion_name, criteria)),
            held=frozenset(criterion_name(c) for c in criteria if is_held(c, prescriptions_gy)),
            ranges=info["ranges"],
            start_parameters=info["start_parameters"],
            budget=info["budget"],
        )

    @property
    def free_criteria(self) -> tuple[str, ...]:
        """Names of the criteria that parameters can move."""
        return tuple(name for name in self.criteria if name not in self.held)

    @property
    def prescription_gy(self) -> float:
        """Prescription of the primary target."""
        return next(iter(self.prescriptions_gy.values()))
