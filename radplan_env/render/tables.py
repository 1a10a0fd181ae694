"""The criteria of a plan and its structures as drawn tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from radplan_env.bound import Bound
from radplan_env.info import PlanSummary
from radplan_env.limits import Limit
from radplan_env.render.colors import FAIL, PASS, drawing_order, structure_colors
from radplan_env.render.text import criterion_row, number
from radplan_env.structure_names import is_target


class Column(NamedTuple):
    """A column: title, place (0 left to 1 right), alignment, and how many letters fit at full size."""

    title: str
    x: float
    align: str
    fits: int


_CRITERIA = (
    Column("Criterion", 0.145, "left", 14),
    Column("", 0.37, "left", 7),
    Column("Limit", 0.66, "right", 10),
    Column("Value", 0.815, "right", 8),
    Column("Margin", 0.93, "right", 7),
    Column("Prio", 1.0, "right", 4),
)
_STRUCTURES = (
    Column("Structure", 0.145, "left", 18),
    Column("Weight", 0.525, "right", 9),
    Column("Objective", 0.705, "right", 9),
    Column("Mean", 0.855, "right", 9),
    Column("Max [Gy]", 1.0, "right", 9),
)
_LIMITS = (
    Column("Limit asked", 0.145, "left", 28),
    Column("", 0.66, "right", 12),
    Column("Optimiser", 1.0, "right", 12),
)
_TALLEST_ROW_INCHES = 0.26
_LARGEST_POINTS = 9.5


@dataclass
class _Pen:
    """Writes rows downwards from the top of the axes (unit coordinates)."""

    axes: Axes
    row: float
    points: float
    colors: Mapping[str, str]
    top: float = 1.0

    def header(self, columns: Sequence[Column]) -> None:
        for column in columns:
            self.text(column.x, column.title, column.align, color="#555555")
        self.top -= self.row
        self.axes.plot([0, 1], [self.top, self.top], color="black", linewidth=0.8)

    def box(self, left: float, width: float, height: float, color: str) -> None:
        bottom = self.top - self.row * (1 + height) / 2
        self.axes.add_patch(Rectangle((left, bottom), width, height * self.row, facecolor=color, edgecolor="none"))

    def text(self, x: float, text: str, align: str = "center", *, scale: float = 1.0, **style: Any) -> None:
        y = self.top - 0.53 * self.row
        self.axes.text(x, y, text, ha=align, va="center", fontsize=scale * self.points, **style)

    def cell(self, column: Column, text: str, **style: Any) -> None:
        scale = min(1.0, column.fits / max(1, len(text)))
        self.text(column.x, text, column.align, scale=scale, **style)

    def next_row(self, rows: float = 1.0) -> None:
        self.top -= rows * self.row


def draw_tables(axes: Axes, summary: PlanSummary, structures: Sequence[str]) -> None:
    """Draw criteria, structures and limits asked for; rows and letters shrink so that all of them fit the axes.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    summary : Mapping
        What `Plan.summary()` returns.
    structures : sequence of str
        Structures of the case: the second table is also the legend of their colours.
    """
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    figure = axes.get_figure(root=True)
    assert figure is not None
    inches = axes.get_position().height * figure.get_size_inches()[1]
    criteria, parameters = summary["criteria"], summary["parameters"]
    names = {*structures, *parameters}
    if "PTV" not in parameters and any(map(is_target, parameters)):
        names.discard("PTV")  # the case's sole target goes by its protocol's name here
    # The slices' colours first: what only the summary names must not change them.
    others = structure_colors([*structures, *names, *(str(c["structure"]) for c in criteria)])
    colors = {**others, **structure_colors(structures)}
    limits = _limits_held(summary)
    rows = len(criteria) + len(names) + 2.6 + (len(limits) + 1.6 if limits else 0)
    row_inches = min(_TALLEST_ROW_INCHES, inches / rows)
    pen = _Pen(axes, row_inches / inches, min(_LARGEST_POINTS, 0.62 * 72 * row_inches), colors)
    _draw_criteria(pen, criteria)
    pen.next_row(0.6)
    _draw_structures(pen, drawing_order(names), parameters, summary["metrics"])
    if limits:
        pen.next_row(0.6)
        _draw_limits(pen, limits)


def _draw_criteria(pen: _Pen, criteria: Sequence[Mapping[str, Any]]) -> None:
    pen.header(_CRITERIA)
    for i, criterion in enumerate(criteria):
        if i % 2:
            pen.box(0, 1, 1, "#F3F3F3")
        verdict, *cells = (*criterion_row(criterion), str(criterion["priority"]))
        color, value_color = (PASS, "black") if criterion["passed"] else (FAIL, FAIL)
        pen.box(0, 0.09, 0.74, color)
        pen.text(0.045, verdict, scale=0.88, color="white", fontweight="bold")
        pen.box(0.108, 0.02, 0.6, pen.colors[cells[0]])
        for column, cell in zip(_CRITERIA, cells, strict=True):
            style = {"fontweight": "bold", "color": value_color} if column.title == "Value" else {}
            pen.cell(column, cell, **style)
        pen.next_row()


def _draw_structures(
    pen: _Pen,
    names: Sequence[str],
    parameters: Mapping[str, Mapping[str, float]],
    metrics: Mapping[str, Mapping[str, float]],
) -> None:
    pen.header(_STRUCTURES)
    for i, name in enumerate(names):
        if i % 2:
            pen.box(0, 1, 1, "#F3F3F3")
        pen.box(0, 0.128, 0.3, pen.colors[name])
        chosen, reached = parameters.get(name, {}), metrics.get(name, {})
        cells = (
            name,
            number(chosen.get("weight"), "{:.4g}"),
            number(chosen.get("objective_dose_gy")),
            number(reached.get("mean")),
            number(reached.get("max")),
        )
        for column, cell in zip(_STRUCTURES, cells, strict=True):
            pen.cell(column, cell)
        pen.next_row()


def _limits_held(summary: PlanSummary) -> list[tuple[Bound, bool]]:
    """The limits that a plan was solved with, and whether each was met: after the coverage that is always held."""
    reports = summary["solver"].get("constraints", ())
    asked = summary["limits"] if reports else ()
    own = reports[len(reports) - len(asked) :]
    return [(Limit.from_dict(limit).bound, bool(report["met"])) for limit, report in zip(asked, own, strict=True)]


def _draw_limits(pen: _Pen, limits: Sequence[tuple[Bound, bool]]) -> None:
    pen.header(_LIMITS)
    for i, (bound, met) in enumerate(limits):
        if i % 2:
            pen.box(0, 1, 1, "#F3F3F3")
        for column, cell in zip(_LIMITS, (bound.name, bound.side, "held" if met else "not held"), strict=True):
            style = {} if met or column.title != "Optimiser" else {"color": FAIL, "fontweight": "bold"}
            pen.cell(column, cell, **style)
        pen.next_row()
