"""What an agent did in one episode, solve by solve, and the doses it began and ended with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from radplan_env.case import Case
from radplan_env.planning import Plan
from radplan_env.render.bands import DOSE
from radplan_env.render.colors import drawing_order, structure_colors
from radplan_env.render.dvh import Curves, draw_dvh
from radplan_env.render.planes import planes_of
from radplan_env.render.slices import draw_slice
from radplan_experiments.recording import records
from radplan_experiments.recording.ranking import points
from radplan_experiments.recording.records import Record
from radplan_experiments.reporting.figures.style import grid_of_panels, legend_below, taking_turns

COLUMNS = 3
PANEL = (4.4, 3.5)
"""Width and height of a panel in inches."""
SLICE = (3.4, 2.7)
"""What is left of it inside the axes of its neighbours."""


def trajectory(
    record: Record, first: Plan | None, handed_over: Plan | None, *, case: Case | None, prescription_gy: float
) -> Figure:
    """Score, weights and objective doses of every solve; DVHs and dose of the first and the handed-over plan.

    The paper's figure 4. What is not at hand is left out: the dose of the first plan, the case, both.

    Parameters
    ----------
    record : dict
        The episode.
    first, handed_over : Plan, optional
        Its plans.
    case : Case, optional
        For the slices of dose.
    prescription_gy : float
        Of the primary target, Gy.
    """
    last = records.handed_over(record)
    first = None if last == 0 else first
    titles = ("solve 1", f"solve {last + 1}, handed over")
    plans = [(title, plan) for title, plan in zip(titles, (first, handed_over), strict=True) if plan is not None]
    rows = 2 if plans else 1
    figure, panels = grid_of_panels(rows, COLUMNS, width=COLUMNS * PANEL[0], height=rows * PANEL[1] + 0.8)
    names = _structures(record["steps"])
    colors = structure_colors(names)
    _draw_scores(panels[0], record)
    _draw_parameter(panels[1], record["steps"], "weight", "Weight", colors)
    panels[1].set_yscale("log")
    _draw_parameter(panels[2], record["steps"], "objective_dose_gy", "Objective dose [Gy]", colors)
    used = COLUMNS
    if plans:
        _draw_dvhs(panels[used], plans[-1][1], first if len(plans) > 1 else None, prescription_gy)
        used += 1
    if case is not None:
        for axes, (title, plan) in zip(panels[used:], plans, strict=False):
            _draw_axial(axes, case, plan, title, prescription_gy)
        used += len(plans)
        if plans:
            _name_bands(panels[used - 1], prescription_gy)
    for axes in panels[used:]:
        axes.set_visible(False)
    handles = [Line2D([], [], color=colors[name], linewidth=2.2, label=name) for name in names]
    legend_below(figure, handles)
    figure.suptitle(f"{record['agent']} on {record['case']}, seed {record['seed']}", x=0.01, ha="left", fontsize=11)
    return figure


def _structures(steps: Sequence[Mapping[str, Any]]) -> list[str]:
    """Structures with planning parameters, targets first."""
    return drawing_order({name for step in steps for name in step["parameters"]})


def _draw_scores(axes: Axes, record: Record) -> None:
    scores = [step["score"] for step in record["steps"]]
    solves = range(1, len(scores) + 1)
    best = list(accumulate(map(points, record["steps"]), max))
    axes.step(solves, best, where="post", color="#888888", linewidth=1, label="best so far")
    axes.plot(solves, scores, "o-", color="black", markersize=4, linewidth=0.8, label="this solve")
    chosen = records.handed_over(record)
    axes.plot(chosen + 1, scores[chosen], "o", color="#D55E00", markersize=8, zorder=3, label="handed over")
    axes.set(xlabel="Solve", ylabel="Score", xlim=(0.5, record["budget"] + 0.5))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False)


def _draw_parameter(
    axes: Axes, steps: Sequence[Mapping[str, Any]], name: str, label: str, colors: Mapping[str, str]
) -> None:
    parameters = [step["parameters"] for step in steps]
    curves = {
        structure: {i: own[structure][name] for i, own in enumerate(parameters, 1) if structure in own}
        for structure in colors
    }
    styles = taking_turns({structure: [*curve, *curve.values()] for structure, curve in curves.items()})
    for structure, curve in curves.items():
        style: dict[str, Any] = {"linestyle": styles[structure], "color": colors[structure]}
        axes.plot(list(curve), list(curve.values()), marker=".", linewidth=1.2, markersize=6, **style)
    axes.set(xlabel="Solve", ylabel=label, xlim=(0.5, len(steps) + 0.5))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _draw_dvhs(axes: Axes, plan: Plan, first: Plan | None, prescription_gy: float) -> None:
    curves = _without_body(plan)
    reference = None if first is None else _without_body(first)
    draw_dvh(axes, curves, prescription_gy=prescription_gy, reference=reference)
    if legend := axes.get_legend():
        legend.remove()
    axes.set_title("DVH" if first is None else "DVH, dashed: solve 1", loc="left", fontsize=9)


def _without_body(plan: Plan) -> Curves:
    return {name: curve for name, curve in plan.evaluation.dvh.items() if name != "Body"}


def _draw_axial(axes: Axes, case: Case, plan: Plan, label: str, prescription_gy: float) -> None:
    """The dose on the axial slice through the primary target's centroid."""
    axial = planes_of(case)[0]
    axes.grid(False)
    percent = plan.dose_on(case.grid) * (100 / prescription_gy)
    draw_slice(axes, case, axial, percent, bands=DOSE, inches=SLICE)
    axes.set_title(f"{label}: score {plan.evaluation.score:.1f}", loc="left", fontsize=9)


def _name_bands(axes: Axes, prescription_gy: float) -> None:
    """Say right of a slice which colour begins at which dose."""
    bands = [
        Patch(color=color, label=f"{percent:g} % · {percent * prescription_gy / 100:.1f} Gy")
        for percent, color in zip(DOSE.lines, DOSE.colors, strict=True)
    ]
    beside: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
    axes.legend(handles=bands[::-1], title="from", fontsize=8, frameon=False, **beside)
