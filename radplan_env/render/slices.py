"""One slice of a plan: CT, dose wash, isodose lines, structure contours with their names."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

from radplan_env.case import Case
from radplan_env.render.colors import (
    DOSE_COLORS,
    ISODOSE_PERCENT,
    WASH_FROM_PERCENT,
    WASH_TO_PERCENT,
    dose_colormap,
    drawing_order,
    soft_tissue,
    structure_colors,
)
from radplan_env.render.labels import draw_letters, draw_names, draw_scale_bar
from radplan_env.render.planes import Plane
from radplan_env.structure_names import is_target

WASH_OPACITY = 0.5
RIM_MM = 10.0


def draw_slice(
    axes: Axes,
    case: Case,
    plane: Plane,
    dose_gy: NDArray[Any],
    *,
    prescription_gy: float,
    inches: tuple[float, float],
    label_isodoses: bool = False,
) -> None:
    """Fit the window of a plane into axes without distortion, and draw it.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    case : Case
    plane : Plane
    dose_gy : ndarray, shape (z, y, x)
        Total dose on the CT grid, Gy; shown within the body.
    prescription_gy : float
        Dose that is 100 %, Gy.
    inches : (float, float)
        Width and height of the axes.
    label_isodoses : bool
        Whether isodose lines carry their dose in % of the prescription.
    """
    percent = plane.take(dose_gy) * (100.0 / prescription_gy)
    body = plane.take(case.structures["Body"])
    height, width = (n * step for n, step in zip(percent.shape, plane.spacing_mm, strict=True))
    extent = (0.0, width, height, 0.0)
    grey = soft_tissue(plane.take(case.ct_hu))
    axes.imshow(grey, cmap="gray", vmin=0, vmax=1, extent=extent, interpolation="bilinear")
    axes.imshow(_wash(percent, body, plane), extent=extent, interpolation="nearest")
    mm_per_inch = _frame(axes, plane, inches)
    shown = _shown(axes, plane)
    # Only where it is shown: labels would be put on parts of the lines that are not.
    _draw_isodoses(axes, np.where(body & shown, percent, np.nan), plane, label=label_isodoses)
    masks = {name: plane.take(mask) for name, mask in case.structures.items()}
    masks = {name: mask for name, mask in masks.items() if mask.any()}
    colors = structure_colors(case.structures)
    for name in reversed(drawing_order(masks)):
        _draw_contour(axes, masks[name], plane, name, colors[name])
    seen = {name: mask & shown for name, mask in masks.items() if name != "Body"}
    draw_names(axes, {name: mask for name, mask in seen.items() if mask.any()}, colors, plane, mm_per_inch)
    draw_letters(axes, plane)
    draw_scale_bar(axes, mm_per_inch)


def _frame(axes: Axes, plane: Plane, inches: tuple[float, float]) -> float:
    """Show the plane's window and a rim, the rest of the axes black; return the scale in mm per inch."""
    spans = [(span.start * step, span.stop * step) for span, step in zip(plane.window, plane.spacing_mm, strict=True)]
    (down, across), (height, width) = zip(*(((a + b) / 2, b - a + 2 * RIM_MM) for a, b in spans), strict=True)
    scale = max(width / inches[0], height / inches[1])
    half_width, half_height = scale * inches[0] / 2, scale * inches[1] / 2
    axes.set(facecolor="black", xticks=[], yticks=[])
    axes.set(xlim=(across - half_width, across + half_width), ylim=(down + half_height, down - half_height))
    return float(scale)


def _shown(axes: Axes, plane: Plane) -> NDArray[np.bool_]:
    """Return which of the slice's pixels lie within the axes, shape (rows, columns)."""
    shape = plane.grid.shape[plane.row_axis], plane.grid.shape[plane.column_axis]
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    rows, columns = _centres_mm(shape, plane)
    within: NDArray[np.bool_] = ((rows > top) & (rows < bottom))[:, None] & ((columns > left) & (columns < right))
    return within


def _wash(percent: NDArray[Any], body: NDArray[np.bool_], plane: Plane) -> NDArray[np.float32]:
    """Return the dose wash as RGBA with pixels of 1 mm or less, so that its edges are no staircases."""
    factors = [math.ceil(step) for step in plane.spacing_mm]
    percent = zoom(percent, factors, order=1, mode="nearest", grid_mode=True)
    inside = zoom(body.astype(np.float32), factors, order=1, mode="nearest", grid_mode=True) >= 0.5
    rgba = dose_colormap()((percent - WASH_FROM_PERCENT) / (WASH_TO_PERCENT - WASH_FROM_PERCENT))
    rgba[..., 3] = np.where(inside & (percent >= WASH_FROM_PERCENT), WASH_OPACITY, 0.0)
    return rgba.astype(np.float32)


def _draw_isodoses(axes: Axes, percent: NDArray[Any], plane: Plane, *, label: bool) -> None:
    levels = [level for level in ISODOSE_PERCENT if np.nanmin(percent) < level < np.nanmax(percent)]
    if levels:
        rows, columns = _centres_mm(percent.shape, plane)
        colors = [DOSE_COLORS[level] for level in levels]
        lines = axes.contour(columns, rows, percent, levels, colors=colors, linewidths=1.4 if label else 0.9)
        if label:
            texts = axes.clabel(lines, fmt="%g%%", fontsize=9, inline=True, inline_spacing=2)
            for text in texts:
                text.set(fontweight="bold", path_effects=[withStroke(linewidth=2.2, foreground="black")])


def _draw_contour(axes: Axes, mask: NDArray[np.bool_], plane: Plane, name: str, color: str) -> None:
    # Blurred by half a voxel, the staircase of a voxel mask becomes the curve it was drawn as; the lower
    # level keeps a mask of a voxel or two from vanishing.
    occupancy: NDArray[np.float32] = gaussian_filter(np.pad(mask, 2).astype(np.float32), 0.6)
    rows, columns = _centres_mm(occupancy.shape, plane, padding=2)
    level = min(0.5, 0.5 * float(occupancy.max()))
    width = 0.8 if name == "Body" else 2.0 if is_target(name) else 1.5
    lines = axes.contour(columns, rows, occupancy, [level], colors=[color], linewidths=width)
    if name != "Body":
        lines.set_path_effects([withStroke(linewidth=width + 1.4, foreground="black")])


def _centres_mm(shape: tuple[int, ...], plane: Plane, padding: int = 0) -> list[NDArray[np.float64]]:
    """Return where a picture's rows and columns lie, in mm from the top left corner of the unpadded one."""
    return [
        (np.arange(n, dtype=np.float64) - padding + 0.5) * step for n, step in zip(shape, plane.spacing_mm, strict=True)
    ]
