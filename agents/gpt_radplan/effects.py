"""Arithmetic that is not left to a language model: what was changed, what it did, and whether it was foreseen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from agents.gpt_radplan.task import Parameters, Summary, criterion_name
from radplan_env.render.text import number

NOTICEABLE = 0.01
"""Share of its limit by which a criterion must move to be worth telling."""

SAME = 0.001
"""Share of its limit within which a criterion has not moved: as close as the inner loop solves."""

Effect = Literal["better", "worse"]


@dataclass(frozen=True)
class Movement:
    """How far a criterion moved from one plan to the next.

    Parameters
    ----------
    criterion : str
        Its name.
    change : float
        Of its value, in its unit.
    gain : float
        Change towards the good side, as a share of the limit.
    before, after : bool
        Whether it was met.
    unit : str
    """

    criterion: str
    change: float
    gain: float
    before: bool
    after: bool
    unit: str

    @property
    def effect(self) -> Effect | None:
        """Which way it went; None if it stayed."""
        if abs(self.gain) <= SAME:
            return None
        return "better" if self.gain > 0 else "worse"

    def __str__(self) -> str:
        turned = "" if self.before == self.after else f" (now {'PASS' if self.after else 'FAIL'})"
        unit = f" {self.unit}" if self.unit else ""
        return f"{self.criterion} {number(self.change, '{:+.3f}' if not self.unit else '{:+.1f}')}{unit}{turned}"


def movements(before: Summary, after: Summary) -> dict[str, Movement]:
    """Return how each criterion moved from one plan to another of the same patient, by name."""
    earlier = {criterion_name(criterion): criterion for criterion in before["criteria"]}
    return {
        name: Movement(
            criterion=name,
            change=now["value"] - earlier[name]["value"],
            gain=now["relative_margin"] - earlier[name]["relative_margin"],
            before=earlier[name]["passed"],
            after=now["passed"],
            unit=now["unit"],
        )
        for now in after["criteria"]
        for name in [criterion_name(now)]
    }


def noticeable(moved: Mapping[str, Movement]) -> list[Movement]:
    """Return the movements worth telling, the largest first."""
    kept = [m for m in moved.values() if abs(m.gain) >= NOTICEABLE or m.before != m.after]
    return sorted(kept, key=lambda m: -abs(m.gain))


def changes(before: Parameters, after: Parameters) -> list[str]:
    """Return what differs between two sets of parameters, such as "Rectum weight 5 → 10"."""
    return [
        f"{structure} {label} {number(old, form)} → {number(new, form)}{unit}"
        for structure, values in after.items()
        for quantity, label, form, unit in (
            ("weight", "weight", "{:.4g}", ""),
            ("objective_dose_gy", "objective dose", "{:g}", " Gy"),
        )
        for old, new in [(before[structure][quantity], values[quantity])]
        if old != new
    ]


def effect_line(before: Summary, after: Summary, *, most: int = 5) -> str:
    """Return in one line what a change of parameters did: the score, and at most so many criteria."""
    score = f"score {before['score']:.1f} → {after['score']:.1f} ({after['score'] - before['score']:+.1f})"
    return f"{score}; {moved_line(before, after, most=most)}"


def moved_line(before: Summary, after: Summary, *, most: int = 5) -> str:
    """Return in one line which criteria a change of parameters made better and worse: at most so many."""
    moved = noticeable(movements(before, after))
    told = {
        effect: ", ".join(str(m) for m in moved[:most] if m.effect == effect) or "nothing"
        for effect in ("better", "worse")
    }
    return f"better: {told['better']}; worse: {told['worse']}"


@dataclass(frozen=True)
class Outcome:
    """A prediction and what came of it."""

    criterion: str
    predicted: Effect
    movement: Movement

    @property
    def came_true(self) -> bool:
        """Whether the criterion went the way that was predicted."""
        return self.movement.effect == self.predicted

    def __str__(self) -> str:
        verdict = "came true" if self.came_true else "did NOT come true"
        return f"{self.criterion}: predicted {self.predicted}, {verdict} ({self.movement})"


def outcomes(predicted: Sequence[Any], before: Summary, after: Summary) -> list[Outcome]:
    """Return what came of predictions, each with a `criterion` and an `effect`."""
    moved = movements(before, after)
    return [Outcome(p.criterion, p.effect, moved[p.criterion]) for p in predicted]
