"""Criteria: what a protocol asks of one metric of one structure."""

from __future__ import annotations

import re
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from radplan_env.bound import Bound
from radplan_env.metrics import parse_metric
from radplan_env.structure_names import naming_problem

OUTSIDE_TARGETS = "OutsideTargets"
"""Pseudo-structure of criteria: the body less every target."""

_PERCENT_OF_RX = re.compile(r"(\d+(?:\.\d+)?) ?% of Rx")


class Model(BaseModel):
    """A part of a protocol: no unknown keys, no infinite numbers, no change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def tg263(name: str) -> str:
    """Return a TG-263 name as it is.

    Raises
    ------
    ValueError
        If it is none that is known here.
    """
    if problem := naming_problem(name):
        raise ValueError(problem)
    return name


class Criterion(Model):
    """A goal for one dose-volume metric of one structure.

    In YAML a dose may be written in Gy (``45``) or as ``102 % of Rx``: of the structure's own prescription for a
    target, of the highest one otherwise.

    Parameters
    ----------
    structure : str
        TG-263 name, or "OutsideTargets".
    metric : str
        Name as `radplan_env.metrics.parse_metric` reads it, such as "D95%" or "V31Gy".
    at_most, at_least : float
        The limit, in the metric's unit; one of the two.
    tolerance : float
        By how much the limit may be missed and the criterion still count as met, in the metric's unit.
    priority : int
        1 (highest) to 4.
    ideal, unacceptable : float
        Values, in the metric's unit, at which the score gives all its points and none; beyond `unacceptable` it takes
        points away.
    source : str
        Where the numbers come from.
    """

    structure: str
    metric: str
    at_most: float | None = None
    at_least: float | None = None
    tolerance: Annotated[float, Field(ge=0)] = 0.0
    priority: Annotated[int, Field(ge=1, le=4)]
    ideal: float
    unacceptable: float
    source: str

    @field_validator("structure")
    @classmethod
    def _known_structure(cls, name: str) -> str:
        return name if name == OUTSIDE_TARGETS else tg263(name)

    @field_validator("metric")
    @classmethod
    def _canonical_metric(cls, name: str) -> str:
        return parse_metric(name).name

    @field_validator("at_most", "at_least", "tolerance", "ideal", "unacceptable", mode="before")
    @classmethod
    def _dose_in_gy(cls, value: Any, info: ValidationInfo) -> Any:
        return number_or_refused(value, info.data.get("metric"))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.at_most is None) == (self.at_least is None):
            raise ValueError("give one limit: at_most or at_least")
        if self.limit <= 0:
            raise ValueError(f"the limit must be positive, got {self.limit:g}")
        sign = 1 if self.upper else -1
        if not sign * self.ideal < sign * self.bound.threshold < sign * self.unacceptable:
            side = "at_most" if self.upper else "at_least"
            order = f"ideal < {side} < unacceptable" if self.upper else f"unacceptable < {side} < ideal"
            tolerance = f" with tolerance {self.tolerance:g}" if self.tolerance else ""
            raise ValueError(
                f"want {order}, tolerance counted in; got ideal {self.ideal:g}, {side} {self.limit:g}{tolerance}, "
                f"unacceptable {self.unacceptable:g}"
            )
        return self

    @property
    def name(self) -> str:
        """Name of the criterion and of its score term, such as "Rectum V31Gy"."""
        return self.bound.name

    @property
    def unit(self) -> str:
        """Unit of the metric: "Gy", "%" or "" for an index."""
        return self.bound.unit

    @property
    def upper(self) -> bool:
        """Whether the limit is an upper one."""
        return self.at_most is not None

    @property
    def limit(self) -> float:
        """The limit, in the metric's unit."""
        limit = self.at_least if self.at_most is None else self.at_most
        assert limit is not None
        return limit

    @property
    def bound(self) -> Bound:
        """What the criterion asks of its metric."""
        return Bound(self.structure, self.metric, self.upper, self.limit, self.tolerance)

    def passes(self, value: float) -> bool:
        """Return whether `value`, in the metric's unit, meets the criterion."""
        return self.bound.passes(value)


def in_gy(value: Any, rx_gy: float | None) -> Any:
    """Return "102 % of Rx" in Gy; anything else, or where the prescription is not known, as it is."""
    match = _PERCENT_OF_RX.fullmatch(value.strip()) if isinstance(value, str) else None
    return value if match is None or rx_gy is None else round(float(match[1]) / 100 * rx_gy, 6)


def number_or_refused(value: Any, metric: str | None = None) -> Any:
    """Return a value to be read as a number; a "% of Rx" that nobody could turn into Gy is refused.

    Raises
    ------
    ValueError
        The message says why.
    """
    if not isinstance(value, str) or "%" not in value:
        return value
    if _PERCENT_OF_RX.fullmatch(value.strip()) is None:
        raise ValueError('write a number, or for a dose "102 % of Rx"')
    kind = None if metric is None else {"%": "a volume", "": "an index"}.get(parse_metric(metric).unit)
    why = f"{metric} is {kind}" if kind else "the prescription it is of cannot be read"
    raise ValueError(f"% of Rx applies to doses; {why}")
