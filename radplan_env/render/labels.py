"""What is written on a slice: structure names, orientation letters, scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from numpy.typing import NDArray

from radplan_env.render.colors import rgb
from radplan_env.render.planes import Plane

_POINTS = 7.5
_MIDLINE_MM = 20.0


def draw_names(
    axes: Axes,
    masks: Mapping[str, NDArray[np.bool_]],
    colors: Mapping[str, str],
    plane: Plane,
    mm_per_inch: float,
) -> None:
    """Name structures at the left or right edge, with a line to the outermost point of their contour.

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
    gap = 1.3 * _POINTS / 72 * mm_per_inch
    inset = 0.25 * mm_per_inch  # leaves the edge to the orientation letters
    for side, names in _sides(masks, plane, (left + right) / 2).items():
        points = {name: _outermost(masks[name], plane, side) for name in names}
        names = sorted(names, key=lambda name: points[name][1])
        heights = _spread([points[name][1] for name in names], gap, top + 2.2 * gap, bottom - 2.2 * gap)
        edge = left + inset if side == "left" else right - inset
        for name, height in zip(names, heights, strict=True):
            line = {"arrowstyle": "-", "color": colors[name], "linewidth": 0.7, "shrinkA": 1, "shrinkB": 0}
            light = 0.35 + 0.65 * rgb(colors[name])
            style: dict[str, Any] = {
                "ha": side,
                "va": "center",
                "color": light,
                "fontsize": _POINTS,
                "fontweight": "bold",
            }
            _outline(axes.annotate(name, points[name], (edge, height), arrowprops=line, **style))


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
    axes.plot([x, x + 50], [y, y], color="white", linewidth=2, solid_capstyle="butt")
    axes.text(x + 25, y - 0.04 * mm_per_inch, "5 cm", color="white", fontsize=7, ha="center", va="bottom")


def _write(axes: Axes, place: tuple[float, float], text: str, **style: Any) -> None:
    _outline(axes.text(*place, text, transform=axes.transAxes, color="white", **style))


def _outline(text: Text) -> None:
    text.set_path_effects([withStroke(linewidth=2, foreground="black")])


def _sides(masks: Mapping[str, NDArray[np.bool_]], plane: Plane, middle_mm: float) -> dict[str, list[str]]:
    """Give each structure the side it lies on; near the middle, the other one if that has fewer names."""
    step = plane.spacing_mm[1]
    offset = {name: (np.nonzero(mask)[1].mean() + 0.5) * step - middle_mm for name, mask in masks.items()}
    sides: dict[str, list[str]] = {"left": [], "right": []}
    for name in sorted(offset, key=lambda name: (-abs(offset[name]), name)):
        own, other = ("left", "right") if offset[name] < 0 else ("right", "left")
        crowded = len(sides[own]) > len(sides[other]) and abs(offset[name]) < _MIDLINE_MM
        sides[other if crowded else own].append(name)
    return sides


def _outermost(mask: NDArray[np.bool_], plane: Plane, side: str) -> tuple[float, float]:
    """Return the point (across, down) in mm where a mask reaches farthest to one side."""
    rows, columns = np.nonzero(mask)
    farthest = columns.min() if side == "left" else columns.max()
    row = float(np.median(rows[columns == farthest]))
    down, across = plane.spacing_mm
    return (float(farthest) + (0 if side == "left" else 1)) * across, (row + 0.5) * down


def _spread(heights: Sequence[float], gap: float, lowest: float, highest: float) -> list[float]:
    """Move ascending heights apart by `gap`, within the limits as long as there is room."""
    placed: list[float] = []
    for height in heights:
        placed.append(max(height, placed[-1] + gap if placed else lowest))
    for i in reversed(range(len(placed))):
        placed[i] = min(placed[i], highest)
        highest = placed[i] - gap
    return placed
