"""The table of what delivering the plans would take."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from radplan_experiments.recording.records import Record
from radplan_experiments.recording.settings import Settings
from radplan_experiments.reporting import frames
from radplan_experiments.reporting.tables.means import rows_of_means
from radplan_experiments.reporting.tables.table import Table, known_columns

MU = "MU per fraction"
HEADINGS = {
    "mu_per_fraction": MU,
    "highest_over_median": "highest bixel over median",
    "rounding_costs": "rounding costs [points]",
}
NOTE = (
    "Mean (SD) over cases of the ideal fluence of the plan that each episode handed over. Monitor units by sliding "
    "windows, without transmission and speed limits; the highest bixel over the median of the open ones; the points "
    "that rounding to ten intensity levels a beam costs. Nothing of it counts in the score."
)


def complexity(settings: Settings, records: Sequence[Record]) -> Table:
    """One row an agent: monitor units, highest bixel over the median, what rounding costs."""
    values = [
        {"method": method, "case": case, **{name: plan["complexity"].get(name, np.nan) for name in HEADINGS}}
        for method, case, _, plan in frames.plans(records)
    ]
    by_case = pd.DataFrame(values).groupby(["method", "case"])[list(HEADINGS)].mean()
    frame = known_columns(pd.DataFrame(rows_of_means(settings, by_case, HEADINGS)))
    return Table("complexity", "What delivering the plans would take", NOTE, frame, 1, {MU: 0})
