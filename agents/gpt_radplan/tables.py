"""Numbers as the model reads them: tables, with every comparison already made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agents.gpt_radplan.task import Parameters, Summary, Task, criterion_name
from radplan_env.render.text import aligned, criterion_row, number


def criteria_table(criteria: Sequence[Mapping[str, Any]]) -> str:
    """Return the criteria with verdict, value, limit and margin, failing ones first, by priority."""
    rows = [("", "priority", "criterion", "value", "limit", "margin")]
    for criterion in sorted(criteria, key=lambda c: (c["passed"], c["priority"])):
        verdict, _, _, limit, value, margin = criterion_row(criterion)
        if criterion["passed"] and criterion["margin"] < 0:
            margin = "within tolerance"
        rows.append((verdict, str(criterion["priority"]), criterion_name(criterion), value, limit, margin))
    return aligned(rows, "<><>>>")


def room_by_structure(criteria: Sequence[Mapping[str, Any]]) -> str:
    """Return the criteria that are met, a line for each structure, with the room to the limit in % of it."""
    lines: dict[str, list[str]] = {}
    for criterion in criteria:
        if criterion["passed"]:
            room = number(max(0.0, 100 * criterion["relative_margin"]), 0)
            lines.setdefault(criterion["structure"], []).append(f"{criterion['metric']} {room}")
    return "\n".join(f"{structure}: {', '.join(rooms)}" for structure, rooms in lines.items())


def goals_table(criteria: Sequence[Mapping[str, Any]]) -> str:
    """Return the protocol's goals alone, in its order."""
    rows = [("priority", "criterion", "limit")]
    rows += [(str(c["priority"]), criterion_name(c), criterion_row(c)[3]) for c in criteria]
    return aligned(rows, "><>")


def statistics_table(plan: Summary) -> str:
    """Return mean and highest dose by structure, in Gy."""
    rows = [("structure", "mean [Gy]", "max [Gy]")]
    rows += [
        (structure, number(values["mean"], 1), number(values["max"], 1))
        for structure, values in plan["metrics"].items()
        if {"mean", "max"} <= set(values)
    ]
    return aligned(rows, "<>>")


def parameters_table(parameters: Parameters, task: Task) -> str:
    """Return weight and objective dose by structure; those at an end of their range say so."""
    rows: list[Sequence[str]] = [("structure", "weight", "objective_dose [Gy]")]
    for structure, values in parameters.items():
        cells = []
        for quantity, form in (("weight", "{:.4g}"), ("objective_dose_gy", "{:g}")):
            low, high = task.ranges[structure][quantity]
            end = {low: " (lowest)", high: " (highest)"}.get(values[quantity], "")
            cells.append(number(values[quantity], form) + end)
        rows.append((structure, *cells))
    return aligned(rows, "<>>")
