"""What the open prompts say of plans: δ, the parameters, and what came of them, as the planner's console knows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from radplan_agents.gpt_radplan import tables
from radplan_agents.gpt_radplan.library import ReferencePlan
from radplan_agents.gpt_radplan.memory import Memory, Step
from radplan_agents.gpt_radplan.task import Task
from radplan_agents.language_model_agent import optimiser
from radplan_agents.plan_changes import limits_held
from radplan_env.console import tables as console_tables
from radplan_env.console.desk import Desk, Solved
from radplan_env.console.places import costly_places, told_of
from radplan_env.planning import Summary
from radplan_env.render.text import aligned, dvh_text, number


def told(desk: Desk, memory: Memory, task: Task) -> dict[str, Any]:
    """Return the values of the prompts' shared parts: the current plan whole, of those remembered δ and parameters.

    Parameters
    ----------
    desk : Desk
        The plans, numbered as the steps.
    memory : Memory
        The trajectory.
    task : Task
    """
    solved = desk.plans[memory.last.number - 1]
    now = {
        "criteria": tables.criteria_table(memory.last.plan["criteria"], task),
        "terms": _terms_table(desk, solved),
        "limits": _limits_table(desk, solved),
        "worst": "\n".join(told_of(desk, name, place) for name, place in costly_places(desk, solved)),
        "statistics": tables.statistics_table(memory.last.plan),
    }
    return {
        "optimiser": optimiser(),
        "now": {**_of_step(desk, memory.last, task), **now},
        "remembered": [_of_step(desk, step, task) for step in memory.before_in_full],
    }


def examples_told(references: Sequence[ReferencePlan], task: Task) -> list[dict[str, Any]]:
    """Return what is said of example plans: score, what they fail and what they were made with."""
    return [
        {
            "score": each.summary["score"],
            "criteria": tables.criteria_table(each.summary["criteria"], task),
            "made_with": _made_with(each.summary, task),
            "effects": each.effects,
        }
        for each in references
    ]


def _of_step(desk: Desk, step: Step, task: Task) -> dict[str, Any]:
    curves = desk.plans[step.number - 1].plan.evaluation.dvh
    return {
        "step": step,
        "made_with": _made_with(step.plan, task),
        "dvh": dvh_text(curves, prescription_gy=task.prescription_gy),
    }


def _made_with(plan: Summary, task: Task) -> str:
    table = tables.parameters_table(plan["parameters"], task)
    return f"{table}\nLimits: {'; '.join(limits_held(plan)) or 'none'}"


def _terms_table(desk: Desk, solved: Solved) -> str:
    """The terms of the score, the costliest first: value, points lost, and where all and none are earned."""
    rows: list[Sequence[str]] = [("term", "value", "points lost", "of", *desk.system.scorecard.ends)]
    for row in console_tables.terms(desk, solved):
        ends = (row[end] for end in desk.system.scorecard.ends)
        lost = number(row["points_lost"]), number(row["of"])
        rows.append((row["term"], number(row["value"], "{:.4g}"), *lost, *ends))
    return aligned(rows, "<>>>>>")


def _limits_table(desk: Desk, solved: Solved) -> str:
    """The limits, and the coverage that is always held: held or not, at what value, at what price."""
    rows: list[Sequence[str]] = [("limit", "", "value", "price [% per Gy]")]
    for row in console_tables.limits(desk, solved):
        value = f"{number(row['as_judged'], '{:.4g}')} {row['unit']}".rstrip()
        beyond = ", judged beyond" if row["kept"] is False else ""
        held = f"held{beyond}" if row["held_in_solve"] else "NOT held"
        rows.append((row["limit"], held, value, number(row["price_percent_per_gy"], "{:.3g}")))
    return aligned(rows, "<<>>")
