"""The pictures of a plan that a vision model looks at: its dose on three planes, in slices, and what has changed."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from PIL import Image

from radplan_env.case import Case
from radplan_env.grid import Triple
from radplan_env.render.bands import CHANGE, DOSE, Bands, draw_dose_bar
from radplan_env.render.colors import drawing_order, structure_colors
from radplan_env.render.figure import figure_to_rgb
from radplan_env.render.inputs import check_prescription, dose_on_ct
from radplan_env.render.planes import Plane, axial_planes, planes_of, primary_target
from radplan_env.render.slices import draw_slice

SIDE = 768
"""Width and height of a picture in pixels: what vision models look at without shrinking it."""

NAMES = ("planes", "slices")
"""The pictures of a dose there are, those through a worst point apart."""

SLICES = 4
SLICE_MARGIN_MM = 45.0

_DPI = 100
_GAP = 4
_BAR_COLUMN, _KEY_COLUMN = 96, 190
_CROSS_MM = (3.0, 11.0)
"""Where the arms of a cross begin and end."""

_AXIAL = "anterior is at the top and the patient's right on the left"


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels, measured from the picture's top left corner."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True)
class Panel:
    """Where a slice of the patient lies in a picture.

    Parameters
    ----------
    plane : Plane
        The slice.
    box : Box
        Its pixels.
    across_mm, down_mm : (float, float)
        What the box spans, in mm from the outer corner of the slice's top left voxel.
    """

    plane: Plane
    box: Box
    across_mm: tuple[float, float]
    down_mm: tuple[float, float]

    def pixel(self, position_mm: Triple) -> tuple[int, int]:
        """Return the row and column of the picture's pixel that shows a point (z, y, x) of the patient, in mm."""
        plane, (row_step, column_step) = self.plane, self.plane.spacing_mm
        down = position_mm[plane.row_axis] - plane.rows_mm()[0]
        down = (-down if plane.upward else down) + row_step / 2
        across = position_mm[plane.column_axis] - plane.columns_mm()[0] + column_step / 2
        (top, bottom), (left, right), box = self.down_mm, self.across_mm, self.box
        return (
            box.top + int((down - top) / (bottom - top) * box.height),
            box.left + int((across - left) / (right - left) * box.width),
        )


@dataclass(frozen=True)
class View:
    """One picture of a plan.

    Parameters
    ----------
    name : str
        One of `NAMES`, "slice", "change" or "dvh".
    png : bytes
        The picture as a PNG file.
    caption : str
        What it shows, in a sentence or two. Neither picture nor caption tells who the patient is.
    panels : tuple of Panel
        Where the patient lies in it; empty for a picture read from a file.
    """

    name: str
    png: bytes
    caption: str
    panels: tuple[Panel, ...] = ()


def plan_views(
    case: Case, dose_gy: NDArray[Any], *, prescription_gy: float, names: Sequence[str] = NAMES
) -> list[View]:
    """Return the pictures of a plan that a vision model looks at.

    "planes": the axial, coronal and sagittal slice through the primary target's centroid; "slices": axial slices
    spread over that target. All show the dose in solid bands with named contours and a bar of the bands.

    Parameters
    ----------
    case : Case
    dose_gy : ndarray, shape (z, y, x)
        Total dose on the CT grid, Gy.
    prescription_gy : float
        Prescription of the primary target, Gy: 100 % of the isodose bands.
    names : sequence of str
        Which of the pictures, in which order; all by default.

    Returns
    -------
    list of View
        Of `SIDE` pixels a side. The same plan gives the same bytes.

    Raises
    ------
    ValueError
        If the dose is not on the CT grid or not finite, the prescription is not positive, or there is no such picture.
    """
    dose = dose_on_ct(dose_gy, case)
    check_prescription(prescription_gy)
    if unknown := [name for name in names if name not in NAMES]:
        raise ValueError(f"there is no picture {', '.join(unknown)}: choose from {', '.join(NAMES)}")
    picture = _Picture(case, dose * (100 / prescription_gy), DOSE, prescription_gy)
    shown = {"planes": _planes, "slices": _slices}
    return [
        picture.view(name, planes, f"{what} {_dose_legend(prescription_gy)}")
        for name in names
        for planes, what in [shown[name](case)]
    ]


def slice_view(
    case: Case,
    dose_gy: NDArray[Any],
    *,
    prescription_gy: float,
    z_mm: float,
    cross_mm: Triple | None = None,
    label: str = "",
) -> View:
    """Return the axial slice of a plan that lies nearest to a height, with a cross where one is asked for.

    Parameters
    ----------
    case, dose_gy, prescription_gy
        As for `plan_views`.
    z_mm : float
        Patient coordinate of the slice.
    cross_mm : (float, float, float), optional
        Point (z, y, x) that is marked.
    label : str
        What stands beside the cross.

    Raises
    ------
    ValueError
        As `plan_views`.
    """
    dose = dose_on_ct(dose_gy, case)
    check_prescription(prescription_gy)
    axial = planes_of(case)[0]
    index = round((z_mm - case.grid.origin_mm[0]) / case.grid.spacing_mm[0])
    shown = case.structures[_centre(case)].copy()
    if cross_mm is not None:
        shown[case.grid.voxel_of(cross_mm)] = True
    plane = replace(axial, index=min(max(index, 0), case.grid.shape[0] - 1)).around(shown, SLICE_MARGIN_MM)
    marked = "" if cross_mm is None else f" The cross marks {label}."
    picture = _Picture(case, dose * (100 / prescription_gy), DOSE, prescription_gy, cross_mm, label)
    what = f"Axial slice at z = {plane.position_mm:.0f} mm: {_AXIAL}.{marked}"
    return picture.view("slice", [plane], f"{what} {_dose_legend(prescription_gy)}")


def change_view(case: Case, dose_gy: NDArray[Any], before_gy: NDArray[Any], *, prescription_gy: float) -> View:
    """Return what has changed between two plans, in Gy, on the three planes through the primary target's centroid.

    Parameters
    ----------
    case, dose_gy, prescription_gy
        As for `plan_views`.
    before_gy : ndarray, shape (z, y, x)
        Dose of the plan before, on the CT grid, Gy.

    Raises
    ------
    ValueError
        As `plan_views`.
    """
    change = dose_on_ct(dose_gy, case) - dose_on_ct(before_gy, case, "before_gy")
    planes, what = _planes(case)
    edges = ", ".join(f"{edge:g}" for edge in CHANGE.lines)
    legend = (
        f"Colours: this plan's dose minus that of the plan it began from, in bands at {edges} Gy: blue is less dose, "
    )
    legend += "red is more, none is within 1 Gy. Lines: named contours, and grey outlines of air and bone."
    return _Picture(case, change, CHANGE, prescription_gy).view("change", planes, f"{what} {legend}")


def _planes(case: Case) -> tuple[Sequence[Plane], str]:
    where = f"through the centre of {_centre(case)}"
    how = f"in the axial slice {_AXIAL}; in the coronal and the sagittal slice the head is up"
    return planes_of(case), f"Axial, coronal and sagittal slice {where}: {how}."


def _slices(case: Case) -> tuple[Sequence[Plane], str]:
    centre = _centre(case)
    planes = [plane.around(case.structures[centre], SLICE_MARGIN_MM) for plane in axial_planes(case, SLICES)]
    where = f"spread over {centre} from its feet end to its head end"
    return planes, f"{len(planes)} axial slices {where}: {_AXIAL}."


def _centre(case: Case) -> str:
    return primary_target(case) or "Body"


def _dose_legend(prescription_gy: float) -> str:
    edges = ", ".join(f"{percent:g}" for percent in DOSE.lines)
    return (
        f"Colours: dose in solid bands at {edges} % of the prescription (Rx) of {prescription_gy:g} Gy, blue and green "
        "below 95 %, pale from there to 105 %, dark above. Lines: named contours, and grey outlines of air and bone."
    )


@dataclass(frozen=True)
class _Picture:
    """Draws slices of one plan in a square, with the bar of its bands."""

    case: Case
    values: NDArray[Any]
    bands: Bands
    prescription_gy: float
    cross_mm: Triple | None = None
    label: str = ""

    def view(self, name: str, planes: Sequence[Plane], caption: str) -> View:
        figure = Figure(figsize=(SIDE / _DPI, SIDE / _DPI), dpi=_DPI, facecolor="white")
        FigureCanvasAgg(figure)
        boxes, key = _layout(len(planes))
        panels = [self._panel(figure, plane, box) for plane, box in zip(planes, boxes, strict=True)]
        self._draw_key(figure, key, planes)
        return View(name, png_of(figure), caption, tuple(panels))

    def _panel(self, figure: Figure, plane: Plane, box: Box) -> Panel:
        axes = figure.add_axes(_place(box))
        inches = (box.width / _DPI, box.height / _DPI)
        draw_slice(axes, self.case, plane, self.values, bands=self.bands, inches=inches, names=_is_large(box))
        if self.cross_mm is not None:
            _draw_cross(axes, plane, self.cross_mm, self.label)
        (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
        return Panel(plane, box, (left, right), (top, bottom))

    def _draw_key(self, figure: Figure, box: Box, planes: Sequence[Plane]) -> None:
        """Draw the bar and, where there is room, the contours' colours."""
        narrow = box.width == _BAR_COLUMN
        bar = Box(box.left + box.width - 58, box.top + 30, 18, 300 if box.height > SIDE / 2 else box.height - 44)
        axes = figure.add_axes(_place(bar))
        if self.bands is DOSE:
            draw_dose_bar(axes, self.prescription_gy)
        else:
            self.bands.draw_bar(axes)
        if not narrow:
            seen = [name for name, mask in self.case.structures.items() if any(p.take(mask).any() for p in planes)]
            colors = structure_colors(self.case.structures)
            handles = [Line2D([], [], color=colors[name], linewidth=3, label=name) for name in drawing_order(seen)]
            top = box.top + (350 if box.height > SIDE / 2 else 8)
            corner = ((box.left + 8) / SIDE, 1 - top / SIDE)
            figure.legend(handles=handles, loc="upper left", bbox_to_anchor=corner, frameon=False, fontsize=9)


def _is_large(box: Box) -> bool:
    """Whether a panel has room for names; else the key has them."""
    return box.width > SIDE / 2


def _draw_cross(axes: Axes, plane: Plane, position_mm: Triple, label: str) -> None:
    down, across = (
        abs(position_mm[axis] - first) + step / 2
        for axis, first, step in zip(
            (plane.row_axis, plane.column_axis),
            (plane.rows_mm()[0], plane.columns_mm()[0]),
            plane.spacing_mm,
            strict=True,
        )
    )
    outline = [withStroke(linewidth=4, foreground="black")]
    for step in ((0, 1), (0, -1), (1, 0), (-1, 0)):  # a gap in the middle leaves the point itself to be seen
        near, far = ((across + reach * step[0], down + reach * step[1]) for reach in (_CROSS_MM[0], _CROSS_MM[1]))
        axes.plot(*zip(near, far, strict=True), color="white", linewidth=2, path_effects=outline, zorder=4)
    axes.text(
        0.988, 0.985, f"+ {label}", transform=axes.transAxes, color="white", fontsize=10, fontweight="bold", ha="right",
        va="top",
    )  # fmt: skip


def _layout(panels: int) -> tuple[list[Box], Box]:
    """Return boxes for one to four panels, and one for the colour bar."""
    key_column = _KEY_COLUMN if panels in (2, 4) else _BAR_COLUMN
    half, rest = (SIDE - _GAP) // 2, SIDE - key_column
    column = Box(rest, 0, key_column, SIDE)
    near, far = 0, half + _GAP
    if panels == 3:  # the fourth place is the key's
        *boxes, key = (Box(x, y, half, half) for y in (near, far) for x in (near, far))
        return boxes, key
    if panels == 4:
        width = (rest - _GAP) // 2
        return [Box(x, y, width, half) for y in (near, far) for x in (0, width + _GAP)], column
    height = half if panels == 2 else SIDE
    return [Box(0, y, rest, height) for y in (near, far)[:panels]], column


def _place(box: Box) -> tuple[float, float, float, float]:
    """Return a box as matplotlib wants it: left, bottom, width, height as fractions of the figure."""
    return box.left / SIDE, 1 - (box.top + box.height) / SIDE, box.width / SIDE, box.height / SIDE


def png_of(figure: Figure) -> bytes:
    """Return a figure as a PNG file of 256 colours and no metadata, a third of the size of one in true colour."""
    image = Image.fromarray(figure_to_rgb(figure))
    # The octree keeps rare colours, as those of thin contours are; dithering would look like texture.
    image = image.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()
