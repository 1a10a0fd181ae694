"""What code works out of the plans for evaluator and planner alike, so that no expert's slip becomes a fact."""

from __future__ import annotations

from typing import Any

from radplan_agents.gpt_radplan import tables
from radplan_agents.gpt_radplan.memory import Memory, Step
from radplan_agents.gpt_radplan.small.levers import shortfalls, tried
from radplan_agents.gpt_radplan.task import Task


def facts(memory: Memory, step: Step, task: Task) -> dict[str, Any]:
    """Return the values of the prompts' shared parts: what passes, what fails, and what was done about it.

    Parameters
    ----------
    memory : Memory
        The trajectory.
    step : Step
        Whose passing criteria are listed: the last where it is judged, the best where one goes on from it.
    task : Task
    """
    return {
        "step": step,
        "room": tables.room_by_structure(step.plan["criteria"], task),
        "shortfalls": shortfalls({name: step.plan for name, step in memory.starts.items()}, task),
        "tried": tried(memory),
    }
