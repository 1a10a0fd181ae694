"""Scorecard v1: terms that tell good plans apart, and a screen for what would be refused at a glance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from radplan_env.bound import Bound
from radplan_env.dose_view import DoseView
from radplan_env.metrics import Metric, computations
from radplan_env.scorecards.scorecard import Goals, Scorecard, ScoreTerm, Verdict
from radplan_env.scorecards.v0 import KINDS
from radplan_env.scorecards.v1_section import OVERALL, REGIONS, Screen, Section, TermOfV1, read_section
from radplan_env.structure_names import is_target

SCALED_AT_LEAST, SCALED_AT_MOST = 0.97, 1.03
"""A plan that must be scaled further to cover its target is another plan than the one that was optimised."""
MU_PER_GY_AT_MOST = 600.0
"""More, of a delivered plan, is leakage and time that no clinic accepts: VMAT takes 200 to 350 (from memory)."""


class V1(Scorecard):
    """The sum of 100 w u / Σ w over the terms that the protocol lists, of weight w and utility u.

    A utility is a logistic curve, 0.9 at the term's `good` and 0.1 at its `bad`, or one minus an NTCP: bounded, and
    strictly monotone, so that no plan stands still. Weights are fixed; a term whose structure the patient lacks has its
    `neutral` utility. Beside the score stands what the plan is refused for: a plan that is not passed ranks below
    every plan that is. Utilities rank plans; an NTCP among them is no patient's risk.
    """

    name: ClassVar[str] = "v1"
    version: ClassVar[str] = "1"
    ends: ClassVar[tuple[str, str]] = ("90 % at", "10 % at")
    covers: ClassVar[Sequence[Callable[..., Any]]] = (
        DoseView.metric,
        Metric.evaluate,
        TermOfV1.earned,
        TermOfV1.utility,
        Screen.bound.fget,  # type: ignore[attr-defined]
        Bound.passes,
        Bound.threshold.fget,  # type: ignore[attr-defined]
        read_section,
        *computations((*KINDS, "gEUD", "EUD", "NTCP")),
    )

    def terms(self, goals: Goals) -> tuple[ScoreTerm, ...]:
        """Return the terms of the protocol's section, with where they earn 90 and 10 % of their points."""
        section = self._section(goals)
        total = sum(term.weight for term in section.terms)
        return tuple(
            ScoreTerm(t.name, 100 * t.weight / total, t.nine_tenths_at, t.a_tenth_at, t.unit, t.source)
            for t in section.terms
        )

    def verdict(self, view: DoseView, goals: Goals) -> Verdict:
        """Return the points of each term, their sum, and what the plan is refused for."""
        section = self._section(goals)
        total = sum(term.weight for term in section.terms)
        available = {term.name: 100 * term.weight / total for term in section.terms}
        terms = {term.name: available[term.name] * term.earned(value_of(term, view)) for term in section.terms}
        reasons = tuple(_reasons(section.screens, view))
        return Verdict(min(sum(terms.values()), 100.0), terms, available, not reasons, reasons)

    def bounds_if_shifted(self, goals: Goals) -> tuple[Bound, ...]:
        """Return the bounds of screens that name one, `if_shifted`."""
        shifted = (screen.shifted_bound for screen in self._section(goals).screens)
        return tuple(bound for bound in shifted if bound is not None)

    def faults(self, section: Mapping[str, Any], goals: Goals) -> list[str]:
        """Say what is wrong with the section: a missing one, a key, a structure that the protocol lacks."""
        if not section:
            return [f"protocol {goals.name!r} has no section scorecards: v1; score it by v0"]
        try:
            read = read_section(section, goals.prescription_gy)
        except ValueError as error:
            return str(error).splitlines()
        known = set(goals.structures)
        return [
            f"{each.structure!r} of {each.metric} is neither a structure of the protocol, nor a target with "
            f"{', '.join('.' + region for region in REGIONS)}, nor {', '.join(OVERALL)}"
            for each in (*read.terms, *read.screens)
            if not _is_known(each.structure, known)
        ]

    def _section(self, goals: Goals) -> Section:
        return read_section(goals.scorecards[self.name], goals.prescription_gy)


def _is_known(structure: str, known: set[str]) -> bool:
    whole, _, region = structure.partition(".")
    if region:
        return whole in known and is_target(whole) and region in REGIONS
    return structure in known or structure in OVERALL


def value_of(term: TermOfV1, view: DoseView) -> float | None:
    """Return the value of a term's metric; None where the patient lacks the structure, or too much of it is treated."""
    if not view.has(term.structure):
        return None
    percent = term.dropped_in_targets_percent
    if percent is not None and view.in_targets_percent.get(term.structure, 0.0) > percent:
        return None
    return view.metric(term.structure, term.metric)


def _reasons(screens: Sequence[Screen], view: DoseView) -> list[str]:
    reasons = [
        f"{screen.says}: {screen.name} is {value:.3g} {screen.unit}".rstrip() + f", screened at {screen.bound.side}"
        for screen in screens
        if view.has(screen.structure)
        for value in [view.metric(screen.structure, screen.metric)]
        if not screen.bound.passes(value)
    ]
    if not SCALED_AT_LEAST <= view.scaled_by <= SCALED_AT_MOST:
        reasons.append(
            f"coverage: the plan had to be scaled by {view.scaled_by:.3f}, screened at {SCALED_AT_LEAST} to "
            f"{SCALED_AT_MOST}"
        )
    if view.mu_per_gy is not None and view.mu_per_gy > MU_PER_GY_AT_MOST:
        reasons.append(f"monitor units: {view.mu_per_gy:.0f} for each Gy, screened at ≤ {MU_PER_GY_AT_MOST:.0f}")
    return reasons
