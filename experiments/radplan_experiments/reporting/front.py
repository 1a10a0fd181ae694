"""Points of a Pareto front: what two metrics trade for each other, who is dominated by whom, the picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Self

import numpy as np
import pandas as pd
from adjustText import adjust_text
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from radplan_env.metrics import parse_metric
from radplan_env.structure_names import is_target
from radplan_experiments.cohort import UsageError
from radplan_experiments.reporting.figures import AGENT_COLORS, add_footnote

HIGHER_IS_BETTER = ("CI", "min", "DCcc")
"""Kinds of a target's metrics that are better the higher they are, as is D_q of its coldest; all others the lower."""
COLDEST_PERCENT = 95.0
"""From this q on, D_q% says how cold a target's coldest part is."""


@dataclass(frozen=True)
class Metric:
    """A dose metric of a structure, such as the Rectum's mean dose."""

    structure: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "Rectum mean".

        Raises
        ------
        UsageError
            If it is not two words.
        """
        structure, _, name = text.partition(" ")
        if not structure or not name or " " in name:
            raise UsageError(f"--metrics: {text!r} is not a structure and one of its metrics, such as 'Rectum mean'")
        return cls(structure, name)

    def __str__(self) -> str:
        return f"{self.structure} {self.name}"

    @property
    def label(self) -> str:
        """Its name with the unit and the better direction."""
        unit = parse_metric(self.name).unit
        return f"{self}{f' [{unit}]' if unit else ''}, {'lower' if self.sign > 0 else 'higher'} is better"

    @property
    def sign(self) -> int:
        """1 if lower is better, else -1: times the value it is a cost."""
        metric = parse_metric(self.name)
        rises = metric.kind in HIGHER_IS_BETTER or (metric.kind == "D%" and metric.number >= COLDEST_PERCENT)
        return -1 if is_target(self.structure) and rises else 1

    def of(self, plan: Mapping[str, Any]) -> float:
        """Its value in a plan's summary.

        Raises
        ------
        UsageError
            If the plan has no such structure or metric; the message says which there are.
        """
        metrics = plan["metrics"]
        if self.structure not in metrics:
            raise UsageError(f"--metrics: there is no {self.structure}; there are {', '.join(metrics)}")
        own = metrics[self.structure]
        if self.name not in own:
            raise UsageError(f"--metrics: {self.structure} has no {self.name}; it has {', '.join(own)}")
        return float(own[self.name])


@dataclass(frozen=True)
class Point:
    """One plan of a sweep.

    Parameters
    ----------
    case, series : str
        Of which patient; what was swept: "weights", or the agent that was given the wish.
    label : str
        The weight ratio, or the wish.
    plan : Mapping
        The plan's summary.
    """

    case: str
    series: str
    label: str
    plan: Mapping[str, Any]


def dominators(costs: ArrayLike) -> NDArray[np.int64]:
    """For each point a point that is as good in every respect and better in one; -1 for points of the front.

    Parameters
    ----------
    costs : (n, m) array_like
        The lower the better.

    Returns
    -------
    (n,) array
        Index of a dominating point that is itself on the front.
    """
    points: NDArray[np.float64] = np.asarray(costs, float)
    no_worse, better_somewhere = (points[:, None] <= points).all(axis=2), (points[:, None] < points).any(axis=2)
    better: NDArray[np.bool_] = np.logical_and(no_worse, better_somewhere)  # [i, j]: i dominates j
    front = ~np.any(better, axis=0)
    return np.where(front, -1, (better & front[:, None]).argmax(axis=0))


def frame_of(points: Sequence[Point], metrics: tuple[Metric, Metric]) -> pd.DataFrame:
    """A row for each point: its metrics, score and, within its case, whether another plan dominates it."""
    rows = []
    for case in dict.fromkeys(point.case for point in points):
        own = [point for point in points if point.case == case]
        values = np.array([[metric.of(point.plan) for metric in metrics] for point in own])
        by = dominators(values * [metric.sign for metric in metrics])
        for point, pair, other in zip(own, values, by, strict=True):
            rows.append(
                {
                    "case": case,
                    "sweep": point.series,
                    "point": point.label,
                    **dict(zip(map(str, metrics), pair.tolist(), strict=True)),
                    "score": float(point.plan["score"]),
                    "dominated by": "" if other < 0 else f"{own[other].series}: {own[other].label}",
                }
            )
    return pd.DataFrame(rows)


def draw(frame: pd.DataFrame, metrics: tuple[Metric, Metric], case: str, below: str = "") -> Figure:
    """The points of one case, filled on the front, hollow where dominated, and a line below them."""
    figure = Figure(figsize=(7.0, 5.4), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    x, y = map(str, metrics)
    own, labels = frame[frame["case"] == case], []
    for (series, part), color in zip(own.groupby("sweep", sort=False), cycle(AGENT_COLORS), strict=False):
        front = part[part["dominated by"] == ""].sort_values(x)
        axes.plot(front[x], front[y], "o-", color=color, markersize=6, linewidth=0.8, label=f"{series}")
        dominated = part[part["dominated by"] != ""]
        axes.plot(dominated[x], dominated[y], "o", color=color, markersize=6, fillstyle="none")
        for across, up, label in zip(part[x], part[y], map(str, part["point"]), strict=True):
            short = label if len(label) <= 28 else f"{label[:27]}…"
            labels.append(axes.text(across, up, short, fontsize=7, color=color))
    axes.plot([], [], "o", color="#555555", fillstyle="none", label="dominated")
    axes.set(xlabel=metrics[0].label, ylabel=metrics[1].label)
    axes.grid(True, color="#D9D9D9", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    axes.set_title(f"{case}: what one costs the other", loc="left", fontsize=10)
    add_footnote(figure, below)
    figure.draw_without_rendering()  # labels are placed where axes come to lie
    thin = {"arrowstyle": "-", "color": "#999999", "linewidth": 0.6}
    adjust_text(labels, own[x], own[y], ax=axes, expand=(1.4, 2.2), arrowprops=thin)
    return figure
