"""Limits: dose-volume metrics that the inner loop holds while it minimises Eq. 1."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from radplan_env.bound import Bound
from radplan_env.metrics import parse_metric

_HELD = ("D%", "Dcc", "DCcc", "VGy", "mean", "max", "min")
_HOTTEST, _COLDEST = 0.0, 100.0  # q of the D_q that is the maximum, and the minimum


@dataclass(frozen=True)
class Limit:
    """A metric of one structure that a plan has to keep, beside the coverage that Eq. 1 asks for.

    Weights say what to aim at, a limit says what must hold whatever the aims: "Rectum V31Gy at most 34 %". The inner
    loop meets it exactly where it can, and reports it as not met where it cannot: see `radplan_env.fluence`. It binds
    the whole structure, as metrics see it, and not only the voxels that count for its objective.

    Parameters
    ----------
    structure : str
        Name in the protocol, or "OutsideTargets".
    metric : str
        D_X%, D_Xcc, DC_Xcc, V_XGy, mean, max or min, as `radplan_env.metrics.parse_metric` reads it.
    at_most, at_least : float, optional
        The limit, in the metric's unit; one of the two. Doses are positive, volumes between 0 and 100 %.

    Raises
    ------
    ValueError
        If it is not as above.
    """

    structure: str
    metric: str
    at_most: float | None = None
    at_least: float | None = None

    def __post_init__(self) -> None:
        metric = parse_metric(self.metric)
        object.__setattr__(self, "metric", metric.name)
        if metric.unit == "":
            raise ValueError(f"{self.name}: only doses and volumes can be held, {metric.name} is an index")
        if metric.kind not in _HELD:
            raise ValueError(f"{self.name}: D_q, V_d, mean, max and min can be held, {metric.name} cannot")
        if (self.at_most is None) == (self.at_least is None):
            raise ValueError(f"{self.name}: give one of at_most and at_least")
        if not math.isfinite(self.value) or self.value < 0 or (metric.unit == "Gy" and self.value == 0):
            raise ValueError(f"{self.name}: a limit on a dose is a positive number of Gy, got {self.value!r}")
        if metric.unit == "%" and self.value > 100:
            raise ValueError(f"{self.name}: a limit on a volume is at most 100 %, got {self.value!r}")

    @property
    def name(self) -> str:
        """Structure and metric, such as "Rectum V31Gy"."""
        return f"{self.structure} {self.metric}"

    @property
    def value(self) -> float:
        """The limit, in the metric's unit."""
        value = self.at_least if self.at_most is None else self.at_most
        assert value is not None
        return value

    @property
    def upper(self) -> bool:
        """Whether the limit is an upper one."""
        return self.at_most is not None

    @property
    def bound(self) -> Bound:
        """The limit as a bound on its metric."""
        return Bound(self.structure, self.metric, self.upper, self.value)

    def dose_bound(self, volume_cc: float) -> tuple[float | None, float]:
        """Return the same as a bound on D_q: q in % (None for the mean) and the dose in Gy.

        V_31Gy is at most 34 % where D_34% is at most 31 Gy: every limit but that on the mean is a bound on a D_q.

        Parameters
        ----------
        volume_cc : float
            Of the structure.
        """
        metric = parse_metric(self.metric)
        if metric.kind == "VGy":
            return self.value, metric.number
        percent = {
            "D%": metric.number,
            # A structure smaller than that has no such dose: its maximum counts, as in `metrics.dose_at_volume_cc`.
            "Dcc": _HOTTEST if metric.number > volume_cc else 100 * metric.number / volume_cc,
            "DCcc": _COLDEST if metric.number > volume_cc else 100 - 100 * metric.number / volume_cc,
            "max": _HOTTEST,
            "min": _COLDEST,
            "mean": None,
        }
        return percent[metric.kind], self.value

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, fit for JSON."""
        return {
            "structure": self.structure,
            "metric": self.metric,
            "at_most" if self.upper else "at_least": self.value,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Limit:
        """Read what `to_dict` wrote.

        Raises
        ------
        ValueError
            If a key is unknown or missing, or the limit is invalid.
        """
        try:
            return cls(**data)
        except TypeError as error:
            raise ValueError(f"a limit has structure, metric and at_most or at_least: {error}") from error
