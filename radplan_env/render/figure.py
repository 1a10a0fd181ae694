"""The picture of a plan: three planes, DVH, criteria."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from radplan_env.case import Case
from radplan_env.info import PlanSummary
from radplan_env.render.bands import DOSE, draw_dose_bar
from radplan_env.render.drawing import Drawing
from radplan_env.render.dvh import Curves, draw_dvh, dvh_curves
from radplan_env.render.inputs import check_prescription, dose_on_ct
from radplan_env.render.planes import planes_of
from radplan_env.render.slices import draw_slice
from radplan_env.render.tables import draw_tables
from radplan_env.render.text import solver_line, verdict

# Layout in inches: two by two cells (three planes and the DVH), the dose bar beside them, tables at right.
_WIDTH, _HEIGHT = 16.0, 9.6
_EDGE, _GAP = 0.2, 0.08
_HEADER, _FOOTER = 0.6, 0.3
_CELL = (4.75, (_HEIGHT - _HEADER - _EDGE - _GAP) / 2)
_COLUMNS = (_EDGE, _EDGE + _CELL[0] + _GAP)
_ROWS = (_EDGE + _CELL[1] + _GAP, _EDGE)
_BAR = _COLUMNS[1] + _CELL[0] + 0.35
_TABLES = 10.95
_TITLE_LENGTH = 64


def plan_figure(
    case: Case,
    dose_gy: NDArray[Any],
    evaluation_summary: PlanSummary,
    *,
    prescription_gy: float,
    title: str | None = None,
    dvh: Curves | None = None,
    reference_dose_gy: NDArray[Any] | None = None,
) -> Drawing:
    """Draw a plan as a planner expects to see it.

    Axial, coronal and sagittal slices through the primary target's centroid with isodose bands and named
    contours; the DVH of every structure; the criteria with their verdicts; and each structure's colour,
    planning parameters, mean and maximum dose.

    Parameters
    ----------
    case : Case
    dose_gy : ndarray, shape (z, y, x)
        Total dose on the CT grid, Gy.
    evaluation_summary : Mapping
        What `Plan.summary()` returns.
    prescription_gy : float
        Prescription of the primary target, Gy: 100 % of the isodose bands.
    title : str, optional
        Heading; the case's id by default.
    dvh : Mapping, optional
        DVHs as the verdict sees them, `Evaluation.dvh`; those of other structures, and without it all, are of
        `dose_gy` on the CT grid, which is coarser where doses are steep.
    reference_dose_gy : ndarray, shape (z, y, x), optional
        Dose of a plan to compare with, on the CT grid: its DVHs are drawn dashed.

    Returns
    -------
    Drawing
        A figure on an Agg canvas, shown by notebooks; pyplot knows nothing of it, so there is nothing to close.

    Raises
    ------
    ValueError
        If a dose is not on the CT grid or not finite, or the prescription is not positive.
    """
    dose = dose_on_ct(dose_gy, case, "dose_gy")
    reference = None if reference_dose_gy is None else dose_on_ct(reference_dose_gy, case, "reference_dose_gy")
    check_prescription(prescription_gy)
    figure = Drawing(_WIDTH, _HEIGHT)
    _draw_header(figure, case, evaluation_summary, title)
    places = [(_COLUMNS[0], _ROWS[0]), (_COLUMNS[1], _ROWS[0]), (_COLUMNS[0], _ROWS[1])]
    for plane, place in zip(planes_of(case), places, strict=True):
        axes = _axes(figure, *place, *_CELL)
        draw_slice(axes, case, plane, dose * (100 / prescription_gy), bands=DOSE, inches=_CELL, names=True)
    draw_dose_bar(_axes(figure, _BAR, _ROWS[0] + 0.1, 0.17, _CELL[1] - 0.4), prescription_gy)
    draw_dvh(
        _axes(figure, _COLUMNS[1] + 0.55, _EDGE + 0.4, _BAR + 0.4 - _COLUMNS[1] - 0.55, _CELL[1] - 0.75),
        {**dvh_curves(case, dose), **(dvh or {})},
        prescription_gy=prescription_gy,
        reference=None if reference is None else dvh_curves(case, reference),
    )
    tables = _axes(figure, _TABLES, _FOOTER, _WIDTH - _EDGE - _TABLES, _HEIGHT - _HEADER - _FOOTER)
    draw_tables(tables, evaluation_summary, list(case.structures))
    figure.text(
        1 - _EDGE / _WIDTH,
        0.12 / _HEIGHT,
        solver_line(evaluation_summary["solver"]),
        ha="right",
        va="center",
        fontsize=8,
        color="#555555",
    )
    return figure


def figure_to_rgb(figure: Figure) -> NDArray[np.uint8]:
    """Return a figure's pixels, shape (height, width, 3)."""
    canvas = figure.canvas if isinstance(figure.canvas, FigureCanvasAgg) else FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()  # type: ignore[no-untyped-call]


def _axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Add axes at a place in inches."""
    return figure.add_axes((left / _WIDTH, bottom / _HEIGHT, width / _WIDTH, height / _HEIGHT))


def _draw_header(figure: Figure, case: Case, summary: PlanSummary, title: str | None) -> None:
    y = 1 - 0.34 / _HEIGHT
    heading = title or case.id
    if case.synthetic:
        heading += "  (synthetic patient)"
    size = 15 * min(1, _TITLE_LENGTH / len(heading))
    figure.text(_EDGE / _WIDTH, y, heading, fontsize=size, fontweight="bold", va="center")
    outcome = verdict(summary)
    outcome = outcome[0].upper() + outcome[1:]
    figure.text(1 - _EDGE / _WIDTH, y, outcome, fontsize=15, fontweight="bold", ha="right", va="center")
