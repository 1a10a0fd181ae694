"""Bounds: a metric of a structure is to stay on one side of a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from radplan_env.metrics import parse_metric


@dataclass(frozen=True)
class Bound:
    """A metric of one structure and the value it is to stay below or above: "Rectum V31Gy ≤ 34 %".

    Parameters
    ----------
    structure : str
        Name in the protocol, or "OutsideTargets".
    metric : str
        As `radplan_env.metrics.parse_metric` reads it.
    upper : bool
        Whether `value` is the highest that is allowed; otherwise the lowest.
    value : float
        In the metric's unit.
    tolerance : float
        By how much the value may be missed and still pass, in the metric's unit.
    """

    structure: str
    metric: str
    upper: bool
    value: float
    tolerance: float = 0.0

    @classmethod
    def of(cls, criterion: Mapping[str, Any]) -> Self:
        """Return the bound of a criterion as `info` and records describe it."""
        return cls(criterion["structure"], criterion["metric"], criterion["upper"], criterion["limit"])

    @property
    def name(self) -> str:
        """Structure and metric, such as "Rectum V31Gy"."""
        return f"{self.structure} {self.metric}"

    @property
    def unit(self) -> str:
        """Unit of the metric: "Gy", "%" or "" for an index."""
        return parse_metric(self.metric).unit

    @property
    def sign(self) -> str:
        """≤ or ≥."""
        return "≤" if self.upper else "≥"

    @property
    def side(self) -> str:
        """Where values are to lie: "≤ 34 %"."""
        return f"{self.sign} {self.value:g} {self.unit}".rstrip()

    @property
    def words(self) -> str:
        """The bound as planners write it: "Rectum V31Gy ≤ 34 %"."""
        return f"{self.name} {self.side}"

    @property
    def threshold(self) -> float:
        """The value with its tolerance: the last that passes."""
        return self.value + self.tolerance if self.upper else self.value - self.tolerance

    def passes(self, value: float) -> bool:
        """Return whether a metric's value keeps to the bound, tolerance counted in; NaN does not."""
        return bool(value <= self.threshold if self.upper else value >= self.threshold)

    def margin(self, value: float) -> float:
        """Return the room left to the bound in the metric's unit, negative beyond it, tolerance not counted in."""
        room = self.value - value
        return room if self.upper else -room

    def stricter(self, other: Self) -> Self:
        """Return the stricter of two bounds on the same side of the same metric."""
        return min(self, other, key=lambda bound: bound.value if self.upper else -bound.value)
