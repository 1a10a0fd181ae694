"""What must be said beside plans that are no deliverable ones: it follows from the stage in the records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from radplan_env.info import StageKind
from radplan_env.planning import caption

Stages = frozenset[StageKind]


def stages_of(plans: Iterable[Mapping[str, Any]]) -> Stages:
    """Stages of some plans, as their summaries say."""
    return frozenset(plan["stage"] for plan in plans if "stage" in plan)


def stages_of_records(records: Iterable[Mapping[str, Any]]) -> Stages:
    """Stages of the plans of some episodes, those that they hand over as they are delivered among them."""
    return stages_of(plan for record in records for plan in [*record["steps"], record.get("delivered_plan") or {}])


def footnote(stages: Stages) -> str:
    """What stands below figures; nothing where all plans are deliverable."""
    said = caption(sorted(stages))
    if "deliverable" in stages and said:
        return f"Plans of single solves are ideal fluences, {said}; those handed over are delivered."
    return f"Our plans are ideal fluences, {said}." if said else ""


def warning(stages: Stages) -> str:
    """What a reader must know of scores and doses; nothing where all plans are deliverable."""
    said = caption(sorted(stages))
    if "deliverable" in stages and said:
        return f"Scores and doses are those of delivered plans, but those of single solves: they are of plans {said}."
    return (
        f"Our plans are ideal fluences, {said}: not yet deliverable, and better than they could be delivered. Do not "
        "read a lead over a delivered plan out of them."
        if said
        else ""
    )


def kind_of_plan(stages: Stages) -> str:
    """What plans are, in a word: "before sequencing" or "deliverable"; those of no stage were given with the case.

    Where there are both, plans count as they are delivered.
    """
    return "deliverable" if "deliverable" in stages else caption(sorted(stages)) or "given with the case"
