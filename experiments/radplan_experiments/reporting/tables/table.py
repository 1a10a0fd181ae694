"""A table: a title, numbers, how they are shown, a note."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

UNKNOWN = "–"
WIDENED = "widened for few cases"
"""What percentile intervals of a bootstrap are, see `reporting.stats`; the overview's note says how."""
TRACKS = (
    "Track: ranked for agents in a process of their own, which see the tools of the planner's console alone; open for "
    "agents with the environment in hand."
)
SD, LOW, HIGH = " SD", " CI low", " CI high"
"""Ends of the names of columns that are shown in brackets behind another."""


@dataclass(frozen=True)
class Table:
    """A titled data frame; columns "X SD" and "X CI low", "X CI high" are shown in brackets behind X.

    Parameters
    ----------
    name : str
        File name of the CSV.
    title, note : str
        Shown above and below.
    frame : DataFrame
        Numbers, unrounded.
    decimals : int
        Decimals shown.
    decimals_of : Mapping[str, int]
        Decimals of columns that differ.
    brackets : bool
        Whether SDs and intervals are shown; the CSV has them in any case.
    is_long : bool
        Whether it is too long to read, and a CSV only.
    """

    name: str
    title: str
    note: str
    frame: pd.DataFrame
    decimals: int = 2
    decimals_of: Mapping[str, int] = field(default_factory=dict)
    brackets: bool = True
    is_long: bool = False

    def cells(self) -> tuple[list[str], list[list[str]]]:
        """Headings, and rows of texts, as they are shown."""
        columns = [str(name) for name in self.frame.columns if not str(name).endswith((SD, LOW, HIGH))]
        return columns, [[self._cell(row, column) for column in columns] for _, row in self.frame.iterrows()]

    def markdown(self) -> str:
        """The table as an aligned Markdown table under its title."""
        columns, rows = self.cells()
        rows = [[text.replace("|", "\\|") for text in row] for row in rows]
        widths = [max(len(text) for text in texts) for texts in zip(columns, *rows, strict=True)]
        rule = ["-" * width for width in widths]
        lines = [
            "| " + " | ".join(text.ljust(width) for text, width in zip(texts, widths, strict=True)) + " |"
            for texts in (columns, rule, *rows)
        ]
        return "\n".join([f"## {self.title}", "", *lines, "", self.note, ""])

    def _cell(self, row: pd.Series[Any], column: str) -> str:
        if not isinstance(row[column], float):
            return str(row[column])
        decimals = self.decimals_of.get(column, self.decimals)

        def shown(name: str) -> str:
            return f"{row[name]:z.{decimals}f}"

        if pd.isna(row[column]):
            return UNKNOWN
        text = shown(column)
        if self.brackets and pd.notna(row.get(column + SD)):
            text += f" ({shown(column + SD)})"
        if self.brackets and pd.notna(row.get(column + LOW)):
            text += f" [{shown(column + LOW)}, {shown(column + HIGH)}]"
        return text


def with_interval(column: str, value: float, ends: ArrayLike) -> dict[str, float]:
    """A value and its interval, as columns of a row."""
    low, high = np.asarray(ends, dtype=float)
    return {column: float(value), column + LOW: float(low), column + HIGH: float(high)}


def known_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns of which anything is known."""
    return frame.drop(columns=[name for name in frame if frame[name].isna().all()])


def mean_or_nan(values: Sequence[float]) -> float:
    """The mean, NaN of nothing."""
    return float(np.mean(values)) if len(values) else float("nan")


def told(episodes: Sequence[Mapping[str, Any]], name: str) -> float:
    """Mean of the numbers that agents say of their episodes under a name; NaN if none says one."""
    found = [(record.get("agent_record") or {}).get(name) for record in episodes]
    return mean_or_nan([value for value in found if isinstance(value, int | float)])
