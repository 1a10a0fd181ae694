"""Scores patient by patient: what the means of the other tables are made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from radplan_experiments.recording.records import Record
from radplan_experiments.recording.settings import Settings
from radplan_experiments.reporting import frames
from radplan_experiments.reporting.tables.table import SD, UNKNOWN, Table, mean_or_nan

NO_RUNS: NDArray[np.float64] = np.empty(0)


def scores_by_case(settings: Settings, records: Sequence[Record]) -> Table:
    """One row a case, one column a method: the mean over seeds of the best score; below, the mean over cases."""
    runs = frames.runs(frames.plan_scores(records), "score")
    methods = settings.agents
    rows: list[dict[str, object]] = []
    for case in settings.cases:
        row: dict[str, object] = {"case": case}
        for method in methods:
            own = runs.get(method, {}).get(case, NO_RUNS)
            row |= {method: mean_or_nan(own.tolist()), method + SD: own.std(ddof=1) if len(own) > 1 else np.nan}
        rows.append(row)
    if len(rows) > 1:
        means = {method: mean_or_nan([own.mean() for own in runs.get(method, {}).values()]) for method in methods}
        rows.append({"case": "mean", **means})
    seeds = ", mean (SD) over seeds" if settings.seeds > 1 else ""
    what = "Best score" if settings.delivery is None else "Score of the delivered plan"
    note = f"{what} of an episode{seeds}; {UNKNOWN}: failed or not played."
    if len(rows) > 1 and len({frozenset(runs.get(method, ())) for method in methods}) > 1:
        note += " A mean is over the cases that its column has: do not compare those of different cases."
    return Table("scores_by_case", f"{what}, patient by patient", note, pd.DataFrame(rows), decimals=1)
