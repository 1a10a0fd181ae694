"""Which pictures of a step's conversation are shown, each of them once."""

from __future__ import annotations

from collections.abc import Sequence

from radplan_agents.gpt_radplan.library import ReferencePlan
from radplan_agents.gpt_radplan.memory import Memory, Step
from radplan_agents.llm import Image, Text
from radplan_env.render.views import View

Shown = tuple[Text | Image, ...]


def of_plan(memory: Memory, *, judged: bool) -> Shown:
    """Return every picture of the current plan, explained.

    Parameters
    ----------
    memory : Memory
    judged : bool
        Whether the plan is to be judged; else it is one to go on from.
    """
    title = f"Step {memory.last.number}, the plan to judge" if judged else f"Step {memory.last.number}, the last plan"
    return _pairs([(title, view.caption, view) for view in memory.last.views])


def of_steps(steps: Sequence[Step]) -> Shown:
    """Return the first picture of each of these steps."""
    return _pairs([(f"Step {step.number}", view.name, view) for step in steps for view in step.views[:1]])


def of_examples(references: Sequence[ReferencePlan]) -> Shown:
    """Return the first picture of each of these plans."""
    return _pairs(
        [(f"Example {i}", view.name, view) for i, each in enumerate(references, 1) for view in each.views[:1]]
    )


def _pairs(titled: Sequence[tuple[str, str, View]]) -> Shown:
    names = [(f"{title}: {caption}", view) for title, caption, view in titled]
    return tuple(part for name, view in names for part in (Text(text=name), Image(png=view.png, name=name)))
