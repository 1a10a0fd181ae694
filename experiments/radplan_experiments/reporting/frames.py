"""Records as long data frames: one row a score, a metric or a criterion. Failed episodes are left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from radplan_env.bound import Bound
from radplan_env.planning import Summary
from radplan_env.protocol import OUTSIDE_TARGETS
from radplan_env.structure_names import is_target
from radplan_experiments.recording.ranking import best_points, points, refused
from radplan_experiments.recording.records import COMPLETE, Record, key_of, plan_handed_over, plans_that_count
from radplan_experiments.recording.settings import Settings

REFERENCE = "reference plan (own voxels)"
"""How curves of reference plans are headed: their doses are judged where they were given, ours on finer points."""


def complete(records: Iterable[Record]) -> list[Record]:
    """Records of episodes that came to their end, in an order that does not depend on who was faster."""
    return sorted((record for record in records if record["status"] == COMPLETE), key=key_of)


def scores(records: Iterable[Record]) -> pd.DataFrame:
    """Best score so far at every solve of the budget, 0 of refused plans: agent, case, seed, solve, best.

    An agent that stopped early, or met the protocol, keeps what it had reached.
    """
    rows = []
    for record in complete(records):
        best = float("-inf")
        for solve in range(1, record["budget"] + 1):
            if solve <= len(record["steps"]):
                best = max(best, points(record["steps"][solve - 1]))
            rows.append((record["agent"], record["case"], record["seed"], solve, best))
    return pd.DataFrame(rows, columns=["agent", "case", "seed", "solve", "best"])


def plans(records: Iterable[Record]) -> list[tuple[str, str, int, Summary]]:
    """The plans to compare, (method, case, seed, summary): what each episode handed over."""
    return [(r["agent"], r["case"], r["seed"], plan_handed_over(r)) for r in complete(records) if r["steps"]]


def metrics(records: Iterable[Record]) -> pd.DataFrame:
    """Dose metrics of the compared plans: method, case, seed, structure, its kind, metric, value, stage."""
    rows = [
        (method, case, seed, structure, kind_of(structure), metric, float(value), plan.get("stage"))
        for method, case, seed, plan in plans(records)
        for structure, values in plan["metrics"].items()
        for metric, value in values.items()
    ]
    return pd.DataFrame(rows, columns=["method", "case", "seed", "structure", "kind", "metric", "value", "stage"])


def criteria(records: Iterable[Record]) -> pd.DataFrame:
    """Criteria of the compared plans: method, case, seed, criterion, priority, value, passed."""
    rows = [
        (method, case, seed, criterion_label(item), item["priority"], item["value"], bool(item["passed"]))
        for method, case, seed, plan in plans(records)
        for item in plan["criteria"]
    ]
    return pd.DataFrame(rows, columns=["method", "case", "seed", "criterion", "priority", "value", "passed"])


def plan_scores(records: Iterable[Record]) -> pd.DataFrame:
    """Scores by episode: method, case, seed, score (the best), handed (of the plan handed over), last, met, ….

    A refused plan counts 0. Where plans are delivered, all but `last` are of the delivered plan handed over. `met`:
    whether any plan of the episode meets the whole protocol, 0 or 1; `passed`: whether the best passes the screen, NaN
    where there is none; `highest`: the highest score, refused or not.
    """
    rows = [
        (
            r["agent"],
            r["case"],
            r["seed"],
            best_points(plans_that_count(r)),
            points(plan_handed_over(r)),
            points(r["steps"][-1]),
            any(plan["met"] for plan in plans_that_count(r)),
            _passed(plans_that_count(r)),
            max(plan["score"] for plan in plans_that_count(r)),
        )
        for r in complete(records)
    ]
    numbers = ["score", "handed", "last", "met", "passed", "highest"]
    frame = pd.DataFrame(rows, columns=["method", "case", "seed", *numbers])
    return frame.astype(dict.fromkeys(numbers, float))


def runs_by_case(frame: pd.DataFrame, value: str) -> dict[str, NDArray[np.float64]]:
    """A column's values by case, one for each seed: what `radplan_experiments.reporting.stats` takes."""
    return {str(case): own.to_numpy(dtype=float) for case, own in frame.groupby("case")[value]}


def runs(frame: pd.DataFrame, value: str) -> dict[str, dict[str, NDArray[np.float64]]]:
    """A column's values by method and case, one for each seed."""
    return {str(method): runs_by_case(own, value) for method, own in frame.groupby("method")}


def passing_runs(frame: pd.DataFrame) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Best scores by method and case, one for each seed, without episodes whose plans are all refused.

    What is to be said of points is said of these: a mean with a refused plan in it would be about the penalty.
    """
    return runs(frame[frame["passed"] != 0], "score")


def ordered(settings: Settings, methods: Iterable[str]) -> list[str]:
    """Those of the agents that are there, in the order asked for."""
    present = set(methods)
    return [agent for agent in settings.agents if agent in present]


def comparators(settings: Settings) -> list[str]:
    """Whom the others are compared with: the template and random search, else the first agent."""
    return [agent for agent in ("template", "random") if agent in settings.agents] or [settings.agents[0]]


def comparator(settings: Settings) -> str:
    """Whom doses are compared with: the template, else the first agent."""
    first = comparators(settings)[0]
    return settings.agents[0] if first == "random" else first


def criterion_label(item: Mapping[str, Any]) -> str:
    """A criterion as planners write it: "Rectum V31Gy ≤ 34 %"."""
    return Bound.of(item).words


def _passed(plans: Sequence[Summary]) -> float | None:
    """Whether the best of some plans passes the screen; None where none was screened."""
    if all(plan.get("screened") is None for plan in plans):
        return None
    return any(not refused(plan) for plan in plans)


def kind_of(structure: str) -> str:
    """Kind of a structure: "target", "organ", or "body" for what is the rest of the patient."""
    if is_target(structure):
        return "target"
    return "body" if structure in ("Body", OUTSIDE_TARGETS) else "organ"
