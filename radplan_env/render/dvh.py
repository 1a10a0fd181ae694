"""Dose-volume histograms as a plot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from radplan_env.case import Case
from radplan_env.metrics import dvh
from radplan_env.render.colors import drawing_order, structure_colors
from radplan_env.render.drawing import Drawing
from radplan_env.structure_names import is_target

Curves = Mapping[str, tuple[NDArray[Any], NDArray[Any]]]

STEP_GY = 0.25


def dvh_curves(case: Case, dose_gy: NDArray[Any]) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
    """Return the cumulative DVH of every structure.

    Parameters
    ----------
    case : Case
    dose_gy : ndarray, shape (z, y, x)
        Total dose on the CT grid, Gy.

    Returns
    -------
    dict
        Structure name to (edges in Gy, % of the volume that receives at least each edge).
    """
    edges = np.arange(0.0, float(dose_gy.max()) + 2 * STEP_GY, STEP_GY)
    return {name: (edges, dvh(dose_gy[mask], edges)) for name, mask in case.structures.items()}


def draw_dvh(axes: Axes, curves: Curves, *, prescription_gy: float, reference: Curves | None = None) -> None:
    """Draw DVHs in their structures' colours with a line at the prescription; a reference plan's are dashed.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    curves, reference : Mapping
        Structure name to (edges in Gy, volume in %): what `dvh_curves` returns and `Evaluation.dvh` holds.
    prescription_gy : float
        Prescription of the primary target, Gy.
    """
    colors = structure_colors(curves)
    for name in reversed(drawing_order(curves)):
        axes.plot(*curves[name], color=colors[name], linewidth=2.2 if is_target(name) else 1.7)
        if reference and name in reference:
            axes.plot(*reference[name], color=colors[name], linewidth=1.1, linestyle=(0, (4, 2)))
    axes.axvline(prescription_gy, color="black", linewidth=0.9, linestyle=":")
    axes.annotate(
        f"Rx {prescription_gy:g} Gy",
        (prescription_gy, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(0, 3),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=8,
    )
    highest = max(float(edges[-1]) for edges, _ in (*curves.values(), *(reference or {}).values()))
    axes.set(xlim=(0, max(1.12 * prescription_gy, highest)), ylim=(0, 102), xlabel="Dose [Gy]", ylabel="Volume [%]")
    axes.grid(True, color="#D9D9D9", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)
    if reference:
        handles = [
            Line2D([], [], color="black", label="this plan"),
            Line2D([], [], color="black", linestyle=(0, (4, 2)), label="reference"),
        ]
        axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, fontsize=8.5)


def dvh_figure(
    curves: Curves, *, prescription_gy: float, reference: Curves | None = None, title: str | None = None
) -> Drawing:
    """Return the DVH plot with a legend as a figure of its own; arguments as for `draw_dvh`."""
    figure = Drawing(8.6, 4.8)
    axes = figure.add_axes((0.075, 0.115, 0.72, 0.76))
    draw_dvh(axes, curves, prescription_gy=prescription_gy, reference=reference)
    colors = structure_colors(curves)
    handles = [Line2D([], [], color=colors[name], linewidth=2.4, label=name) for name in drawing_order(curves)]
    figure.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.81, 0.89), frameon=False, fontsize=8.5)
    if title:
        figure.text(0.075, 0.965, title, fontsize=11, fontweight="bold", va="center")
    return figure
