"""What the figures of a comparison share: colours, a grid of panels, how they are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from radplan_experiments.recording.settings import Settings
from radplan_experiments.writing import write_atomically

AGENT_COLORS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"),
    *("#332288", "#882255", "#999933", "#AA4499", "#117733", "#44AA99", "#DDCC77", "#888888"),
)
"""Okabe and Ito's palette, then colours of Paul Tol's muted one: apart for every colour vision."""

FOOTNOTE_INCHES = 3.0

DASH = 5.0
"""Length of a dash in line widths, where curves take turns."""

LineStyle = Literal["solid"] | tuple[float, tuple[float, float]]


def save(figure: Figure, path: Path, *, pdf: bool = True) -> None:
    """Write PATH.png and, unless told otherwise, PATH.pdf; panels keep the places they have in the first."""
    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # to place panels takes as long as to draw them
    for suffix in (".png", ".pdf") if pdf else (".png",):
        # No date in the file: the same results give the same picture.
        metadata = {"CreationDate": None} if suffix == ".pdf" else None
        write_atomically(path.with_suffix(suffix), partial(figure.savefig, metadata=metadata))


def agent_colors(settings: Settings) -> dict[str, str]:
    """Colour of each agent, by its place in the settings."""
    return {agent: AGENT_COLORS[i % len(AGENT_COLORS)] for i, agent in enumerate(settings.agents)}


def taking_turns(curves: Mapping[str, Sequence[float]]) -> dict[str, LineStyle]:
    """Line styles by name: curves of the same values take turns along the line, so that none hides behind another."""
    alike: dict[tuple[float, ...], list[str]] = {}
    for name, values in curves.items():
        alike.setdefault(tuple(values), []).append(name)
    return {
        name: (-DASH * place, (DASH, DASH * (len(names) - 1))) if len(names) > 1 else "solid"
        for names in alike.values()
        for place, name in enumerate(names)
    }


def legend_below(figure: Figure, handles: Sequence[Artist]) -> None:
    """Name what is drawn, below the panels and right of the footnote, in as many rows as that takes."""
    entry = 0.7 + 0.08 * max(len(str(handle.get_label())) for handle in handles)  # inches, at matplotlib's font size
    columns = max(1, int((figure.get_figwidth() - FOOTNOTE_INCHES) / entry))
    figure.legend(handles=handles, frameon=False, loc="outside lower right", ncols=min(len(handles), columns))


def grid_of_panels(rows: int, columns: int, *, width: float, height: float | None) -> tuple[Figure, list[Axes]]:
    """A figure off pyplot's books, so nothing needs closing, with a grid of like panels."""
    figure = Figure(figsize=(width, height or 2.6 * rows + 0.5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in panels:
        axes.grid(True, color="#D9D9D9", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels


def add_footnote(figure: Figure, text: str) -> None:
    """Write a line below the panels, where there is one."""
    if text:
        figure.supxlabel(text, x=0.01, ha="left", fontsize=8, color="#555555")
