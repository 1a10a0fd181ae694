"""Evaluation of a plan: what a protocol says of its dose (metrics, criteria), and what a scorecard does (the score)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radplan_env import notebook
from radplan_env.dose_view import DoseView
from radplan_env.info import CriterionReport
from radplan_env.metrics import Doses, Volumes, ascending, dvh
from radplan_env.protocol import OUTSIDE_TARGETS, BoundProtocol, Criterion, Protocol
from radplan_env.scorecards import Scorecard, Verdict, load_scorecard

TARGET_METRICS = ("mean", "min", "max", "D99%", "D98%", "D95%", "D50%", "D5%", "D2%", "D0.03cc", "DC0.03cc", "HI")
"""Reported of every target; of the primary target CI too."""

ORGAN_METRICS = ("mean", "max", "D5%", "D50%", "V15Gy", "V30Gy", "D0.03cc")
"""Reported of every organ (GPT-RadPlan, Table 2)."""

OUTSIDE_METRICS = ("max", "D0.03cc", "D1cc")
"""Reported of what lies outside the targets."""

DVH_EDGES = np.linspace(0, 1.2, 241)
"""Doses at which DVHs are read, as fractions of the highest prescription."""


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
        return self.criterion.bound.margin(self.value)

    @property
    def relative_margin(self) -> float:
        """`margin` as a fraction of the limit."""
        return self.margin / self.criterion.limit

    def to_dict(self) -> CriterionReport:
        """Return plain values, fit for JSON."""
        return {
            "structure": self.criterion.structure,
            "metric": self.criterion.metric,
            "upper": self.criterion.upper,
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
    """What a plan achieves by a protocol and a scorecard.

    Parameters
    ----------
    metrics : Mapping[str, Mapping[str, float]]
        Value by structure and metric; Gy, % or an index.
    criteria : tuple of CriterionResult
        In the protocol's order.
    verdict : Verdict
        What the scorecard says: score, terms, and whether the plan is screened.
    dvh : Mapping[str, (ndarray, ndarray)]
        By structure: doses in Gy, shape (edges,), from 0 to 1.2 of the highest prescription, and the % of the
        structure that receives at least that much, shape (edges,).
    """

    metrics: Mapping[str, Mapping[str, float]]
    criteria: tuple[CriterionResult, ...]
    verdict: Verdict
    dvh: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]

    @property
    def score(self) -> float:
        """Score from 0 to 100."""
        return self.verdict.score

    @property
    def terms(self) -> Mapping[str, float]:
        """Points earned, by name of the term."""
        return self.verdict.terms

    @property
    def available(self) -> Mapping[str, float]:
        """Points that could be earned, by name of the term."""
        return self.verdict.available

    @property
    def screened(self) -> bool | None:
        """Whether the plan passes the scorecard's screening; None where it does not screen."""
        return self.verdict.screened

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the plan does not pass it."""
        return tuple(self.verdict.reasons)

    @property
    def met(self) -> bool:
        """Whether every criterion is met."""
        return all(result.passed for result in self.criteria)

    def refused(self, reasons: Sequence[str]) -> Evaluation:
        """Return the evaluation of a plan that is refused for these reasons too, if there are any."""
        if not reasons:
            return self
        return replace(self, verdict=replace(self.verdict, screened=False, reasons=(*self.verdict.reasons, *reasons)))

    def __repr__(self) -> str:
        met = sum(result.passed for result in self.criteria)
        return f"Evaluation({self._said()}, {met} of {len(self.criteria)} criteria met)"

    def _said(self) -> str:
        screened = {True: "passes the screen", False: "refused: " + "; ".join(self.reasons), None: ""}
        return ", ".join(filter(None, (f"score {self.score:.1f}", screened[self.screened])))

    def _repr_html_(self) -> str:
        rows = [
            (
                f"{result.criterion.structure} {result.criterion.metric}",
                f"{result.value:.2f}",
                f"{'≤' if result.criterion.upper else '≥'} {result.criterion.limit:g} {result.criterion.unit}".rstrip(),
                "met" if result.passed else "not met",
            )
            for result in self.criteria
        ]
        return notebook.table(self._said(), ("criterion", "value", "limit", ""), rows)

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts, lists, floats and bools, fit for JSON."""
        return {
            "score": self.score,
            "screened": self.screened,
            "reasons": list(self.verdict.reasons),
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
            verdict=Verdict(data["score"], data["terms"], data["available"], data["screened"], tuple(data["reasons"])),
            dvh={
                structure: (np.array(curve["edges_gy"]), np.array(curve["percent"]))
                for structure, curve in data["dvh"].items()
            },
        )


def evaluate(
    doses: Mapping[str, Doses],
    voxel_cc: float | Mapping[str, Volumes],
    protocol: BoundProtocol,
    scorecard: Scorecard | None = None,
    *,
    scaled_by: float = 1.0,
    in_targets_percent: Mapping[str, float] | None = None,
    mu_per_gy: float | None = None,
) -> Evaluation:
    """Return metrics, criteria and score of a dose distribution.

    Parameters
    ----------
    doses : Mapping[str, ndarray of shape (voxels,)]
        Dose in Gy in the voxels of every structure the case has, by its name in the case, "Body" and
        "OutsideTargets" (body less all targets) among them. Regions that the scorecard asks for by their own names, see
        `DoseView`.
    voxel_cc : float or Mapping[str, ndarray of shape (voxels,)]
        Volume of every voxel in cc; or of each, by the names of `doses`.
    protocol : BoundProtocol
        The protocol, bound to the case.
    scorecard : Scorecard, optional
        v0 by default.
    scaled_by, in_targets_percent, mu_per_gy
        What scorecards ask for beside doses; see `DoseView`.

    Raises
    ------
    ValueError
        If a structure's dose is missing, has no voxels, or holds NaN, infinite or negative values.
    """
    beside = {"scaled_by": scaled_by, "in_targets_percent": in_targets_percent or {}, "mu_per_gy": mu_per_gy}
    view = dose_view(doses, voxel_cc, protocol, **beside)
    reported = (*protocol.structures, OUTSIDE_TARGETS)
    metrics = {
        structure: {metric: view.metric(structure, metric) for metric in _metrics_of(structure, protocol)}
        for structure in reported
    }
    results = tuple(CriterionResult(c, metrics[c.structure][c.metric]) for c in protocol.criteria)
    edges = DVH_EDGES * protocol.primary.prescription_gy
    curves = {name: (edges, dvh(view.dose(name), edges, view.volumes(name))) for name in protocol.structures}
    verdict = (scorecard or load_scorecard()).verdict(view, protocol)
    return Evaluation(metrics, results, verdict, curves)


def _metrics_of(structure: str, protocol: BoundProtocol) -> list[str]:
    """Return the metrics to report of a structure: the standing ones, then what else its criteria name."""
    if structure == protocol.primary.structure:
        standing: tuple[str, ...] = (*TARGET_METRICS, "CI")
    elif structure in {target.structure for target in protocol.targets}:
        standing = TARGET_METRICS
    else:
        standing = OUTSIDE_METRICS if structure == OUTSIDE_TARGETS else ORGAN_METRICS
    return list(dict.fromkeys([*standing, *(c.metric for c in protocol.criteria if c.structure == structure)]))


def dose_view(
    doses: Mapping[str, Doses], voxel_cc: float | Mapping[str, Volumes], protocol: BoundProtocol, **beside: Any
) -> DoseView:
    """Return doses, given as to `evaluate`, by protocol name, checked; sorted once, as they are read often."""
    given = {**protocol.case_name, OUTSIDE_TARGETS: OUTSIDE_TARGETS}
    if missing := [name for name in given.values() if name not in doses]:
        raise ValueError(f"no dose for {', '.join(missing)}")
    given |= {name: name for name in doses if name.partition(".")[1] or name.startswith("Beyond")}
    if not isinstance(voxel_cc, Mapping):
        dose = {name: _checked(np.sort(doses[own], axis=None), name) for name, own in given.items()}
        return DoseView(dose, voxel_cc, protocol.prescription_gy, protocol.protocol.fractions, **beside)
    pairs = {name: ascending(doses[own], voxel_cc[own]) for name, own in given.items()}
    dose = {name: _checked(sorted_dose, name) for name, (sorted_dose, _) in pairs.items()}
    volumes = {name: volume for name, (_, volume) in pairs.items()}
    return DoseView(dose, volumes, protocol.prescription_gy, protocol.protocol.fractions, **beside)


def _checked(sorted_dose: Doses, structure: str) -> Doses:
    if sorted_dose.size == 0:
        raise ValueError(f"{structure} has no voxels on the dose grid: plan on a finer one")
    if not (np.isfinite(sorted_dose[-1]) and sorted_dose[0] >= 0):  # NaN sorts last
        raise ValueError(f"the dose in {structure} is NaN, infinite or negative in some voxels")
    return sorted_dose
