"""Tables of the solves that agents needed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from radplan_env.planning import Summary
from radplan_experiments.recording.records import Record
from radplan_experiments.recording.settings import Settings
from radplan_experiments.reporting.goals import GOALS, REFERENCE, Reached, reached
from radplan_experiments.reporting.tables.table import UNKNOWN, Table, known_columns, mean_or_nan

MET = "protocol"

OWN_VOXELS = (
    "A reference plan's score is of the voxels that its dose was given on: a mark to pass, not like with "
    "like; that stands under Doses and criteria."
)


def solves_needed(settings: Settings, records: Sequence[Record], references: Mapping[str, Summary]) -> Table:
    """One row an agent: how many of its episodes reached a goal, and by which solve."""
    found = list(reached(settings, records, references))
    rows = []
    for agent in settings.agents:
        own = [each for each in found if each.record["agent"] == agent]
        if not own:
            continue
        row: dict[str, object] = {"method": agent, "episodes": len(own)}
        row |= _goal(MET, [each.met for each in own])
        row["score when met"] = mean_or_nan([each.score_when_met for each in own if each.score_when_met is not None])
        for goal in GOALS:
            row |= _goal(goal, [each.solves[goal] for each in own if goal in each.solves])
        rows.append(row)
    note = (
        "Share of episodes that met the protocol, reached the score of the template or of the reference plan, or came "
        "95 % of the way from the template to the best that is known of the patient; and by which solve, the median "
        f"over episodes, {UNKNOWN} where less than half of them did. A plan that the screen refuses reaches no score. "
        "Score when met: mean score of the first plan that met the protocol. Episode by episode: tables/episodes.csv."
    )
    if any(REFERENCE in each.solves for each in found):
        note += " " + OWN_VOXELS
    return Table("solves_needed", "Solves needed", note, known_columns(pd.DataFrame(rows)), 1)


def episodes(settings: Settings, records: Sequence[Record], references: Mapping[str, Summary]) -> Table:
    """One row an episode: its best score, the score when it met the protocol, the solves it needed."""
    rows = [_episode(each) for each in reached(settings, records, references)]
    note = "Solves count from 1; empty where a goal was not reached, or is not known."
    return Table("episodes", "Every episode", note, pd.DataFrame(rows), is_long=True)


def _episode(each: Reached) -> dict[str, object]:
    return {
        **{name: each.record[name] for name in ("agent", "case", "seed")},
        "solves": len(each.record["steps"]),
        "best score": each.best,
        "solves to meet the protocol": each.met,
        "score when met": each.score_when_met,
        **{f"solves to {goal}": each.solves.get(goal) for goal in GOALS},
    }


def _goal(name: str, solves: Sequence[int | None]) -> dict[str, float]:
    """Share of episodes that reached a goal, in %, and the median solve that did; NaN if fewer than half did."""
    if not solves:
        return {f"{name} [%]": math.nan, f"{name}, solves": math.nan}
    median = float(np.median([math.inf if solve is None else solve for solve in solves]))
    share = 100 * sum(solve is not None for solve in solves) / len(solves)
    return {f"{name} [%]": share, f"{name}, solves": median if math.isfinite(median) else math.nan}
