"""What a physicist reads of a plan in conversation: what stands, and what has changed since the plan it began from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from radplan_agents.plan_changes import Movement, movements, noticeable, plan_changes
from radplan_env.info import PlanSummary
from radplan_env.render.text import criterion_row, verdict

COSTLIEST = 4
"""Terms of the score that are listed: those that lose most, and those that have changed most."""

LEAST_POINTS = 0.05
"""A term that loses or changes less is not listed."""


def first_text(plan: PlanSummary) -> str:
    """Return what stands in a plan: score, criteria that fail, terms of the score that lose most."""
    return _laid_out([("", [verdict(plan)]), ("fails", _failing(plan)), ("loses most", _losses(plan))])


def step_text(before: PlanSummary, after: PlanSummary) -> str:
    """Return what has changed from one plan to another, and what fails now.

    Parameters
    ----------
    before, after : PlanSummary
    """
    moved = noticeable(movements(before, after))
    change = after["score"] - before["score"]
    return _laid_out(
        [
            ("", [f"{change:+.1f}: {verdict(after)}"]),
            ("changed", plan_changes(before, after) or ["nothing"]),
            ("better", _those(moved, "better")),
            ("worse", _those(moved, "worse")),
            ("points", _changed_points(before, after)),
            ("fails", _failing(after)),
        ]
    )


def _those(moved: Iterable[Movement], effect: str) -> list[str]:
    return [str(each) for each in moved if each.effect == effect]


def _failing(plan: PlanSummary) -> list[str]:
    rows = [criterion_row(each)[1:5] for each in plan["criteria"] if not each["passed"]]
    return [f"{structure} {metric} {limit}: {value}" for structure, metric, limit, value in rows]


def _losses(plan: PlanSummary) -> list[str]:
    lost = {name: term["available"] - term["points"] for name, term in plan["terms"].items()}
    most = sorted((name for name in lost if lost[name] >= LEAST_POINTS), key=lambda name: -lost[name])
    return [f"{name}: {lost[name]:.1f} of {plan['terms'][name]['available']:.1f} points" for name in most[:COSTLIEST]]


def _changed_points(before: PlanSummary, after: PlanSummary) -> list[str]:
    change = {name: term["points"] - before["terms"][name]["points"] for name, term in after["terms"].items()}
    most = sorted((n for n in change if abs(change[n]) >= LEAST_POINTS), key=lambda name: -abs(change[name]))
    return [
        f"{name} {change[name]:+.1f}, {after['terms'][name]['points']:.1f} of {after['terms'][name]['available']:.1f}"
        for name in most[:COSTLIEST]
    ]


def _laid_out(parts: Sequence[tuple[str, Sequence[str]]]) -> str:
    """Lines under a word at the left; a part without lines is left out."""
    width = max(len(word) for word, _ in parts) + 2
    lines = []
    for word, own in parts:
        lines += [f"{word if at == 0 else '':{width}}{line}" if word else line for at, line in enumerate(own)]
    return "\n".join(lines)
