"""Figures of the scores that agents reach, after Agarwal et al. 2021 (arXiv 2108.13264)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from radplan_experiments.recording.records import Record
from radplan_experiments.recording.settings import Settings
from radplan_experiments.reporting import frames, stats
from radplan_experiments.reporting.figures.style import agent_colors, grid_of_panels, legend_below, taking_turns
from radplan_experiments.reporting.frames import runs_by_case
from radplan_experiments.reporting.tables import comparisons
from radplan_experiments.reporting.tables.table import HIGH, LOW

Array = NDArray[np.float64]

OVERLAID = 5
"""As many agents are told apart in one panel; more get a panel each, with the others in grey behind."""

OTHERS = "#C4C4C4"
CELL_INCHES = 0.72
UNDECIDED = 0.3
"""How much colour a cell of the heat map keeps whose interval holds ½."""


@dataclass(frozen=True)
class Curve:
    """A method's curve with the band of its interval, or, of few cases, the curve of each.

    Parameters
    ----------
    x, y, low, high : (n_points,) array
    cases : int
        Cases that it stands for.
    by_case : (n_cases, n_points) array, optional
        Of each case, where that says something.
    """

    x: Array
    y: Array
    low: Array
    high: Array
    cases: int
    by_case: Array | None = None

    @property
    def has_band(self) -> bool:
        """Whether there are enough cases for an interval that says something."""
        return self.cases >= stats.ENOUGH_CASES

    def highest(self) -> float:
        """The highest value that is drawn."""
        around = self.high if self.has_band or self.by_case is None else self.by_case.max(axis=0)
        return float(max(np.max(self.y), np.max(around)))

    def lowest_end(self) -> float:
        """The lowest value that a line of it ends with."""
        ends = [] if self.has_band or self.by_case is None else self.by_case[:, -1].tolist()
        return float(min([self.y[-1], *ends]))


def sample_efficiency(settings: Settings, records: Sequence[Record]) -> Figure:
    """Best score so far against solves: interquartile mean, band of the 95 % bootstrap interval over cases.

    Of fewer than `stats.ENOUGH_CASES` cases a thin line for each stands in for the band.
    """
    scores = frames.scores(records)
    curves = {agent: _best_so_far(own) for agent, own in scores.groupby("agent")}
    figure, panels = _draw(settings, curves, marker="o", markersize=3)
    ends = [curve.lowest_end() for curve in curves.values()]
    highest = max(curve.highest() for curve in curves.values())
    for axes in panels:
        # From the lowest score that a method ends with: how low one begins would flatten what the others gain.
        axes.set(xlim=(0.8, settings.budget + 0.2), ylim=(min(ends) - 2, highest + 1))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _tell_what_lies_below(axes)
    around = _around(curves.values(), "95 % bootstrap interval over n cases", few="thin lines: each case")
    what = f"interquartile mean of the best score so far{around}"
    _label(figure, panels, f"{settings.site}: {what}", x="Solves (inner optimisations)", y="Best score so far")
    return figure


def _tell_what_lies_below(axes: Axes) -> None:
    """Write the values of the agents' own curves that lie below the axis where they would be."""
    low = axes.get_ylim()[0]
    for line in axes.get_lines():
        if str(line.get_label()).startswith("_"):
            continue
        points = np.column_stack([np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)])
        for x, y in points[points[:, 1] < low].tolist():
            beside: dict[str, Any] = {"xytext": (3, 3), "textcoords": "offset points"}
            axes.annotate(f"▾ {y:.0f}", (x, low), fontsize=8, color=line.get_color(), **beside)


def performance_profile(settings: Settings, records: Sequence[Record]) -> Figure:
    """Share of runs whose best score exceeds τ, against τ, with the pointwise 95 % interval over enough cases."""
    scores = frames.plan_scores(records)
    thresholds = np.unique(scores["score"])
    margin = max(1.0, 0.03 * float(np.ptp(thresholds)))
    thresholds = np.array([thresholds[0] - margin, *thresholds, thresholds[-1] + margin])
    curves = {method: _share_above(own, thresholds) for method, own in scores.groupby("method")}
    figure, panels = _draw(settings, curves, drawstyle="steps-post")
    for axes in panels:
        axes.set(xlim=(thresholds[0], thresholds[-1]), ylim=(-0.02, 1.02))
    what = f"share of runs that score above τ{_around(curves.values(), '95 % interval (Wilson) over n cases')}"
    _label(figure, panels, f"{settings.site}: {what}", x="Score τ", y="Share of runs above τ")
    return figure


def probability_of_improvement(settings: Settings, records: Sequence[Record]) -> Figure | None:
    """Heat map of how often the row's method scores higher than the column's on a case; None for a single method."""
    frame = comparisons.improvement(settings, records).frame
    if frame.empty:
        return None
    methods = [str(method) for method in frame.iloc[:, 0]]
    shares = frame[methods].to_numpy(dtype=float)
    low = frame[[name + LOW for name in methods]].to_numpy(dtype=float)
    high = frame[[name + HIGH for name in methods]].to_numpy(dtype=float)
    side = CELL_INCHES * len(methods)
    figure, (axes,) = grid_of_panels(1, 1, width=max(side + 3.2, 8.0), height=side + 2.4)
    axes.grid(False)
    told = (low > 0.5) | (high < 0.5)
    colors = colormaps["RdBu"](shares)[..., :3]
    strength = np.where(np.isnan(shares), 0, np.where(told, 1, UNDECIDED))[..., None]
    axes.imshow(1 - strength * (1 - colors))
    axes.spines[:].set_visible(False)
    axes.set_xticks(range(len(methods)), methods, rotation=45, ha="right")
    axes.set_yticks(range(len(methods)), methods)
    axes.tick_params(length=0)
    for i, j in zip(*np.nonzero(~np.isnan(shares)), strict=True):
        color = "white" if told[i, j] and abs(shares[i, j] - 0.5) > 0.3 else "black"
        bold = "bold" if told[i, j] else "normal"
        axes.text(j, i - 0.1, f"{shares[i, j]:.2f}", ha="center", va="center", color=color, fontsize=9, weight=bold)
        ends = f"{low[i, j]:.2f}–{high[i, j]:.2f}"
        axes.text(j, i + 0.25, ends, ha="center", va="center", color=color, fontsize=6)
    title = "Probability that the row's best score exceeds the column's on a case"
    below = "below it the 95 % interval over cases; pale where ½ is in it: no difference can be told"
    figure.suptitle(f"{title}\n{below}", x=0.01, ha="left", fontsize=10)
    return figure


def score_differences(settings: Settings, records: Sequence[Record]) -> Figure | None:
    """Best score minus that of the template and of random search, paired by case; None without pairs."""
    pairs_found = comparisons.score_pairs(settings, records)
    found = [(agent, against, passing) for agent, against, passing, _ in pairs_found if passing]
    if not found:
        return None
    comparators = list(dict.fromkeys(against for _, against, _ in found))
    agents = [agent for agent in settings.agents if agent in {agent for agent, _, _ in found}]
    height = 0.32 * len(agents) + 1.8
    figure, panels = grid_of_panels(1, len(comparators), width=max(7.6, 2.0 + 3.4 * len(comparators)), height=height)
    colors = agent_colors(settings)
    for agent, against, pairs in found:
        axes, place, color = panels[comparators.index(against)], agents.index(agent), colors[agent]
        difference = comparisons.differences(pairs)
        axes.plot(difference, np.full(len(difference), place + 0.25), ".", color=color, markersize=4)
        axes.plot(stats.interval_over_cases(difference), [place, place], color=color, linewidth=2)
        axes.plot(difference.mean(), place, "D", color=color, markersize=5, label=agent)
    for axes, against in zip(panels, comparators, strict=True):
        axes.axvline(0, color="#C8321F", linewidth=1)
        axes.set_yticks(range(len(agents)), agents if axes is panels[0] else [""] * len(agents))
        axes.set(ylim=(len(agents) - 0.5, -0.5), xlabel="Δ best score")
        axes.set_title(f"minus {against}", loc="left", fontsize=10)
    title = "Best score, paired by case; right of zero: better"
    below = "mean with 95 % bootstrap interval, each case below"
    figure.suptitle(f"{title}\n{below}", x=0.01, ha="left", fontsize=10)
    return figure


def _best_so_far(own: pd.DataFrame) -> Curve:
    """Interquartile mean and interval after each solve."""
    solves = np.sort(own["solve"].unique())
    runs = [list(runs_by_case(own[own["solve"] == solve], "best").values()) for solve in solves]
    matrices = [stats.balanced(scores) for scores in runs]
    ends = [stats.interval_over_cases(m, stats.interquartile_mean, bounds=stats.SCORES) for m in matrices]
    low, high = np.transpose(ends)
    means = np.array([stats.interquartile_mean(matrix) for matrix in matrices])
    return Curve(solves, means, low, high, len(runs[0]), np.transpose([matrix.mean(axis=1) for matrix in matrices]))


def _share_above(own: pd.DataFrame, thresholds: Array) -> Curve:
    """Share of runs above each threshold, every case weighing the same."""
    runs = runs_by_case(own, "score").values()
    shares = np.array([(scores[:, None] > thresholds).mean(axis=0) for scores in runs])
    low, high = stats.share_interval(shares)
    return Curve(thresholds, shares.mean(axis=0), low, high, len(shares))


def _around(curves: Iterable[Curve], interval: str, *, few: str = "") -> str:
    """What is drawn around the curves: bands of enough cases, something else or nothing around those of fewer."""
    curves = list(curves)
    parts = [f"band: {interval}"] if any(curve.has_band for curve in curves) else []
    parts += [few] if few and any(1 < curve.cases < stats.ENOUGH_CASES for curve in curves) else []
    return "".join(f", {part}" for part in parts)


def _draw(settings: Settings, curves: Mapping[str, Curve], **style: Any) -> tuple[Figure, list[Axes]]:
    """Agents' curves in one panel if they are few, else in a panel each with the others in grey behind."""
    agents = [agent for agent in settings.agents if agent in curves]
    groups = [agents] if len(agents) <= OVERLAID else [[agent] for agent in agents]
    columns = min(4, len(groups))
    width, height = (8.0, 4.8) if len(groups) == 1 else (3.2 * columns, None)
    figure, panels = grid_of_panels(-(-len(groups) // columns), columns, width=width, height=height)
    colors = agent_colors(settings)
    step: Literal["post"] | None = "post" if "drawstyle" in style else None
    for axes, own in zip(panels, groups, strict=False):
        styles = taking_turns({agent: curves[agent].y.tolist() for agent in own})
        for agent in agents:
            curve = curves[agent]
            if agent not in own:
                plain = {key: value for key, value in style.items() if key == "drawstyle"}
                axes.plot(curve.x, curve.y, color=OTHERS, linewidth=0.8, zorder=1, **plain)
                continue
            if curve.has_band:
                band: dict[str, Any] = {"color": colors[agent], "alpha": 0.18, "linewidth": 0, "step": step}
                axes.fill_between(curve.x, curve.low, curve.high, **band)
            elif curve.by_case is not None and curve.cases > 1:
                axes.plot(curve.x, curve.by_case.T, color=colors[agent], alpha=0.6, linewidth=0.7)
            label = f"{agent} (n = {curve.cases})"
            axes.plot(curve.x, curve.y, color=colors[agent], label=label, linestyle=styles[agent], **style)
        if len(groups) > 1:
            axes.set_title(f"{own[0]} (n = {curves[own[0]].cases})", loc="left", fontsize=10)
    for axes in panels[len(groups) :]:
        axes.set_visible(False)
    return figure, panels[: len(groups)]


def _label(figure: Figure, panels: Sequence[Axes], title: str, *, x: str, y: str) -> None:
    """Name axes and curves."""
    for axes in panels:
        axes.set_xlabel(x)
        if axes.get_subplotspec().is_first_col():  # type: ignore[union-attr]
            axes.set_ylabel(y)
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    handles = {str(line.get_label()): line for line in panels[0].get_lines()}
    handles = {label: line for label, line in handles.items() if not label.startswith("_")}
    if len(panels) > 1:  # agents are named by their panels' titles
        handles = {"others": Line2D([], [], color=OTHERS, linewidth=0.8, label="the other agents")}
    legend_below(figure, list(handles.values()))
