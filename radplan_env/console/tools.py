"""The planner's console: what a planner can do at it, one function a tool. Signatures and docstrings are its manual.

A tool takes the desk and its arguments. One that plans is a generator: it yields parameters to be solved, one solve
each, and goes on when the desk has the plan; what it returns is its answer.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from radplan_env.parameters import PlanningParameters
from radplan_env.render.text import DVH_PERCENT
from radplan_env.render.views import View, slice_view

from . import tables
from .arguments import (
    Arguments,
    Base,
    Change,
    Criterion,
    Faults,
    GantryAngles,
    JSONSchema,
    Limits,
    ObjectiveDoses,
    PlanId,
    Smoothness,
    ToolError,
    Weights,
    arguments_of,
    schema_of,
)
from .desk import Desk, Solved
from .pictures import worst_view
from .places import told, worst_places

MOST_TOGETHER = 5
"""Plans that one `what_if` tries."""


@dataclass(frozen=True)
class Answer:
    """What a tool answers.

    Parameters
    ----------
    data : dict
        Plain values, fit for JSON.
    pictures : tuple of View
    """

    data: dict[str, Any]
    pictures: tuple[View, ...] = field(default=(), repr=False)


Solving = Generator[PlanningParameters, Callable[[Solved | None, list[str]], Solved], Answer]
"""Yields parameters to be solved and is sent what takes the plan up at the desk."""


@dataclass(frozen=True)
class Tool:
    """A tool of the console.

    Parameters
    ----------
    function : callable
        Takes the desk, then arguments by name.
    solves : bool
        Whether it plans: its function then is a generator.
    """

    function: Callable[..., Answer | Solving]
    solves: bool = False

    @property
    def name(self) -> str:
        """By which it is called."""
        return self.function.__name__

    @property
    def description(self) -> str:
        """What it does, for the planner: the function's docstring on one line a paragraph."""
        paragraphs = (self.function.__doc__ or "").split("\n\n")
        return "\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)

    @cached_property
    def arguments(self) -> type[Arguments]:
        """Model of its arguments."""
        return arguments_of(self.function)

    @property
    def schema(self) -> JSONSchema:
        """JSON Schema of its arguments."""
        return schema_of(self.arguments)


def task(desk: Desk) -> Answer:
    """What is to be planned: prescriptions, criteria, score terms, structures with their ranges and the template's
    parameters, beams, budget.
    """
    return Answer(dict(tables.described(desk)))


def plan(
    desk: Desk,
    weights: Weights = None,
    objective_doses: ObjectiveDoses = None,
    limits: Limits = None,
    smoothness: Smoothness = None,
    gantry_angles_deg: GantryAngles = None,
    base: Base = "last",
) -> Solving:
    """Make a plan: one solve of the budget. What is left out is the base's. Without arguments the first plan is the
    template's.

    The optimiser minimises the weighted squared deviations from the objective doses and holds the limits, D95 of the
    targets among them. A weight pulls at a mean over the structure; a hot spot of a voxel or two yields to a limit
    only. Limits that ask too much are not held, and may cost everything else: see `limits`.
    """
    change = Change(
        weights=weights,
        objective_doses=objective_doses,
        limits=limits,
        smoothness=smoothness,
        gantry_angles_deg=gantry_angles_deg,
        base=base,
    )
    parameters, begun_from, clamped = desk.parameters_for(change)
    desk.check_solves(1)
    take_up = yield parameters
    return Answer(tables.outcome(desk, take_up(begun_from, clamped)))


def what_if(
    desk: Desk,
    changes: Annotated[
        list[Change],
        Field(min_length=1, max_length=MOST_TOGETHER, description="Plans to try, each with the arguments of `plan`."),
    ],
) -> Solving:
    """Try several changes at once and compare them: one solve each. For all of them "last" is the last plan before."""
    desk.check_solves(len(changes))
    asked, faults = [], Faults()
    for change in changes:
        with faults.kept():
            asked.append(desk.parameters_for(change))
    faults.check()
    desk.check_beams(*(parameters for parameters, _, _ in asked))
    made = list[Solved]()
    for parameters, begun_from, clamped in asked:
        if made and desk.solves_left == 0:
            break  # a plan that meets the protocol may have ended the episode
        take_up = yield parameters
        made.append(take_up(begun_from, clamped))
    outcomes = [tables.outcome(desk, solved) for solved in made]
    return Answer({"plans": outcomes, "solves_left": desk.solves_left})


def criteria(desk: Desk, plan: PlanId = "last") -> Answer:
    """The protocol's criteria in a plan: passed or not, value, limit, room to it, change since the plan's base."""
    return Answer({"criteria": tables.criteria(desk.get(plan))})


def terms(desk: Desk, plan: PlanId = "last") -> Answer:
    """The terms of a plan's score: value, points lost of those available, and the values that earn most and least."""
    return Answer({"terms": tables.terms(desk, desk.get(plan))})


def limits(desk: Desk, plan: PlanId = "last") -> Answer:
    """The limits of a plan: whether the optimiser held each on what it sees, the value as the verdict measures it,
    whether that keeps the limit (if not, ask for less), and the price, which says by how many percent the objective
    would fall if the limit were moved by 1 Gy. A limit of high price fights with the objectives; one of price 0 asks
    for nothing.
    """
    return Answer({"limits": tables.limits(desk, desk.get(plan))})


def parameters(desk: Desk, plan: PlanId = "last") -> Answer:
    """What a plan was made with: weights, objective doses, limits, smoothness, gantry angles."""
    made = desk.get(plan).plan
    chosen = made.parameters.to_dict()
    own = {name: chosen[name] for name in ("structures", "limits", "smoothness")}
    return Answer({**own, "gantry_angles_deg": list(made.gantry_angles_deg)})


def worst_points(desk: Desk, criterion: Criterion, plan: PlanId = "last") -> Answer:
    """Where a criterion suffers: up to three points, the hottest of its structure or the coldest, at least 1 cm apart,
    each with position, dose and the structures within 1 cm.

    Doses are those of a set of points to look at, not of the points that plans are judged on.
    """
    solved = desk.get(plan)
    return Answer({"points": [told(desk, place) for place in worst_places(desk, solved, criterion)]})


def dvh(
    desk: Desk,
    plan: PlanId = "last",
    structures: Annotated[
        list[str] | None, Field(description="Structures of the task; all of them by default.")
    ] = None,
    doses_gy: Annotated[
        list[Annotated[float, Field(ge=0)]] | None,
        Field(max_length=20, description="Doses in Gy at which to read the curves; spread over the range by default."),
    ] = None,
) -> Answer:
    """Dose-volume histograms: the share of each structure, in %, that receives at least each dose."""
    curves = desk.get(plan).plan.evaluation.dvh
    rx_gy = desk.system.protocol.primary.prescription_gy
    read_at = [percent * rx_gy / 100 for percent in DVH_PERCENT] if doses_gy is None else doses_gy
    chosen = list(curves) if structures is None else structures
    if unknown := [name for name in chosen if name not in curves]:
        raise ToolError("unknown_structure", f"no structure {unknown[0]!r}; there are: {', '.join(curves)}")
    percent = {name: [round(float(v), 2) for v in np.interp(read_at, *curves[name])] for name in chosen}
    return Answer({"doses_gy": [round(dose, 2) for dose in read_at], "percent_of_volume": percent})


def slice_image(
    desk: Desk,
    criterion: Annotated[
        str | None, Field(description="Criterion whose worst point the slice goes through, marked by a cross.")
    ] = None,
    z_mm: Annotated[float | None, Field(description="Height of the slice, as `worst_points` gives it.")] = None,
    plan: PlanId = "last",
) -> Answer:
    """A picture of an axial slice with isodose bands and named contours: through the worst point of a criterion,
    or at a height. Give one of the two.
    """
    if (criterion is None) == (z_mm is None):
        raise ToolError("wrong_arguments", "give one of criterion and z_mm")
    solved, case = desk.get(plan), desk.system.case
    if criterion is not None:
        view = worst_view(desk, solved, criterion, worst_places(desk, solved, criterion, 1)[0])
    else:
        assert z_mm is not None
        rx_gy = desk.system.protocol.primary.prescription_gy
        view = slice_view(case, solved.plan.dose_on(case.grid), prescription_gy=rx_gy, z_mm=z_mm)
    return Answer({"plan": solved.number, "shows": view.caption}, (view,))


def finish(desk: Desk, plan: PlanId = "best") -> Answer:
    """End the episode and say which plan you would hand over. What counts is the best plan of the episode."""
    desk.chosen, desk.finished = desk.get(plan), True
    best = desk.best
    assert best is not None
    return Answer({"handed_over": desk.chosen.number, "best_plan": best.number, "score": round(best.score, 2)})


TOOLS: dict[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool(task),
        Tool(plan, solves=True),
        Tool(what_if, solves=True),
        Tool(criteria),
        Tool(terms),
        Tool(limits),
        Tool(parameters),
        Tool(worst_points),
        Tool(dvh),
        Tool(slice_image),
        Tool(finish),
    )
}
"""The tools by name."""
