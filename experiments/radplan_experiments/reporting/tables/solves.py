"""Every solve of a run in one row: for those who make tables and figures of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate

import pandas as pd

from radplan_env.planning import Summary
from radplan_experiments.recording.ranking import points
from radplan_experiments.recording.records import Record
from radplan_experiments.recording.settings import Settings
from radplan_experiments.reporting import frames
from radplan_experiments.reporting.best_known import best_known
from radplan_experiments.reporting.goals import goals_of, reached_by
from radplan_experiments.reporting.solves import solves_of
from radplan_experiments.reporting.tables.table import Table

NOTE = (
    "Score: on the verdict's points, after scaling to cover the primary target; where optimised: before it, a promise. "
    "Best so far: 0 where all plans are refused by the screen. Reaches: the score of the template, or that of the "
    "reference on its own voxels, 95 % of the way to the best known. Changed: against the solve before."
)


def solves(settings: Settings, records: Sequence[Record], references: Mapping[str, Summary]) -> Table:
    """One row a solve: its score, the best so far, what its plan reaches and fails, what was changed before it."""
    known, rows = best_known(settings, records), []
    for record in frames.complete(records):
        steps, case = record["steps"], record["case"]
        goals = goals_of(known.get(case), references.get(case))
        best_so_far = accumulate(map(points, steps), max)
        for step, solve, best in zip(steps, solves_of(steps), best_so_far, strict=True):
            rows.append(
                {
                    **{name: record[name] for name in ("agent", "case", "seed")},
                    "solve": solve.number,
                    "score": solve.score,
                    "best so far": best,
                    "score where optimised": step["own_rows_score"],
                    "scaled by": step["scaled_by"],
                    "screened": step["screened"],
                    "met": step["met"],
                    "reaches": "; ".join(reached_by(step, goals)),
                    "refused for": "; ".join(solve.refused_for),
                    "fails": "; ".join(solve.failing),
                    "changed": "; ".join(solve.changed),
                }
            )
    return Table("solves", "Every solve", NOTE, pd.DataFrame(rows), is_long=True)
