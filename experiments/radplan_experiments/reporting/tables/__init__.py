"""Tables of a comparison: aligned text that is Markdown too, and the numbers behind it as CSV."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from radplan_env.planning import Summary
from radplan_experiments.recording.records import Record
from radplan_experiments.recording.settings import Settings
from radplan_experiments.reporting import frames
from radplan_experiments.reporting.tables.against_reference import against_reference
from radplan_experiments.reporting.tables.agent_records import agent_records
from radplan_experiments.reporting.tables.comparisons import (
    dose_differences,
    gain_over_random,
    improvement,
    score_differences,
)
from radplan_experiments.reporting.tables.complexity import complexity
from radplan_experiments.reporting.tables.delivery import delivery
from radplan_experiments.reporting.tables.doses import criteria_met, organ_metrics, target_metrics
from radplan_experiments.reporting.tables.effort import effort, language_model
from radplan_experiments.reporting.tables.goals import episodes, solves_needed
from radplan_experiments.reporting.tables.patients import scores_by_case
from radplan_experiments.reporting.tables.refusals import refused_plans
from radplan_experiments.reporting.tables.regret import regret
from radplan_experiments.reporting.tables.scores import overview, score_by_solve, score_statistics
from radplan_experiments.reporting.tables.solves import solves
from radplan_experiments.reporting.tables.table import UNKNOWN, Table
from radplan_experiments.reporting.tables.telling_apart import practical_equivalence, variance
from radplan_experiments.writing import write_text

__all__ = [
    "UNKNOWN",
    "Table",
    "against_reference",
    "agent_records",
    "all_tables",
    "complexity",
    "criteria_met",
    "delivery",
    "dose_differences",
    "effort",
    "episodes",
    "gain_over_random",
    "improvement",
    "language_model",
    "organ_metrics",
    "overview",
    "practical_equivalence",
    "refused_plans",
    "regret",
    "save",
    "score_by_solve",
    "score_differences",
    "score_statistics",
    "scores_by_case",
    "solves",
    "solves_needed",
    "target_metrics",
    "variance",
]


AT_FIRST_SIGHT = ("delivery", "overview", "scores_by_case", "language_model")
"""Tables that a terminal shows, of all that are in tables.md."""


def all_tables(settings: Settings, records: Iterable[Record], references: Mapping[str, Summary]) -> list[Table]:
    """Every table of a run that has something to say.

    Parameters
    ----------
    settings : Settings
        What was run.
    records : iterable of dict
        Episode records.
    references : Mapping[str, dict]
        Plan summary of the reference plan, by case, for the cases that have one.
    """
    records = list(records)
    tables = [delivery(settings, records), overview(settings, records)]
    if frames.complete(records):
        tables += [
            scores_by_case(settings, records),
            score_statistics(settings, records),
            score_differences(settings, records),
            improvement(settings, records),
            score_by_solve(settings, records),
            gain_over_random(settings, records),
            criteria_met(settings, records),
            target_metrics(settings, records),
            organ_metrics(settings, records),
            dose_differences(settings, records),
            against_reference(settings, records),
            complexity(settings, records),
            regret(settings, records),
            practical_equivalence(settings, records),
            variance(settings, records),
            solves_needed(settings, records, references),
            refused_plans(settings, records),
            episodes(settings, records, references),
            solves(settings, records, references),
        ]
    tables += [effort(settings, records), language_model(settings, records), agent_records(settings, records)]
    return [table for table in tables if not table.frame.empty]


def save(tables: Sequence[Table], folder: Path, heading: str) -> str:
    """Write DIR/tables.md and DIR/tables/NAME.csv; return what of it a terminal shows."""
    shown = [table for table in tables if not table.is_long]
    write_text(folder / "tables.md", _text(heading, shown))
    shutil.rmtree(folder / "tables", ignore_errors=True)
    for table in tables:
        write_text(folder / "tables" / f"{table.name}.csv", table.frame.to_csv(index=False))
    return _text(heading, [table for table in shown if table.name in AT_FIRST_SIGHT])


def _text(heading: str, tables: Iterable[Table]) -> str:
    return "\n".join([heading, "", *(table.markdown() for table in tables)])
