"""Looks at pictures of plans and says whether they show what the case has, where it has it."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from radplan_env.case import Case
from radplan_env.grid import Triple
from radplan_env.render.bands import DOSE
from radplan_env.render.colors import rgb, structure_colors
from radplan_env.render.planes import Plane
from radplan_env.render.views import Panel

NEAR = 0.2
"""Colours are alike that are no further apart, 0..1 a channel: a picture has 256 of them, blended with its lines."""

Pixel = tuple[int, int]


def decoded(png: bytes) -> NDArray[np.float64]:
    """The pixels of a PNG file, shape (height, width, 3), values 0..1; anything else is refused."""
    image = Image.open(io.BytesIO(png))
    assert image.format == "PNG"
    return np.asarray(image.convert("RGB")) / 255


def position_mm(case: Case, voxel: tuple[int, ...]) -> Triple:
    """Where a voxel lies in the patient."""
    z, y, x = (float(case.grid.coordinates_mm(axis)[i]) for axis, i in enumerate(voxel))
    return z, y, x


def within(panel: Panel, pixel: Pixel) -> bool:
    box = panel.box
    return box.top <= pixel[0] < box.top + box.height and box.left <= pixel[1] < box.left + box.width


def contours_found(picture: NDArray[np.float64], panel: Panel, case: Case) -> dict[str, float]:
    """Share of each structure's outline in a panel that has the structure's colour within a voxel's width of it."""
    colors, found = structure_colors(case.structures), {}
    pixel_per_mm = panel.box.width / (panel.across_mm[1] - panel.across_mm[0])
    reach = round(max(panel.plane.spacing_mm) * pixel_per_mm)
    for name in case.structures:
        pixels = [panel.pixel(position_mm(case, voxel)) for voxel in _outline(case, name, panel.plane)]
        colored = [
            (np.abs(_around(picture, pixel, reach) - rgb(colors[name])).max(axis=1) < NEAR).any()
            for pixel in pixels
            if within(panel, pixel)
        ]
        if colored:
            found[name] = float(np.mean(colored))
    return found


def band(percent: float) -> NDArray[np.float64]:
    """The colour of a dose in % of the prescription."""
    return np.asarray(DOSE.rgba(np.array(percent))[:3], np.float64)


def _outline(case: Case, name: str, plane: Plane) -> Iterator[tuple[int, ...]]:
    """Voxels of a structure in a plane that border on one that is not its own."""
    section = np.pad(np.take(case.structures[name], plane.index, axis=plane.axis), 1)
    core = section[:-2, 1:-1] & section[2:, 1:-1] & section[1:-1, :-2] & section[1:-1, 2:]
    for row, column in np.argwhere(section[1:-1, 1:-1] & ~core).tolist():
        voxel = [row, column]
        voxel.insert(plane.axis, plane.index)
        yield tuple(voxel)


def _around(picture: NDArray[np.float64], pixel: Pixel, reach: int) -> NDArray[np.float64]:
    row, column = pixel
    area = picture[max(row - reach, 0) : row + reach + 1, max(column - reach, 0) : column + reach + 1]
    return area.reshape(-1, 3)
