"""Figures of the doses that the agents' plans give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from radplan_env.metrics import parse_metric
from radplan_env.render.colors import drawing_order, structure_colors
from radplan_env.render.dvh import Curves
from radplan_experiments.recording.records import Record
from radplan_experiments.recording.settings import Settings
from radplan_experiments.reporting import frames
from radplan_experiments.reporting.figures.style import agent_colors, grid_of_panels, legend_below
from radplan_experiments.reporting.frames import REFERENCE
from radplan_experiments.reporting.stats import ENOUGH_CASES

Doses = NDArray[np.float64]

BOX_METRICS = ("mean", "D50%", "V15Gy")
"""The panels of the paper's figure 3."""

BOXES_BESIDE = 20
"""Boxes in a panel with which the panels fit side by side; they stand one above the other where there are more."""


def dvh_comparison(settings: Settings, case: str, curves: Mapping[str, Curves]) -> Figure:
    """DVHs of one case, a panel for each structure: agents in colour, the reference plan dashed.

    Parameters
    ----------
    curves : Mapping[str, Mapping]
        By method (agent or reference plan): structure to (doses in Gy, volume in %), as in `Evaluation.dvh`.
    """
    structures = drawing_order({name for plan in curves.values() for name in plan})
    columns = min(4, len(structures))
    figure, panels = grid_of_panels(-(-len(structures) // columns), columns, width=3.2 * columns, height=None)
    styles: dict[str, dict[str, Any]] = {agent: {"color": c} for agent, c in agent_colors(settings).items()}
    styles[REFERENCE] = {"color": "black", "linestyle": "--", "linewidth": 1.2}
    for axes, structure in zip(panels, structures, strict=False):
        for method, plan in curves.items():
            if structure in plan:
                axes.plot(*plan[structure], label=method, **styles[method])
        axes.set_title(structure, loc="left", fontsize=10)
        axes.set(ylim=(0, 102), xlim=(0, None), xlabel="Dose [Gy]", ylabel="Volume [%]")
    for axes in panels[len(structures) :]:
        axes.set_visible(False)
    handles = {label: h for axes in panels for h, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    legend_below(figure, list(handles.values()))
    figure.suptitle(f"{case}: plan handed over by each agent, first seed", x=0.01, ha="left", fontsize=11)
    return figure


def mean_dvhs(settings: Settings, curves: Mapping[str, Mapping[str, Sequence[Curves]]], against: str) -> Figure | None:
    """Mean DVHs with bands of one SD over cases, a panel for each method, as the paper's figure 2; None without plans.

    Seeds are averaged within a case. Dashed: the means of the method that the others are compared with.

    Parameters
    ----------
    curves : Mapping[str, Mapping[str, sequence]]
        By method and case, the DVHs of its plans: structure to (doses in Gy, volume in %), as in `Evaluation.dvh`.
    against : str
        The method to compare with, one of `curves` or not.
    """
    methods = [method for method in (*settings.agents, REFERENCE) if curves.get(method)]
    if not methods:
        return None
    columns = min(4, len(methods))
    figure, panels = grid_of_panels(-(-len(methods) // columns), columns, width=max(6.4, 3.2 * columns), height=None)
    means = {method: _mean_curves(curves[method]) for method in methods}
    structures = drawing_order({name for mean in means.values() for name in mean if name != "Body"})
    colors = structure_colors(structures)
    for axes, method in zip(panels, methods, strict=False):
        for name in structures:
            if name in means[method]:
                doses, mean, sd = means[method][name]
                axes.fill_between(doses, mean - sd, mean + sd, color=colors[name], alpha=0.2, linewidth=0)
                axes.plot(doses, mean, color=colors[name], linewidth=1.4)
            if method != against and name in means.get(against, {}):
                axes.plot(*means[against][name][:2], color=colors[name], linewidth=0.8, linestyle=(0, (4, 2)))
        axes.set_title(f"{method} (n = {len(curves[method])})", loc="left", fontsize=10)
        axes.set(ylim=(0, 102), xlim=(0, None), xlabel="Dose [Gy]", ylabel="Volume [%]")
    for axes in panels[len(methods) :]:
        axes.set_visible(False)
    handles = [Line2D([], [], color=colors[name], linewidth=2.2, label=name) for name in structures]
    if against in means and len(methods) > 1:
        handles.append(Line2D([], [], color="black", linewidth=0.8, linestyle=(0, (4, 2)), label=against))
    legend_below(figure, handles)
    figure.suptitle("Mean DVH over n cases, band: ± 1 SD over cases", x=0.01, ha="left", fontsize=11)
    return figure


def _mean_curves(by_case: Mapping[str, Sequence[Curves]]) -> dict[str, tuple[Doses, Doses, Doses]]:
    """By structure: doses in Gy, mean and SD over the cases that have it, of the volume in %."""
    found = {}
    for name in {name for plans in by_case.values() for plan in plans for name in plan}:
        own = [[plan[name] for plan in plans if name in plan] for plans in by_case.values()]
        own = [plans for plans in own if plans]
        doses = max((curve[0] for plans in own for curve in plans), key=lambda edges: float(edges[-1]))
        # Beyond its last dose a curve says nothing; there, at 1.2 of the prescription, hardly any volume is left.
        volumes = np.array([np.mean([np.interp(doses, *curve) for curve in plans], axis=0) for plans in own])
        sd = volumes.std(axis=0, ddof=1) if len(own) > 1 else np.zeros(len(doses))
        found[name] = doses, volumes.mean(axis=0), sd
    return found


def differences(settings: Settings, records: Sequence[Record]) -> Figure | None:
    """Agent minus comparator, paired by case, as the paper's figure 3; None without pairs.

    Below zero the agent gives the organ less dose. Boxes are drawn from `ENOUGH_CASES` on; of fewer cases, their mean.
    """
    against = frames.comparator(settings)
    by_case = _paired(settings, records, against)
    if by_case.empty:
        return None
    organs = drawing_order(by_case.index.unique("structure"))
    agents = [agent for agent in settings.agents if agent in by_case.columns]
    count = len(BOX_METRICS)
    beside = len(organs) * len(agents) <= BOXES_BESIDE
    rows, columns, height = (1, count, 4.4) if beside else (count, 1, 2.8 * count)
    figure, panels = grid_of_panels(rows, columns, width=4.6 * count, height=height)
    colors = agent_colors(settings)
    width = 0.8 / len(agents)
    for axes, metric in zip(panels, BOX_METRICS, strict=True):
        for i, agent in enumerate(agents):
            for j, organ in enumerate(organs):
                values = by_case.xs((organ, metric), level=("structure", "metric"))[agent].dropna().to_numpy()
                _box(axes, values, j + (i - (len(agents) - 1) / 2) * width, 0.8 * width, colors[agent])
        axes.axhline(0, color="#C8321F", linewidth=1)
        turned: dict[str, Any] = {"rotation": 30, "ha": "right"} if beside else {}
        axes.set_xticks(range(len(organs)), organs, **turned)
        axes.set_ylabel(f"Δ {metric} [{parse_metric(metric).unit}]")
    legend_below(figure, [Line2D([], [], color=colors[agent], linewidth=5, alpha=0.5, label=agent) for agent in agents])
    n = by_case.index.unique("case").size
    title = f"Agent minus {against}, paired by case (n = {n}); below zero: less dose to the organ"
    title += "" if n >= ENOUGH_CASES else "; dots: cases, lines: their mean"
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    return figure


def _paired(settings: Settings, records: Sequence[Record], against: str) -> pd.DataFrame:
    """Agent minus comparator: index structure, case, metric; a column for each agent."""
    frame = frames.metrics(records)
    organs = frame[(frame["kind"] == "organ") & frame["metric"].isin(BOX_METRICS)]
    wide = organs.groupby(["structure", "case", "metric", "method"])["value"].mean().unstack("method")
    if against not in wide:
        return pd.DataFrame()
    others = [agent for agent in settings.agents if agent in wide and agent != against]
    return wide[others].sub(wide[against], axis=0).dropna(how="all")


def _box(axes: Axes, values: Any, position: float, width: float, color: str) -> None:
    """Draw every case's value, on a box where there are enough of them for one, else on a line at their mean."""
    if len(values) == 0:
        return
    if len(values) >= ENOUGH_CASES:
        axes.boxplot(
            [values],
            positions=[position],
            widths=width,
            showfliers=False,
            patch_artist=True,
            manage_ticks=False,
            boxprops={"facecolor": color, "alpha": 0.35, "linewidth": 0.8},
            medianprops={"color": "black"},
        )
    else:
        axes.plot([position - width / 2, position + width / 2], [values.mean()] * 2, color=color, linewidth=1.5)
    axes.plot(np.full(len(values), position), values, ".", color=color, markersize=4)
