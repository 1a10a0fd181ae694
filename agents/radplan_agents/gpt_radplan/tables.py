"""Numbers as the model reads them: tables, with every comparison already made."""

from __future__ import annotations

from collections.abc import Sequence

from radplan_agents.criteria import Criterion, criterion_name
from radplan_agents.gpt_radplan.task import Task
from radplan_agents.plan_changes import Parameters
from radplan_env.planning import Summary
from radplan_env.render.text import aligned, criterion_row, number

ROOM = 0.1
"""From this share of its limit on a criterion has room to give way."""


def margin_in_words(criterion: Criterion) -> str:
    """Return how a criterion stands to its limit, such as "over by 2.55 Gy", without a sign to misread."""
    margin = criterion_row(criterion)[-1].lstrip("+-")
    distance = f"{margin} {criterion['unit']}".rstrip()
    if criterion["passed"]:
        return f"{distance} to spare" if criterion["margin"] >= 0 else "within tolerance"
    return f"over by {distance}" if criterion["upper"] else f"short by {distance}"


def criteria_table(criteria: Sequence[Criterion], task: Task, examples: Sequence[Summary] = ()) -> str:
    """Return the criteria with value, limit and standing, and what other patients' plans reached where this one fails.

    Those that fail come first, by priority, then the others, the tightest first, and last those that are held.
    """
    titles = ("", "priority", "criterion", "value", "limit", "standing")
    rows = [(*titles, *(f"example {number}" for number in range(1, len(examples) + 1)))]
    reached = [{criterion_name(c): criterion_row(c)[4].split()[0] for c in example["criteria"]} for example in examples]
    for criterion in sorted(criteria, key=lambda c: _place(c, task)):
        name = criterion_name(criterion)
        verdict, _, _, limit, value, _ = criterion_row(criterion)
        stands = "held" if _is_safe(criterion, task) else margin_in_words(criterion)
        others = ("" if criterion["passed"] else values.get(name, "-") for values in reached)
        rows.append((verdict, str(criterion["priority"]), name, value, limit, stands, *others))
    return aligned(rows, "<><>><" + ">" * len(examples))


def room_by_structure(criteria: Sequence[Criterion], task: Task) -> str:
    """Return the criteria that are met and not held, a line for each structure, with the room in % of the limit."""
    lines: dict[str, list[str]] = {}
    for criterion in criteria:
        if criterion["passed"] and not _is_safe(criterion, task):
            room = number(max(0.0, 100 * criterion["relative_margin"]), 0)
            lines.setdefault(criterion["structure"], []).append(f"{criterion['metric']} {room}")
    return "\n".join(f"{structure}: {', '.join(rooms)}" for structure, rooms in lines.items())


def tight_and_roomy(criteria: Sequence[Criterion], task: Task) -> tuple[list[str], list[str]]:
    """Return the names of the criteria that are met and not held: those with little room to the limit, and the rest."""
    met = [criterion for criterion in criteria if criterion["passed"] and not _is_safe(criterion, task)]
    tight = [criterion_name(c) for c in met if c["relative_margin"] < ROOM]
    return tight, [name for name in map(criterion_name, met) if name not in tight]


def goals_table(criteria: Sequence[Criterion]) -> str:
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


def _is_safe(criterion: Criterion, task: Task) -> bool:
    """Whether a criterion is met and stays so whatever the planner does."""
    return bool(criterion["passed"]) and criterion_name(criterion) in task.held


def _place(criterion: Criterion, task: Task) -> tuple[bool, bool, int, float]:
    """Where a criterion stands in the table."""
    passed = bool(criterion["passed"])
    return _is_safe(criterion, task), passed, 0 if passed else criterion["priority"], criterion["relative_margin"]
