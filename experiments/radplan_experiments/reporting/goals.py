"""How many solves it took: to meet the protocol, to reach the template, the reference, most of the way to the best."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from radplan_env.planning import Summary
from radplan_experiments.recording.ranking import best_points, points, refused
from radplan_experiments.recording.records import Record, plans_that_count
from radplan_experiments.recording.settings import Settings
from radplan_experiments.reporting import frames
from radplan_experiments.reporting.best_known import BestKnown, best_known

SHARE = 0.95
TEMPLATE, REFERENCE, BEST = "template", "reference, own voxels", "95 % of the best"
GOALS = (TEMPLATE, REFERENCE, BEST)
"""The template's score, the reference plan's, and 95 % of the way from the template to the best known.

A reference plan's score is of its own voxels: a mark to pass, and no comparison like with like."""

ROUNDING = 1e-9
"""Points: 95 % of the way to a score that is the template's must be no more than that."""


@dataclass(frozen=True)
class Reached:
    """What an episode reached, and by which solve, counted from 1; None where it did not.

    Parameters
    ----------
    record : dict
        The episode.
    met : int, optional
        The first solve that meets the protocol by a plan that the screen does not refuse.
    score_when_met : float, optional
        Its score.
    best : float
        Best score.
    solves : Mapping[str, int or None]
        The first solve that reaches a goal, by goal, of the goals that are known of the patient.
    """

    record: Record
    met: int | None
    score_when_met: float | None
    best: float
    solves: Mapping[str, int | None]


def goals_of(known: BestKnown | None, reference: Summary | None) -> dict[str, float]:
    """Scores to reach on a patient, by goal."""
    found = {} if known is None else {TEMPLATE: known.template, BEST: known.on_the_way(SHARE)}
    return found if reference is None else {**found, REFERENCE: points(reference)}


def reaches(plan: Summary, score: float) -> bool:
    """Whether a plan has a score; one that the screen refuses reaches none."""
    return not refused(plan) and plan["score"] >= score - ROUNDING


def reached(settings: Settings, records: Iterable[Record], references: Mapping[str, Summary]) -> Iterator[Reached]:
    """What each episode reached, of those that came to their end.

    Where only the plan handed over is delivered, no solve has a score to be held against what is known.
    """
    complete = frames.complete(records)
    known = best_known(settings, complete) if settings.solves_count else {}
    for record in complete:
        steps, case = record["steps"], record["case"]
        met = _first(step["met"] and not refused(step) for step in steps)
        goals = goals_of(known.get(case), references.get(case))
        yield Reached(
            record,
            met,
            None if met is None else steps[met - 1]["score"],
            best_points(plans_that_count(record)),
            {goal: _first(reaches(step, score) for step in steps) for goal, score in goals.items()},
        )


def _first(found: Iterable[bool]) -> int | None:
    """Number of the first that is true, from 1."""
    return next((number for number, each in enumerate(found, 1) if each), None)


def reached_by(plan: Summary, goals: Mapping[str, float]) -> Sequence[str]:
    """Goals that a plan reaches."""
    return [goal for goal in GOALS if goal in goals and reaches(plan, goals[goal])]
