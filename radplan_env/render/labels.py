"""What is written on a slice: structure names, orientation letters, scale."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from numpy.typing import NDArray

from radplan_env.render.colors import rgb
from radplan_env.render.planes import Plane

STRIP_INCHES = 0.72
"""Height of the strips above and below a slice: a title, and names in two rows."""

_POINTS = 8.0
_FIRST_ROW, _ROW = 0.34, 0.17  # inches from the edge of the axes to the first row of names, and between rows


def draw_names(
    axes: Axes,
    masks: Mapping[str, NDArray[np.bool_]],
    colors: Mapping[str, str],
    plane: Plane,
    mm_per_inch: float,
) -> None:
    """Name structures above or below the slice, with a line to the outermost point of their contour.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Axes in mm from the picture's top left corner.
    masks : Mapping[str, ndarray of shape (rows, columns)]
        Sections of the structures as pictures, none empty.
    colors : Mapping[str, str]
        Colour by structure.
    plane : Plane
    mm_per_inch : float
        Scale of the axes.
    """
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    for side, names in _sides(masks, plane, (top + bottom) / 2).items():
        points = {name: _outermost(masks[name], plane, side) for name in names}
        names = sorted(names, key=lambda name: points[name][0])
        edge, inward = (top, 1) if side == "top" else (bottom, -1)
        for row in range(2):  # neighbours stand in different rows
            chosen = names[row::2]
            widths = [(0.66 * len(name) + 1) * _POINTS / 72 * mm_per_inch for name in chosen]
            places = _spread([points[name][0] for name in chosen], widths, left, right)
            height = edge + inward * (_FIRST_ROW + row * _ROW) * mm_per_inch
            for name, across in zip(chosen, places, strict=True):
                line = {"arrowstyle": "-", "color": colors[name], "linewidth": 0.8, "shrinkA": 1, "shrinkB": 0}
                light = 0.35 + 0.65 * rgb(colors[name])
                style: dict[str, Any] = {"ha": "center", "va": "center", "color": light, "fontweight": "bold"}
                style |= {"fontsize": _POINTS, "arrowprops": line}
                _outline(axes.annotate(name, points[name], (across, height), **style))


def draw_letters(axes: Axes, plane: Plane) -> None:
    """Write the orientation letters at the edges, and which slice it is in the top left corner."""
    places = ((0.5, 0.985), (0.5, 0.015), (0.012, 0.5), (0.988, 0.5))
    aligns = (("center", "top"), ("center", "bottom"), ("left", "center"), ("right", "center"))
    for letter, place, (ha, va) in zip(plane.edges, places, aligns, strict=True):
        _write(axes, place, letter, ha=ha, va=va, fontsize=11, fontweight="bold")
    title = f"{plane.name}  {'zyx'[plane.axis]} = {round(plane.position_mm)} mm"
    _write(axes, (0.012, 0.985), title, ha="left", va="top", fontsize=9)


def draw_scale_bar(axes: Axes, mm_per_inch: float) -> None:
    """Draw 5 cm in the bottom left corner."""
    x, y = axes.get_xlim()[0] + 0.1 * mm_per_inch, axes.get_ylim()[0] - 0.1 * mm_per_inch
    axes.plot([x, x + 50], [y, y], color="white", linewidth=2, solid_capstyle="butt", zorder=4)
    axes.text(x + 25, y - 0.04 * mm_per_inch, "5 cm", color="white", fontsize=7, ha="center", va="bottom", zorder=4)


def _write(axes: Axes, place: tuple[float, float], text: str, **style: Any) -> None:
    _outline(axes.text(*place, text, transform=axes.transAxes, color="white", **style))


def _outline(text: Text) -> None:
    text.set_path_effects([withStroke(linewidth=2, foreground="black")])


def _sides(masks: Mapping[str, NDArray[np.bool_]], plane: Plane, middle_mm: float) -> dict[str, list[str]]:
    """Give each structure the side it lies on, above or below; at least a third of them stand on either."""
    step = plane.spacing_mm[0]
    offset = {name: (np.nonzero(mask)[0].mean() + 0.5) * step - middle_mm for name, mask in masks.items()}
    names = sorted(offset, key=lambda name: (offset[name], name))
    above = sum(value < 0 for value in offset.values())
    above = min(max(above, len(names) // 3), math.ceil(2 * len(names) / 3))
    return {"top": names[:above], "bottom": names[above:]}


def _outermost(mask: NDArray[np.bool_], plane: Plane, side: str) -> tuple[float, float]:
    """Return the point (across, down) in mm where a mask reaches farthest to one side."""
    rows, columns = np.nonzero(mask)
    farthest = rows.min() if side == "top" else rows.max()
    column = float(np.median(columns[rows == farthest]))
    down, across = plane.spacing_mm
    return (column + 0.5) * across, (float(farthest) + (0 if side == "top" else 1)) * down


def _spread(places: Sequence[float], widths: Sequence[float], lowest: float, highest: float) -> list[float]:
    """Move ascending places apart by the widths of what stands there, within the limits as long as there is room."""
    placed: list[float] = []
    for place, width in zip(places, widths, strict=True):
        before = placed[-1] + (widths[len(placed) - 1] + width) / 2 if placed else lowest + width / 2
        placed.append(max(place, before))
    end = highest
    for i in reversed(range(len(placed))):
        placed[i] = min(placed[i], end - widths[i] / 2)
        end = placed[i] - widths[i] / 2
    return placed
