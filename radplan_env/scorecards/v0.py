"""Scorecard v0: points for a protocol's criteria, by priority."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from radplan_env.bound import Bound
from radplan_env.criterion import Criterion
from radplan_env.dose_view import DoseView
from radplan_env.metrics import Metric, computations
from radplan_env.scorecards.scorecard import Goals, Scorecard, ScoreTerm, Verdict

CREDIT_AT_LIMIT = 0.8
"""Share of a criterion's points for just meeting it; the rest is for going on towards the ideal."""

LOWEST_PRIORITY, TIMES_THE_NEXT = 4, 2.0
"""Each priority counts so many times the next lower one."""

KINDS = ("D%", "Dcc", "DCcc", "VGy", "mean", "min", "max", "HI", "CI", "R50")
"""Kinds of metrics that criteria are made of."""


class V0(Scorecard):
    """Each criterion of the protocol is a term; each priority counts twice the next lower one, 100 points in all.

    A term is piecewise linear in the criterion's metric: no points at `unacceptable`, 80 % of them at the limit
    (tolerance counted in), all at `ideal` and beyond. Beyond `unacceptable` it takes points away with the slope it has
    before: what is gained elsewhere must not pay for a plan that no physicist would sign. The score stops at 0.
    Criteria whose structure a patient lacks are left out, and the others count more.
    """

    name: ClassVar[str] = "v0"
    version: ClassVar[str] = "0"
    covers: ClassVar[Sequence[Callable[..., Any]]] = (
        DoseView.metric,
        Metric.evaluate,
        Bound.passes,
        Bound.threshold.fget,  # type: ignore[attr-defined]
        *computations(KINDS),
    )

    def terms(self, goals: Goals) -> tuple[ScoreTerm, ...]:
        """Return a term for each criterion, in the protocol's order."""
        total = sum(points(criterion.priority) for criterion in goals.criteria)
        return tuple(
            ScoreTerm(c.name, 100 * points(c.priority) / total, c.ideal, c.unacceptable, c.unit, c.source)
            for c in goals.criteria
        )

    def verdict(self, view: DoseView, goals: Goals) -> Verdict:
        """Return the points of each criterion, and their sum between 0 and 100."""
        available = {term.name: term.points for term in self.terms(goals)}
        terms = {
            criterion.name: available[criterion.name]
            * credit(criterion, view.metric(criterion.structure, criterion.metric))
            for criterion in goals.criteria
        }
        return Verdict(min(max(sum(terms.values()), 0.0), 100.0), terms, available)  # rounding may exceed 100


def points(priority: int) -> float:
    """Return the points of a criterion, before scaling to 100."""
    return TIMES_THE_NEXT ** (LOWEST_PRIORITY - priority)


def credit(criterion: Criterion, value: float) -> float:
    """Return the share of a criterion's points that a metric's value earns, at most 1; see `V0`."""
    threshold = criterion.bound.threshold
    if criterion.bound.passes(value):
        towards_ideal = (value - threshold) / (criterion.ideal - threshold)
        return CREDIT_AT_LIMIT + (1 - CREDIT_AT_LIMIT) * min(towards_ideal, 1.0)
    return CREDIT_AT_LIMIT * (value - criterion.unacceptable) / (threshold - criterion.unacceptable)
