"""What differs between two plans of a patient: parameters, limits, and what that did to the criteria."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from radplan_agents.criteria import criterion_name
from radplan_env.bound import Bound
from radplan_env.planning import Summary
from radplan_env.render.text import number

Parameters = Mapping[str, Mapping[str, float]]
"""Weight and objective dose by structure, as `info` has them."""

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


def plan_changes(before: Summary, after: Summary) -> list[str]:
    """Return what differs between what two plans were made with: parameters, smoothness, limits and beams."""
    old, new = before["smoothness"], after["smoothness"]
    smoothness = [] if old == new else [f"Fluence smoothness {_spoken(old)} → {_spoken(new)}"]
    chosen = changes(before["parameters"], after["parameters"]) + smoothness
    return chosen + limit_changes(before, after) + beam_changes(before, after)


def _spoken(smoothness: float | None) -> str:
    return "as the protocol has it" if smoothness is None else f"{smoothness:.4g}"


def beam_changes(before: Summary, after: Summary) -> list[str]:
    """Return which angles of beams differ between two plans, such as "Gantry angles 0, 90, 270° → 10, 100, 280°"."""
    gantry = "Gantry", before["gantry_angles_deg"], after["gantry_angles_deg"]
    collimator = "Collimator", before["collimator_angles_deg"], after["collimator_angles_deg"]
    return [
        f"{which} angles {_angles(old)} → {_angles(new)}"
        for which, old, new in (gantry, collimator)
        if list(old) != list(new)
    ]


def _angles(degrees: Sequence[float]) -> str:
    return ", ".join(f"{angle:g}" for angle in degrees) + "°"


def limit_changes(before: Summary, after: Summary) -> list[str]:
    """Return what differs between the limits that two plans had to hold, such as "limit Rectum D8cc ≤ 68 Gy"."""
    held = limits_held(before)
    changed = [f"limit {limit}" for limit in limits_held(after) if limit not in held]
    kept = {criterion_name(limit) for limit in after["limits"]}
    gone = [name for name in map(criterion_name, before["limits"]) if name not in kept]
    return changed + [f"no limit {name}" for name in gone]


def limits_held(plan: Summary) -> list[str]:
    """Return the limits that a plan had to hold, such as "Rectum D8cc ≤ 68 Gy"."""
    held = []
    for limit in plan["limits"]:
        upper = "at_most" in limit
        value = limit["at_most" if upper else "at_least"]
        held.append(Bound(limit["structure"], limit["metric"], upper, value).words)
    return held


def effect_line(before: Summary, after: Summary, *, most: int = 5) -> str:
    """Return in one line what a change of parameters did: the score, and at most so many criteria."""
    score = f"score {before['score']:.1f} → {after['score']:.1f} ({after['score'] - before['score']:+.1f})"
    return f"{score}; {moved_line(before, after, most=most)}"


def moved_line(before: Summary, after: Summary, *, most: int = 5) -> str:
    """Return in one line which criteria a change of parameters made better and worse: at most so many."""
    moved = noticeable(movements(before, after))
    lists = {
        effect: ", ".join(str(m) for m in moved[:most] if m.effect == effect) or "nothing"
        for effect in ("better", "worse")
    }
    return f"better: {lists['better']}; worse: {lists['worse']}"
