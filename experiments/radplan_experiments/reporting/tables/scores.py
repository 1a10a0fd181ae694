"""Tables of the scores that agents reach."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from radplan_env.planning import caption
from radplan_env.sources import SOURCES
from radplan_experiments.recording.records import FAILED, Record
from radplan_experiments.recording.settings import Settings
from radplan_experiments.reporting import frames, stats
from radplan_experiments.reporting.frames import runs_by_case
from radplan_experiments.reporting.stages import kind_of_plan, stages_of_records
from radplan_experiments.reporting.tables.table import (
    SD,
    UNKNOWN,
    WIDENED,
    Table,
    mean_or_nan,
    told,
    with_interval,
)
from radplan_experiments.wording import counted

HIGHER_PRIORITIES = 2
"""Priorities 1 and 2 are what a plan is first judged on."""


def overview(settings: Settings, records: Sequence[Record]) -> Table:
    """One row an agent: episodes, solves, scores, criteria met."""
    scores, criteria = frames.plan_scores(records), frames.criteria(records)
    optional = {"training solves": "training_solves", "distance to reference [Gy]": "distance_gy"}
    optional = {column: name for column, name in optional.items() if not np.isnan(told(records, name))}
    is_screened, is_refused = scores["passed"].notna().any(), (scores["highest"] > scores["score"]).any()
    rows = []
    for method in settings.agents:
        episodes = [r for r in records if r["agent"] == method]
        own = scores[scores["method"] == method]
        if not episodes and own.empty:
            continue
        by_case = own.groupby("case")[["score", "handed", "last", "met", "passed", "highest"]].mean()
        judged = criteria[criteria["method"] == method]
        stages = stages_of_records(episodes)
        rows.append(
            {
                "method": method,
                "plan": kind_of_plan(stages) if stages else UNKNOWN,
                **(_screened(by_case) if is_screened else {}),
                **_best_score(own, "best score (IQM)" if settings.delivery is None else "delivered score (IQM)"),
                "cases": len(by_case),
                "episodes": len(episodes),
                "failed": sum(r["status"] == FAILED for r in episodes),
                "solves": mean_or_nan([len(r["steps"]) for r in episodes]),
                **{column: told(episodes, name) for column, name in optional.items()},
                "mean": by_case["score"].mean(),
                f"mean{SD}": by_case["score"].std(),
                **({"mean, screen ignored": by_case["highest"].mean()} if is_refused else {}),
                "handed over": by_case["handed"].mean(),
                "last plan": by_case["last"].mean(),
                "criteria met [%]": _passed(judged),
                "priority 1 and 2 met [%]": _passed(judged[judged["priority"] <= HIGHER_PRIORITIES]),
                **with_interval("all met [%]", 100 * by_case["met"].mean(), 100 * stats.share_interval(by_case["met"])),
            }
        )
    note = (
        "Best score (IQM): interquartile mean over cases and seeds of the best score of an episode, 95 % bootstrap "
        f"interval over cases, {WIDENED} (by Student's t and √(n/(n\u00a0−\u00a01)), Hesterberg 2015) and cut at 0 and "
        "100; mean: over cases (SD), seeds averaged within a case. Failed episodes enter no mean but that of the "
        "solves made: look at their number first. Handed over: score of the plan handed over, which is one that meets "
        "every criterion, else the one of the best score, and a refused one only where all are; the criteria met are "
        "its. Last plan: score of the last one "
        "made. All met: share of episodes that came to a plan which meets every criterion, 95 % interval (Wilson) over "
        "cases."
    )
    if settings.delivery is not None:
        note += (
            " Scores and criteria are of the delivered plan that an episode hands over; last plan: as it was solved."
        )
    if is_screened:
        note += (
            " Pass screen: share of episodes with a plan that passes the scorecard's screen, 95 % interval (Wilson) "
            "over cases. A plan that the screen refuses ranks below every other and counts 0 points."
        )
    if is_refused:
        note += " Mean, screen ignored: of the highest scores, refused or not."
    if "training solves" in optional:
        note += f" Training solves: what learning the agent's policy took before; {UNKNOWN} where nothing was learned."
    if "distance to reference [Gy]" in optional:
        note += " Distance to reference: the smallest of an episode, of the agents that look for it."
    return Table("overview", f"Overview: {_task(settings)}", note, pd.DataFrame(rows), 1, {"training solves": 0})


def score_statistics(settings: Settings, records: Sequence[Record]) -> Table:
    """Interquartile mean, mean and median of the best scores, with both kinds of interval; empty of single runs."""
    scores = frames.plan_scores(records)
    rows = []
    for method in frames.ordered(settings, scores["method"]):
        runs = list(runs_by_case(scores[scores["method"] == method], "score").values())
        matrix = stats.balanced(runs)
        row: dict[str, object] = {"method": method, "cases": len(runs), "runs": sum(map(len, runs))}
        for name, statistic in (("IQM", stats.interquartile_mean), ("mean", stats.mean), ("median", stats.median)):
            row |= with_interval(name, statistic(matrix).item(), _over_cases(matrix, statistic))
        over_seeds = stats.interval_over_seeds(runs, bounds=stats.SCORES)
        iqm = np.nan if np.isnan(over_seeds).any() else stats.interquartile_mean(matrix).item()
        rows.append(row | with_interval("IQM, other seeds", iqm, over_seeds))
    note = (
        "Best scores of the episodes. IQM, mean, median: 95 % bootstrap interval over cases: would it be so for other "
        "patients? IQM, other seeds: 95 % bootstrap interval over seeds, stratified by case: would it be so on the "
        f"same patients with other random numbers? {UNKNOWN} where each case was played once: a single seed, or an "
        f"agent that does not depend on it. Intervals are {WIDENED} or seeds, as in the overview, and cut at 0 and "
        "100. Median: over cases of the means over seeds."
    )
    title = "Best score: interquartile mean, mean and median"
    says_more = any(row["runs"] != 1 for row in rows)  # than the overview does
    return Table("score_statistics", title, note, pd.DataFrame(rows if says_more else []), decimals=1)


def score_by_solve(settings: Settings, records: Sequence[Record]) -> Table:
    """Best score so far after 1, 2, … solves."""
    scores = frames.scores(records)
    rows = []
    for agent in frames.ordered(settings, scores["agent"]):
        own = scores[scores["agent"] == agent]
        row: dict[str, object] = {"method": agent, "cases": own["case"].nunique()}
        for solve in milestones(settings.budget):
            matrix = stats.balanced(list(runs_by_case(own[own["solve"] == solve], "best").values()))
            ends = _over_cases(matrix, stats.interquartile_mean)
            row |= with_interval(str(solve), stats.interquartile_mean(matrix).item(), ends)
        rows.append(row)
    note = (
        f"Columns count solves; interquartile mean [95 % bootstrap interval over cases, {WIDENED} and cut at 0 and "
        "100]. Who stopped early keeps the score reached."
    )
    note += of_solves(settings)
    title = "Best score so far, by number of solves"
    return Table("score_by_solve", title, note, pd.DataFrame(rows), decimals=1)


def of_solves(settings: Settings) -> str:
    """Return what plans of single solves are, where scores are of others."""
    return "" if settings.solves_count else f" Plans of single solves are ideal, {caption(['ideal'])}."


def milestones(budget: int) -> list[int]:
    """Numbers of solves to show: 1, 2, 3, 5, 10, 20, 30, 50, …, and the budget."""
    steps = [factor * 10**power for power in range(len(str(budget))) for factor in (1, 2, 3, 5)]
    return sorted({step for step in steps if step <= budget} | {budget})


def _screened(by_case: pd.DataFrame) -> dict[str, float]:
    """Share of episodes with a plan that passes the screen, in %; not known where none was screened."""
    passed = by_case["passed"].dropna()
    ends = stats.share_interval(passed) if len(passed) else (np.nan, np.nan)
    return with_interval("pass screen [%]", 100 * passed.mean(), 100 * np.asarray(ends))


def _best_score(own: pd.DataFrame, column: str) -> dict[str, float]:
    runs = list(runs_by_case(own, "score").values())
    if not runs:
        return with_interval(column, np.nan, (np.nan, np.nan))
    matrix = stats.balanced(runs)
    ends = _over_cases(matrix, stats.interquartile_mean)
    return with_interval(column, stats.interquartile_mean(matrix).item(), ends)


def _over_cases(matrix: NDArray[np.float64], statistic: stats.Statistic) -> NDArray[np.float64]:
    return stats.interval_over_cases(matrix, statistic, bounds=stats.SCORES)


def _passed(judged: pd.DataFrame) -> float:
    """Per cent of criteria passed, each case weighing the same."""
    return float(100 * judged.groupby("case")["passed"].mean().mean())


def _task(settings: Settings) -> str:
    source = SOURCES.get(settings.source)
    cases = f"{settings.source} {settings.split}" if source is not None and source.has_splits else settings.source
    counts = {"case": len(settings.cases), "seed": settings.seeds, "solve": settings.budget}
    extent = ", ".join(counted(count, word) for word, count in counts.items())
    return f"{settings.site}, {cases}, {extent}, {settings.fidelity} fidelity"
