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
    """Stages of the plans of some episodes."""
    return stages_of(step for record in records for step in record["steps"])


def footnote(stages: Stages) -> str:
    """What stands below figures; nothing where all plans are deliverable."""
    said = caption(sorted(stages))
    return f"Our plans are ideal fluences, {said}." if said else ""


def warning(stages: Stages) -> str:
    """What a reader must know of scores and doses; nothing where all plans are deliverable."""
    said = caption(sorted(stages))
    return (
        f"Our plans are ideal fluences, {said}: not yet deliverable, and better than they could be delivered. Do not "
        "read a lead over a delivered plan out of them."
        if said
        else ""
    )


def kind_of_plan(stages: Stages) -> str:
    """What plans are, in a word: "before sequencing" or "deliverable"; those of no stage were given with the case."""
    return caption(sorted(stages)) or ("deliverable" if stages else "given with the case")
