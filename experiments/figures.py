"""Figures of a comparison. Each function returns a figure; `save` writes it as PNG and PDF."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from experiments import frames
from experiments.frames import REFERENCE, Summary, unit_of
from experiments.records import Record, Settings, write_atomically
from experiments.stats import bootstrap_interval
from experiments.tables import comparator
from radplan_env.render.colors import drawing_order
from radplan_env.render.dvh import Curves

AGENT_COLORS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"),
    *("#332288", "#882255", "#999933", "#AA4499", "#117733", "#44AA99", "#DDCC77", "#888888"),
)
"""Okabe and Ito's palette, then colours of Paul Tol's muted one: apart for every colour vision."""

BOX_METRICS = ("mean", "D50%", "V15Gy")
"""The panels of the paper's figure 3."""

LEGEND_COLUMNS = 6
"""Agents side by side in a legend below a figure."""

FOOTNOTE = "Our plans are ideal fluences, before sequencing."


def save(figure: Figure, path: Path, *, pdf: bool = True) -> None:
    """Write PATH.png and, unless told otherwise, PATH.pdf."""
    for suffix in (".png", ".pdf") if pdf else (".png",):
        # No date in the file: the same results give the same picture.
        metadata = {"CreationDate": None} if suffix == ".pdf" else None
        write_atomically(path.with_suffix(suffix), partial(figure.savefig, metadata=metadata))


def sample_efficiency(settings: Settings, records: Sequence[Record], references: Mapping[str, Summary]) -> Figure:
    """Best score so far against solves: mean over cases, band of the 95 % bootstrap interval."""
    figure, (axes,) = _figure(1, 1, width=7.0, height=4.6)
    by_case = frames.scores(records).groupby(["agent", "case", "solve"])["best"].mean()
    shown = by_case.index.unique("agent")
    for agent, color in agent_colors(settings).items():
        if agent not in shown:
            continue
        own = by_case.loc[agent].unstack("solve")
        low, high = bootstrap_interval(own.to_numpy())
        axes.fill_between(own.columns, low, high, color=color, alpha=0.15, linewidth=0)
        axes.plot(own.columns, own.mean(), color=color, marker="o", markersize=4, label=f"{agent} (n = {len(own)})")
    if references:
        scores = [summary["score"] for summary in references.values()]
        label = f"{REFERENCE}s (n = {len(scores)})"
        axes.axhline(float(np.mean(scores)), color="black", linestyle="--", linewidth=1, label=label)
    axes.set(xlabel="Solves (inner optimisations)", ylabel="Best score so far", xlim=(0.8, settings.budget + 0.2))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(frameon=False, loc="outside right upper")  # on the axes it would hide curves
    axes.set_title(f"{settings.site}: mean over n cases, 95 % bootstrap interval", loc="left", fontsize=10)
    return figure


def dvh_comparison(settings: Settings, case: str, curves: Mapping[str, Curves]) -> Figure:
    """DVHs of one case, a panel for each structure: agents in colour, the reference plan dashed.

    Parameters
    ----------
    curves : Mapping[str, Mapping]
        By method (agent or reference plan): structure to (doses in Gy, volume in %), as in `Evaluation.dvh`.
    """
    structures = drawing_order({name for plan in curves.values() for name in plan})
    columns = min(4, len(structures))
    figure, panels = _figure(-(-len(structures) // columns), columns, width=3.2 * columns, height=None)
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
    figure.legend(
        handles.values(),
        handles.keys(),
        frameon=False,
        loc="outside lower right",
        ncols=min(len(handles), LEGEND_COLUMNS),
    )
    figure.suptitle(f"{case}: plan handed over by each agent, first seed", x=0.01, ha="left", fontsize=11)
    return figure


def differences(settings: Settings, records: Sequence[Record], references: Mapping[str, Summary]) -> Figure | None:
    """Box plots of agent minus comparator, paired by case, as the paper's figure 3; None without pairs.

    Below zero the agent gives the organ less dose.
    """
    against = comparator(settings, references)
    by_case = _paired(settings, records, references, against)
    if by_case.empty:
        return None
    figure, panels = _figure(1, len(BOX_METRICS), width=4.6 * len(BOX_METRICS), height=4.4)
    organs = drawing_order(by_case.index.unique("structure"))
    agents = [agent for agent in settings.agents if agent in by_case.columns]
    colors = agent_colors(settings)
    width = 0.8 / len(agents)
    for axes, metric in zip(panels, BOX_METRICS, strict=True):
        for i, agent in enumerate(agents):
            for j, organ in enumerate(organs):
                values = by_case.xs((organ, metric), level=("structure", "metric"))[agent].dropna().to_numpy()
                _box(axes, values, j + (i - (len(agents) - 1) / 2) * width, 0.8 * width, colors[agent])
        axes.axhline(0, color="#C8321F", linewidth=1)
        axes.set_xticks(range(len(organs)), organs, rotation=30, ha="right")
        axes.set_ylabel(f"Δ {metric} [{unit_of(metric)}]")
    for agent in agents:
        panels[0].plot([], [], color=colors[agent], linewidth=5, alpha=0.5, label=agent)
    figure.legend(frameon=False, loc="outside lower right", ncols=min(len(agents), LEGEND_COLUMNS))
    n = by_case.index.unique("case").size
    title = f"Agent minus {against}, paired by case (n = {n}); below zero: less dose to the organ"
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    return figure


def _paired(
    settings: Settings, records: Sequence[Record], references: Mapping[str, Summary], against: str
) -> pd.DataFrame:
    """Agent minus comparator: index structure, case, metric; a column for each agent."""
    frame = frames.metrics(records, references)
    organs = frame[(frame["kind"] == "organ") & frame["metric"].isin(BOX_METRICS)]
    wide = organs.groupby(["structure", "case", "metric", "method"])["value"].mean().unstack("method")
    if against not in wide:
        return pd.DataFrame()
    others = [agent for agent in settings.agents if agent in wide and agent != against]
    return wide[others].sub(wide[against], axis=0).dropna(how="all")


def _box(axes: Axes, values: Any, position: float, width: float, color: str) -> None:
    """A box with every case's value on it: with few cases the points are the honest picture."""
    if len(values) == 0:
        return
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
    axes.plot(np.full(len(values), position), values, ".", color=color, markersize=4)


def agent_colors(settings: Settings) -> dict[str, str]:
    """Colour of each agent, by its place in the settings."""
    return {agent: AGENT_COLORS[i % len(AGENT_COLORS)] for i, agent in enumerate(settings.agents)}


def _figure(rows: int, columns: int, *, width: float, height: float | None) -> tuple[Figure, list[Axes]]:
    """A figure off pyplot's books, so nothing needs closing, with a grid of like panels."""
    figure = Figure(figsize=(width, height or 2.6 * rows + 0.5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in panels:
        axes.grid(True, color="#D9D9D9", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    figure.supxlabel(FOOTNOTE, x=0.01, ha="left", fontsize=8, color="#555555")
    return figure, panels
