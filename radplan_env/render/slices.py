"""One slice of a plan: CT, bands of dose, structure contours, their names above and below the patient."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

from radplan_env.case import Case
from radplan_env.render.bands import Bands
from radplan_env.render.colors import drawing_order, soft_tissue, structure_colors
from radplan_env.render.labels import STRIP_INCHES, draw_letters, draw_names, draw_scale_bar
from radplan_env.render.planes import Plane
from radplan_env.structure_names import is_target

RIM_MM = 10.0

CT_LINES_HU = (-300.0, 200.0)
"""Within the bands the CT is drawn as the outlines of air and bone, so that it mixes with no colour."""


def draw_slice(
    axes: Axes,
    case: Case,
    plane: Plane,
    values: NDArray[Any],
    *,
    bands: Bands,
    inches: tuple[float, float],
    names: bool = False,
) -> None:
    """Fit the window of a plane into axes without distortion, and draw it.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    case : Case
    plane : Plane
    values : ndarray, shape (z, y, x)
        What the bands show, on the CT grid; shown within the body.
    bands : Bands
    inches : (float, float)
        Width and height of the axes.
    names : bool
        Whether the structures are named, in strips above and below the patient that cover nothing.
    """
    values, body = plane.take(values), plane.take(case.structures["Body"])
    height, width = (n * step for n, step in zip(values.shape, plane.spacing_mm, strict=True))
    extent = (0.0, width, height, 0.0)
    ct_hu = plane.take(case.ct_hu)
    axes.imshow(soft_tissue(ct_hu), cmap="gray", vmin=0, vmax=1, extent=extent, interpolation="bilinear")
    shade = _shade(values, body, plane, bands)
    axes.imshow(shade, extent=extent, interpolation="nearest")
    mm_per_inch = _frame(axes, plane, inches, STRIP_INCHES if names else 0.0)
    shown = _shown(axes, plane)
    _draw_ct_lines(axes, ct_hu, (bands.rgba(values)[..., 3] > 0) & body, plane)
    _draw_edges(axes, np.where(body & shown, values, np.nan), plane, bands)
    masks = {name: plane.take(mask) for name, mask in case.structures.items()}
    masks = {name: mask for name, mask in masks.items() if mask.any()}
    colors = structure_colors(case.structures)
    for name in reversed(drawing_order(masks)):
        _draw_contour(axes, masks[name], plane, name, colors[name])
    if names:
        for edge, inward in zip(axes.get_ylim(), (-1, 1), strict=True):
            axes.axhspan(edge, edge + inward * STRIP_INCHES * mm_per_inch, color="black", zorder=2.5)
        seen = {name: mask & shown for name, mask in masks.items() if name != "Body"}
        draw_names(axes, {name: mask for name, mask in seen.items() if mask.any()}, colors, plane, mm_per_inch)
    draw_letters(axes, plane)
    draw_scale_bar(axes, mm_per_inch)


def _frame(axes: Axes, plane: Plane, inches: tuple[float, float], strip: float) -> float:
    """Show the plane's window and a rim, the rest of the axes black; return the scale in mm per inch.

    Above and below the window a strip of so many inches stays free.
    """
    spans = [(span.start * step, span.stop * step) for span, step in zip(plane.window, plane.spacing_mm, strict=True)]
    (down, across), (height, width) = zip(*(((a + b) / 2, b - a + 2 * RIM_MM) for a, b in spans), strict=True)
    scale = max(width / inches[0], height / (inches[1] - 2 * strip))
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


def _shade(values: NDArray[Any], body: NDArray[np.bool_], plane: Plane, bands: Bands) -> NDArray[np.float32]:
    """Return the bands as RGBA with pixels of 1 mm or less, so that their edges are no staircases."""
    factors = [math.ceil(step) for step in plane.spacing_mm]
    inside = zoom(body.astype(np.float32), factors, order=1, mode="nearest", grid_mode=True) >= 0.5
    rgba = bands.rgba(zoom(values, factors, order=1, mode="nearest", grid_mode=True))
    rgba[~inside] = 0
    return rgba


def _draw_ct_lines(axes: Axes, ct_hu: NDArray[Any], washed: NDArray[np.bool_], plane: Plane) -> None:
    smooth: NDArray[np.float32] = gaussian_filter(np.asarray(ct_hu, np.float32), 1.0)
    levels = [level for level in CT_LINES_HU if smooth.min() < level < smooth.max()]
    if levels and washed.any():
        rows, columns = _centres_mm(smooth.shape, plane)
        within = np.where(washed, smooth, np.nan)
        axes.contour(columns, rows, within, levels, colors=["#6E6E6E"], linewidths=0.6, linestyles="solid")


def _draw_edges(axes: Axes, values: NDArray[Any], plane: Plane, bands: Bands) -> None:
    """Draw thin lines where one band ends and the next begins."""
    levels = [edge for edge in bands.lines if np.nanmin(values) < edge < np.nanmax(values)]
    if levels:
        rows, columns = _centres_mm(values.shape, plane)
        axes.contour(columns, rows, values, levels, colors=["black"], linewidths=0.4, linestyles="solid")


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
