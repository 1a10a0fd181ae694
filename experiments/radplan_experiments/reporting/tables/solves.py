"""Every solve of a run in one row: for those who make tables and figures of their own."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate

import pandas as pd

from radplan_experiments.recording.records import Record
from radplan_experiments.reporting import frames
from radplan_experiments.reporting.solves import solves_of
from radplan_experiments.reporting.tables.table import Table


def solves(records: Iterable[Record]) -> Table:
    """One row a solve: its score, the best so far, the criteria its plan fails, and what was changed before it."""
    rows = []
    for record in frames.complete(records):
        own = solves_of(record["steps"])
        for solve, best in zip(own, accumulate((solve.score for solve in own), max), strict=True):
            rows.append(
                {
                    **{name: record[name] for name in ("agent", "case", "seed")},
                    "solve": solve.number,
                    "score": solve.score,
                    "best so far": best,
                    "fails": "; ".join(solve.failing),
                    "changed": "; ".join(solve.changed),
                }
            )
    return Table("solves", "Every solve", "Changed: against the solve before.", pd.DataFrame(rows), is_long=True)
