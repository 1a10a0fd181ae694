"""What a planner can move, and what it is good for: planning knowledge, so that a model need not guess it.

Language-model planners without such knowledge have been found 5 to 9 Gy worse (arXiv 2510.11754).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from radplan_agents.criteria import criterion_name, decided_by_body, failing, lies_in_overlap, most_urgent_first
from radplan_agents.gpt_radplan.memory import Memory
from radplan_agents.gpt_radplan.tables import margin_in_words
from radplan_agents.gpt_radplan.task import Task
from radplan_agents.plan_changes import Parameters
from radplan_env.planning import Summary
from radplan_env.render.text import criterion_row

_SPOKEN = re.compile(r"(raise|lower) the (weight|objective_dose) of (\w+)")


@dataclass(frozen=True)
class Lever:
    """A planning parameter and a direction, spoken of as "raise the weight of Rectum".

    Models choose a whole phrase more surely than its parts.
    """

    direction: str
    parameter: str
    structure: str

    def __str__(self) -> str:
        return f"{self.direction} the {self.parameter} of {self.structure}"

    @classmethod
    def spoken(cls, text: str) -> Self | None:
        """Read a phrase; None for a text that is not one."""
        match = _SPOKEN.fullmatch(text)
        return None if match is None else cls(*match.groups())


def lever_of(task: Task, plans: Collection[Parameters]) -> Any:
    """Return the type of a phrase that names a lever; the schema lists those that some of the plans leave room for."""

    def check(text: str) -> str:
        lever = Lever.spoken(text)
        if lever is None:
            raise PydanticCustomError("unknown_lever", 'say it as in "raise the weight of Body"')
        if lever.structure not in task.structures:
            raise PydanticCustomError("unknown_structure", "choose of {names}", {"names": ", ".join(task.structures)})
        return text

    phrases = [str(lever) for lever in movable(task, plans)]
    return Annotated[str, AfterValidator(check), WithJsonSchema({"type": "string", "enum": phrases})]


def movable(task: Task, plans: Collection[Parameters]) -> list[Lever]:
    """Return the levers that some of the plans leave room for."""
    levers = [
        Lever(direction, parameter, structure)
        for structure in task.structures
        for parameter in _QUANTITIES
        for direction in ("raise", "lower")
    ]
    return [lever for lever in levers if any(_can_move(lever, parameters, task) for parameters in plans)]


Kind = Literal["coverage", "homogeneity", "conformity", "overlap", "volume"]


@dataclass(frozen=True)
class Shortfall:
    """A criterion that the best or the last plan fails.

    Parameters
    ----------
    criterion, structure : str
    priority : int
    limit : str
        With its unit.
    standings : Mapping[str, str]
        By plan, such as {"best": "PASS, 54.10 Gy, 0.90 Gy to spare", "last": "FAIL, 57.55 Gy, over by 2.55 Gy"}.
    kind : Kind
        What governs it.
    remedies : tuple of Lever
        What helps and can still be moved, the most usual first.
    """

    criterion: str
    structure: str
    priority: int
    limit: str
    standings: Mapping[str, str]
    kind: Kind
    remedies: tuple[Lever, ...]


def shortfalls(plans: Mapping[str, Summary], task: Task) -> list[Shortfall]:
    """Return what any of several plans fails, highest priority first, then the furthest from its limit.

    Parameters
    ----------
    plans : Mapping[str, Summary]
        By name; the first is the one that remedies are for.
    task : Task
    """
    by_plan = {plan: {criterion_name(c): c for c in summary["criteria"]} for plan, summary in plans.items()}
    first = next(iter(plans.values()))
    found = {criterion_name(c): c for summary in plans.values() for c in failing(summary)}
    return [
        _shortfall({plan: criteria[criterion_name(c)] for plan, criteria in by_plan.items()}, first["parameters"], task)
        for c in most_urgent_first(found.values())
    ]


def kind(criterion: Mapping[str, Any], task: Task) -> Kind:
    """Return what governs a criterion.

    "coverage" and "homogeneity" of a target are its own; "conformity" is the body's; an organ's dose near the
    prescription is that of its "overlap" with the target; the rest of its "volume" answers to its own parameters.
    """
    if decided_by_body(criterion["structure"], criterion["metric"]):
        return "conformity"
    if criterion["structure"] in task.prescriptions_gy:
        return "homogeneity" if criterion["upper"] else "coverage"
    if lies_in_overlap(criterion, task.prescription_gy):
        return "overlap"
    return "volume"


def tried(memory: Memory) -> dict[str, list[str]]:
    """Return by lever what the remembered steps that moved it did to the score, such as "step 2: +1.3"."""
    found: dict[str, list[str]] = {}
    for lever, trials in history(memory).items():
        for trial in trials:
            company = " with others" if trial.with_others else ""
            found.setdefault(str(lever), []).append(f"step {trial.step}{company}: {trial.gain:+.1f}")
    return found


@dataclass(frozen=True)
class Trial:
    """What moving a lever did once: to the score, alone or with other levers."""

    step: int
    gain: float
    with_others: bool


def history(memory: Memory) -> dict[Lever, list[Trial]]:
    """Return by lever what the remembered steps that moved it did."""
    found: dict[Lever, list[Trial]] = {}
    for step in sorted((*memory.in_brief, *memory.in_full), key=lambda step: step.number):
        if step.base is None:
            continue
        moved = _moved(step.base.parameters, step.parameters)
        for lever in moved:
            trial = Trial(step.number, step.score - step.base.score, len(moved) > 1)
            found.setdefault(lever, []).append(trial)
    return found


_QUANTITIES = {"weight": "weight", "objective_dose": "objective_dose_gy"}


def _remedies(kind: Kind, criterion: Mapping[str, Any], parameters: Parameters, task: Task) -> tuple[Lever, ...]:
    """What brings such a criterion closer to its limit, the most usual first: see `benchmarks/remedies.py`."""
    structure, primary = criterion["structure"], next(iter(task.prescriptions_gy))
    levers = {
        "coverage": [("raise", "weight", structure)],
        "homogeneity": [("raise", "weight", structure), ("lower", "objective_dose", structure)],
        "conformity": [("raise", "weight", "Body"), ("lower", "objective_dose", "Body")],
        "overlap": [("raise", "weight", primary), ("lower", "weight", structure), ("lower", "objective_dose", primary)],
        "volume": [("raise", "weight", structure), ("lower", "objective_dose", structure)],
    }
    return tuple(lever for each in levers[kind] for lever in [Lever(*each)] if _can_move(lever, parameters, task))


def _moved(before: Parameters, after: Parameters) -> list[Lever]:
    """The levers that lead from one set of parameters to another."""
    return [
        Lever("raise" if after[structure][quantity] > old else "lower", parameter, structure)
        for structure, values in before.items()
        for parameter, quantity in _QUANTITIES.items()
        for old in [values[quantity]]
        if after[structure][quantity] != old
    ]


def _can_move(lever: Lever, parameters: Parameters, task: Task) -> bool:
    """Whether a lever is not at the end of its range."""
    quantity = _QUANTITIES[lever.parameter]
    low, high = task.ranges[lever.structure][quantity]
    return parameters[lever.structure][quantity] != (high if lever.direction == "raise" else low)


def _shortfall(by_plan: Mapping[str, Mapping[str, Any]], parameters: Parameters, task: Task) -> Shortfall:
    """A criterion as each plan meets or fails it."""
    criterion = next(iter(by_plan.values()))
    _, structure, _, limit, _, _ = criterion_row(criterion)
    governed = kind(criterion, task)
    return Shortfall(
        criterion=criterion_name(criterion),
        structure=structure,
        priority=criterion["priority"],
        limit=limit,
        standings={plan: _standing(each) for plan, each in by_plan.items()},
        kind=governed,
        remedies=_remedies(governed, criterion, parameters, task),
    )


def _standing(criterion: Mapping[str, Any]) -> str:
    verdict, _, _, _, value, _ = criterion_row(criterion)
    return f"{verdict}, {value}, {margin_in_words(criterion)}"
