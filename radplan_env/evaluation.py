"""Evaluation of a plan: metrics, criteria and a score from 0 to 100 built of named terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radplan_env.metrics import Doses, dvh, parse_metric
from radplan_env.protocol import OUTSIDE_TARGETS, BoundProtocol, Criterion, Protocol

TARGET_METRICS = ("mean", "min", "max", "D99%", "D98%", "D95%", "D50%", "D5%", "D2%", "D0.03cc", "DC0.03cc", "HI")
"""Reported of every target; of the primary target CI too."""

ORGAN_METRICS = ("mean", "max", "D5%", "D50%", "V15Gy", "V30Gy", "D0.03cc")
"""Reported of every organ (GPT-RadPlan, Table 2)."""

OUTSIDE_METRICS = ("max", "D0.03cc", "D1cc")
"""Reported of what lies outside the targets."""

DVH_EDGES = np.linspace(0, 1.2, 241)
"""Doses at which DVHs are read, as fractions of the highest prescription."""

CREDIT_AT_LIMIT = 0.8
"""Share of a criterion's points for just meeting it; the rest is for going on towards the ideal."""


@dataclass(frozen=True)
class CriterionResult:
    """How a plan does on one criterion."""

    criterion: Criterion
    value: float

    @property
    def passed(self) -> bool:
        """Whether the criterion is met, tolerance counted in."""
        return self.criterion.passes(self.value)

    @property
    def margin(self) -> float:
        """Room to the limit in the metric's unit, negative beyond it.

        The tolerance is not counted in: a criterion met thanks to it has a slightly negative margin.
        """
        room = self.criterion.limit - self.value
        return room if self.criterion.is_at_most else -room

    @property
    def relative_margin(self) -> float:
        """`margin` as a fraction of the limit."""
        return self.margin / self.criterion.limit

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, fit for JSON."""
        return {
            "structure": self.criterion.structure,
            "metric": self.criterion.metric,
            "at_most": self.criterion.is_at_most,
            "limit": self.criterion.limit,
            "value": self.value,
            "unit": self.criterion.unit,
            "priority": self.criterion.priority,
            "passed": self.passed,
            "margin": self.margin,
            "relative_margin": self.relative_margin,
        }


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a plan achieves by a protocol.

    Parameters
    ----------
    metrics : Mapping[str, Mapping[str, float]]
        Value by structure and metric; Gy, % or an index.
    criteria : tuple of CriterionResult
        In the protocol's order.
    terms : Mapping[str, float]
        Points earned by criterion name, such as "Rectum V31Gy", below 0 beyond `unacceptable`; they add up to `score`
        unless that stops at 0.
    available : Mapping[str, float]
        Points that could be earned, by criterion name; they add up to 100.
    dvh : Mapping[str, (ndarray, ndarray)]
        By structure: doses in Gy, shape (edges,), from 0 to 1.2 of the highest prescription, and the % of the
        structure that receives at least that much, shape (edges,).
    """

    metrics: Mapping[str, Mapping[str, float]]
    criteria: tuple[CriterionResult, ...]
    terms: Mapping[str, float]
    available: Mapping[str, float]
    dvh: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]

    @property
    def score(self) -> float:
        """Score from 0 to 100."""
        return float(np.clip(sum(self.terms.values()), 0, 100))  # rounding may exceed 100

    @property
    def met(self) -> bool:
        """Whether every criterion is met."""
        return all(result.passed for result in self.criteria)

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts, lists, floats and bools, fit for JSON."""
        return {
            "score": self.score,
            "met": self.met,
            "metrics": {structure: dict(values) for structure, values in self.metrics.items()},
            "criteria": [result.to_dict() for result in self.criteria],
            "terms": dict(self.terms),
            "available": dict(self.available),
            "dvh": {
                structure: {"edges_gy": edges.tolist(), "percent": percent.tolist()}
                for structure, (edges, percent) in self.dvh.items()
            },
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], protocol: Protocol) -> Evaluation:
        """Read what `to_dict` wrote of a plan for this protocol.

        Raises
        ------
        ValueError
            If it names a criterion that the protocol lacks.
        """
        by_name = {criterion.name: criterion for criterion in protocol.criteria}
        named = [(f"{result['structure']} {result['metric']}", result["value"]) for result in data["criteria"]]
        if unknown := [name for name, _ in named if name not in by_name]:
            raise ValueError(f"protocol {protocol.name!r} has no criterion {', '.join(unknown)}")
        return cls(
            metrics=data["metrics"],
            criteria=tuple(CriterionResult(by_name[name], value) for name, value in named),
            terms=data["terms"],
            available=data["available"],
            dvh={
                structure: (np.array(curve["edges_gy"]), np.array(curve["percent"]))
                for structure, curve in data["dvh"].items()
            },
        )


def points(priority: int) -> float:
    """Return the points of a criterion, before scaling to 100: each priority counts twice the next lower one."""
    return 2.0 ** (4 - priority)


def available_points(criteria: Sequence[Criterion]) -> dict[str, float]:
    """Return the points that each of these criteria can earn, by name; they add up to 100."""
    total = sum(points(criterion.priority) for criterion in criteria)
    return {criterion.name: 100 * points(criterion.priority) / total for criterion in criteria}


def credit(criterion: Criterion, value: float) -> float:
    """Return the share of a criterion's points that a metric's value earns, at most 1.

    It is piecewise linear: 0 at `unacceptable`, 0.8 at the limit (tolerance counted in), 1 at `ideal` and beyond.
    Beyond `unacceptable` it goes on falling: what is gained elsewhere must not pay for a plan that no physicist would
    sign.
    """
    if criterion.passes(value):
        towards_ideal = (value - criterion.threshold) / (criterion.ideal - criterion.threshold)
        return CREDIT_AT_LIMIT + (1 - CREDIT_AT_LIMIT) * min(towards_ideal, 1.0)
    return CREDIT_AT_LIMIT * (value - criterion.unacceptable) / (criterion.threshold - criterion.unacceptable)


def evaluate(doses: Mapping[str, Doses], voxel_cc: float, protocol: BoundProtocol) -> Evaluation:
    """Return metrics, criteria and score of a dose distribution.

    Parameters
    ----------
    doses : Mapping[str, ndarray of shape (voxels,)]
        Dose in Gy in the voxels of every structure the case has, by its name in the case, "Body" and
        "OutsideTargets" (body less all targets) among them, all on one grid.
    voxel_cc : float
        Volume of a voxel in cc.
    protocol : BoundProtocol
        The protocol, bound to the case.

    Raises
    ------
    ValueError
        If a structure's dose is missing, has no voxels, or holds NaN, infinite or negative values.
    """
    dose = _sorted_doses(doses, protocol)
    metrics = {
        structure: {
            metric: parse_metric(metric).evaluate(
                values,
                voxel_cc=voxel_cc,
                rx_gy=protocol.prescription_gy(structure),
                body_dose=dose["Body"],
                targets_cc=voxel_cc * (dose["Body"].size - dose[OUTSIDE_TARGETS].size),
            )
            for metric in _metrics_of(structure, protocol)
        }
        for structure, values in dose.items()
    }
    results = tuple(CriterionResult(c, metrics[c.structure][c.metric]) for c in protocol.criteria)
    available = available_points(protocol.criteria)
    terms = {r.criterion.name: available[r.criterion.name] * credit(r.criterion, r.value) for r in results}
    edges = DVH_EDGES * protocol.primary.prescription_gy
    curves = {structure: (edges, dvh(dose[structure], edges)) for structure in protocol.structures}
    return Evaluation(metrics, results, terms, available, curves)


def _metrics_of(structure: str, protocol: BoundProtocol) -> list[str]:
    """Return the metrics to report of a structure: the standing ones, then what else its criteria name."""
    if structure == protocol.primary.structure:
        standing: tuple[str, ...] = (*TARGET_METRICS, "CI")
    elif structure in {target.structure for target in protocol.targets}:
        standing = TARGET_METRICS
    else:
        standing = OUTSIDE_METRICS if structure == OUTSIDE_TARGETS else ORGAN_METRICS
    return list(dict.fromkeys([*standing, *(c.metric for c in protocol.criteria if c.structure == structure)]))


def _sorted_doses(doses: Mapping[str, Doses], protocol: BoundProtocol) -> dict[str, Doses]:
    """Return the doses by protocol name, checked; sorted once, as order statistics of each are read often."""
    case_name = {**protocol.case_name, OUTSIDE_TARGETS: OUTSIDE_TARGETS}
    if missing := [name for name in case_name.values() if name not in doses]:
        raise ValueError(f"no dose for {', '.join(missing)}")
    return {structure: _sorted(doses[name], structure) for structure, name in case_name.items()}


def _sorted(dose: Doses, structure: str) -> Doses:
    dose = np.sort(np.asarray(dose), axis=None)
    if dose.size == 0:
        raise ValueError(f"{structure} has no voxels on the dose grid: plan on a finer one")
    if not (np.isfinite(dose[-1]) and dose[0] >= 0):  # NaN sorts last
        raise ValueError(f"the dose in {structure} is NaN, infinite or negative in some voxels")
    return dose
