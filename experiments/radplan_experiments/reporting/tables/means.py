"""Rows of means: one a method, over its cases."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from radplan_experiments.recording.settings import Settings
from radplan_experiments.reporting import frames
from radplan_experiments.reporting.tables.table import SD


def rows_of_means(settings: Settings, by_case: pd.DataFrame, headings: Mapping[str, str]) -> list[dict[str, object]]:
    """Mean and SD over cases of columns, each under its heading, a row a method.

    Parameters
    ----------
    by_case : DataFrame
        Indexed by method and case.
    headings : Mapping[str, str]
        By column.
    """
    rows = []
    for method in frames.ordered(settings, by_case.index.unique("method")):
        own = by_case.loc[method]
        row: dict[str, object] = {"method": method, "cases": len(own)}
        for name, heading in headings.items():
            row |= {heading: float(own[name].mean()), heading + SD: float(own[name].std())}
        rows.append(row)
    return rows
