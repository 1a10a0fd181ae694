"""Tables of what the scores can tell: which agents differ in practice, what makes scores vary, how many patients."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from radplan_experiments.recording.records import Record
from radplan_experiments.recording.settings import Settings
from radplan_experiments.reporting import frames, stats
from radplan_experiments.reporting.equivalence import EQUIVALENT, Decision, decisions
from radplan_experiments.reporting.power import detectable_difference, patients_needed
from radplan_experiments.reporting.tables.comparisons import differences, paired
from radplan_experiments.reporting.tables.table import WIDENED, Table, known_columns, with_interval
from radplan_experiments.reporting.variance import Variances, variances

RANDOM = "random"
"""Random search is no planner: how far it lags behind says nothing of how far planners can be told apart."""


def practical_equivalence(settings: Settings, records: Sequence[Record]) -> Table:
    """One row for every two agents: whether one is better in practice, both are equivalent, or neither is shown."""
    rows = [
        {
            "agent": agent,
            "against": other,
            "cases": len(difference),
            **with_interval("difference", difference.mean(), stats.interval_over_cases(difference)),
            "in practice": decision,
        }
        for (agent, other), (difference, decision) in in_practice(settings, records).items()
    ]
    note = (
        "Best score of the agent minus the other's, of episodes with a plan that passes the screen, paired by case, "
        "seeds averaged; mean [95 % bootstrap interval of "
        f"this comparison by itself, {WIDENED}]. In practice: equivalent, where the interval lies within ± "
        f"{EQUIVALENT} points; better or worse, where it lies outside; else undecided. There the intervals are wide "
        f"enough for all {len(rows)} comparisons together to hold with 95 % (Holm 1979); with fewer than "
        f"{stats.ENOUGH_CASES} cases nothing is decided."
    )
    return Table("practical_equivalence", "Which agents differ in practice", note, pd.DataFrame(rows))


def in_practice(
    settings: Settings, records: Sequence[Record]
) -> dict[tuple[str, str], tuple[NDArray[np.float64], Decision]]:
    """Differences by patient of every two agents, the one of the higher mean first, and what they show in practice."""
    runs = frames.passing_runs(frames.plan_scores(records))
    pairs = combinations(_by_mean(settings, records), 2)
    each = {(one, other): differences(paired(runs[one], runs[other])) for one, other in pairs}
    each = {pair: difference for pair, difference in each.items() if len(difference) > 1}
    found = decisions(list(each.values()))
    return {pair: (each[pair], decision) for pair, decision in zip(each, found, strict=True)}


def variance(settings: Settings, records: Sequence[Record]) -> Table:
    """One row: shares of the variance of the best scores, the detectable difference, the patients needed."""
    found = split(settings, records)
    if found is None:
        return Table("variance", "", "", pd.DataFrame())
    row: dict[str, object] = {"cases": found.cases}
    row |= {f"{name} [%]": 100 * share for name, share in found.shares.items()}
    row["SD of a difference"] = found.deviation
    row["detectable difference"] = detectable_difference(found.deviation, found.cases)
    row["cases for 1 point"] = patients_needed(found.deviation)
    planned = len(settings.cases)
    note = (
        "Shares of the variance of a best score: patients and agents by their means; agents by patients is what an "
        "agent does on a patient beyond both, and the rest where no agent has several seeds. Seeds on all patients: of "
        "policies trained anew with each seed. Random effects, by the method of moments; estimates below zero are zero."
        " SD of a difference: of two agents on a patient, over patients, in points, pooled over all pairs. Detectable "
        "difference: the mean difference of two agents that a paired t-test (two-sided, 5 %) on these cases finds with "
        "80 % power; cases for 1 point: how many it takes for one of 1 point."
    )
    if RANDOM in settings.agents:
        note += " Random search is left out."
    if found.cases < planned:
        note += (
            f" Only {found.cases} of {planned} cases enter: those that every agent planned with all its seeds, to "
            "plans that pass the screen."
        )
    frame = known_columns(pd.DataFrame([row]))
    return Table(
        "variance", "What makes scores vary, and what can be told", note, frame, 1, {"cases": 0, "cases for 1 point": 0}
    )


def split(settings: Settings, records: Sequence[Record]) -> Variances | None:
    """The variances of the agents' best scores, random search apart; None of too few agents or patients."""
    runs = frames.passing_runs(frames.plan_scores(records))
    return variances({agent: runs[agent] for agent in settings.agents if agent in runs and agent != RANDOM})


def _by_mean(settings: Settings, records: Sequence[Record]) -> list[str]:
    """Agents by their mean score, the highest first."""
    runs = frames.passing_runs(frames.plan_scores(records))
    means = {agent: np.mean([own.mean() for own in by_case.values()]) for agent, by_case in runs.items()}
    return sorted((agent for agent in settings.agents if agent in means), key=lambda agent: -means[agent])
