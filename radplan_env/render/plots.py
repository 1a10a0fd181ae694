"""Plots for vision models, of the size of the other pictures."""

from __future__ import annotations

from matplotlib.lines import Line2D

from radplan_env.render.colors import drawing_order, structure_colors
from radplan_env.render.drawing import Drawing
from radplan_env.render.dvh import Curves, draw_dvh
from radplan_env.render.views import SIDE, View, png_of


def dvh_view(curves: Curves, *, prescription_gy: float, reference: Curves | None = None) -> View:
    """Return a picture of a plan's dose-volume histograms.

    Parameters
    ----------
    curves, reference : Mapping
        Structure name to (edges in Gy, volume in %), of the plan and of the one that it began from, which is dashed.
    prescription_gy : float
        Prescription of the primary target, Gy.
    """
    figure = Drawing(SIDE / 100, SIDE / 100)
    axes = figure.add_axes((0.09, 0.24, 0.88, 0.69))
    draw_dvh(axes, curves, prescription_gy=prescription_gy, reference=reference)
    colors = structure_colors(curves)
    handles = [Line2D([], [], color=colors[name], linewidth=3, label=name) for name in drawing_order(curves)]
    figure.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.07, 0.17), ncols=4, frameon=False, fontsize=9)
    beside = "" if reference is None else " Dashed: the plan that it began from."
    caption = f"Dose-volume histograms: share of each structure that receives at least a dose.{beside}"
    return View("dvh", png_of(figure), caption)
