"""Tables of agents against each other, paired by case."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from radplan_env.metrics import parse_metric
from radplan_env.planning import caption
from radplan_experiments.recording.records import Record
from radplan_experiments.recording.settings import Settings
from radplan_experiments.reporting import frames, stats
from radplan_experiments.reporting.stages import stages_of_records
from radplan_experiments.reporting.tables.scores import milestones, of_solves
from radplan_experiments.reporting.tables.table import SD, WIDENED, Table, known_columns, with_interval

Runs = Mapping[str, NDArray[np.float64]]
"""Scores of an agent by case, one for each seed."""

Pairs = Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]]
"""For each case, ours and theirs, one for each seed."""

SHOWN = {"target": ("mean", "D95%"), "organ": ("mean", "D50%", "V15Gy")}
"""Metrics whose differences are shown, by kind of structure: the paper's figure 3."""


def score_differences(settings: Settings, records: Sequence[Record]) -> Table:
    """Each agent's best score minus that of the template plan and of random search."""
    rows = []
    for agent, against, passing, pairs in score_pairs(settings, records):
        difference, ranked = differences(passing), differences(pairs)
        better = stats.probability_of_improvement(*zip(*pairs, strict=True))
        rows.append(
            {
                "agent": agent,
                "against": against,
                "cases": len(pairs),
                **with_interval("difference", _mean(difference), stats.interval_over_cases(difference)),
                f"difference{SD}": float(pd.Series(difference).std()),
                "higher in": f"{int((ranked > 0).sum())} of {len(pairs)}",
                "lower in": f"{int((ranked < 0).sum())} of {len(pairs)}",
                **with_interval("P(better)", _share(better), stats.share_interval(better)),
            }
        )
    frame = known_columns(pd.DataFrame(rows))
    note = (
        "Best score of the agent minus that of the other within the same budget of solves, paired by case, seeds "
        f"averaged; mean (SD) [95 % bootstrap interval, {WIDENED}] over cases. Refused plans are lower than all others "
        "and enter no difference."
    )
    if "P(better)" in frame:
        note += (
            " P(better): that the agent's run of a case scores higher than the other's, ties counting half [95 % "
            "Wilson interval over cases]. Each interval is of one comparison by itself: among many, one in twenty "
            "misleads."
        )
    return Table("score_differences", "Score, case by case against the others", note, frame, 1, {"P(better)": 2})


def improvement(settings: Settings, records: Sequence[Record]) -> Table:
    """Probability of improvement: that the row's method scores higher than the column's; empty where none is known."""
    runs = frames.runs(frames.plan_scores(records), "score")
    methods = frames.ordered(settings, runs)
    rows = []
    for method in methods:
        row: dict[str, object] = {"P(row > column)": method}
        for other in methods:
            pairs = paired(runs[method], runs[other])
            share, ends = np.nan, np.full(2, np.nan)
            if pairs and method != other:
                better = stats.probability_of_improvement(*zip(*pairs, strict=True))
                share, ends = _share(better), stats.share_interval(better)
            row |= with_interval(other, share, ends)
        rows.append(row)
    note = (
        "How often a run of the row's method has the higher best score than one of the column's on the same case, ties "
        "counting half, averaged over cases. 95 % Wilson intervals over cases in the CSV and in the figure."
    )
    frame = pd.DataFrame(rows)
    frame = pd.DataFrame() if frame.empty or frame[methods].isna().all(axis=None) else frame
    return Table("probability_of_improvement", "Probability of improvement", note, frame, brackets=False)


def gain_over_random(settings: Settings, records: Sequence[Record]) -> Table:
    """Each agent's best score so far minus random search's after as many solves; empty without random search."""
    scores = frames.scores(records)
    rows: list[dict[str, object]] = [{"agent": agent} for agent in frames.ordered(settings, scores["agent"])]
    rows = [row for row in rows if row["agent"] != "random"] if "random" in set(scores["agent"]) else []
    for solve in milestones(settings.budget):
        runs = frames.runs(scores[scores["solve"] == solve].rename(columns={"agent": "method"}), "best")
        for row in rows:
            difference = differences(paired(runs[str(row["agent"])], runs["random"]))
            row["cases"] = len(difference)
            row |= with_interval(str(solve), _mean(difference), stats.interval_over_cases(difference))
    note = (
        "Best score so far of the agent minus that of random search after the same number of solves, which the columns "
        f"count; paired by case, seeds averaged, mean [95 % bootstrap interval, {WIDENED}] over cases. Training "
        "solves, if any, come on top: see the overview."
    )
    note += of_solves(settings)
    title = "Gain over random search, by number of solves"
    return Table("gain_over_random", title, note, pd.DataFrame(rows), decimals=1)


def dose_differences(settings: Settings, records: Sequence[Record]) -> Table:
    """Dose metrics of each agent's plans minus those of the template plan."""
    dose = frames.metrics(records)
    dose = pd.concat([dose[(dose["kind"] == kind) & dose["metric"].isin(names)] for kind, names in SHOWN.items()])
    rows = []
    for against in _planners(settings):
        for (structure, metric), part in dose.groupby(["structure", "metric"], sort=False):
            runs = frames.runs(part, "value")
            found = {
                agent: differences(paired(runs.get(agent, {}), runs.get(against, {})))
                for agent in settings.agents
                if agent != against
            }
            if not any(map(len, found.values())):
                continue
            row: dict[str, object] = {
                "quantity": f"{structure} {metric}",
                "unit": parse_metric(str(metric)).unit,
                "against": against,
                "cases": max(map(len, found.values())),
            }
            for agent, difference in found.items():
                row |= with_interval(agent, _mean(difference), stats.interval_over_cases(difference))
            rows.append(row)
    note = (
        "Plan handed over minus that of the other, paired by case, seeds averaged; mean [95 % bootstrap interval, "
        f"{WIDENED}] over cases. Below zero is better for organs."
    )
    if said := caption(sorted(stages_of_records(records))):
        note += f" Ours {said}."
    return Table("dose_differences", "Dose, case by case against the others", note, pd.DataFrame(rows), decimals=1)


def score_pairs(settings: Settings, records: Sequence[Record]) -> Iterator[tuple[str, str, Pairs, Pairs]]:
    """Agent, what it is compared with, and the best scores of both: of plans that pass, and with 0 of those refused."""
    frame = frames.plan_scores(records)
    runs, passing = frames.runs(frame, "score"), frames.passing_runs(frame)
    for against in frames.comparators(settings):
        for agent in settings.agents:
            pairs = paired(runs.get(agent, {}), runs.get(against, {}))
            if agent != against and pairs:
                yield agent, against, paired(passing.get(agent, {}), passing.get(against, {})), pairs


def paired(ours: Runs, theirs: Runs) -> Pairs:
    """Scores of the cases that both have."""
    return [(runs, theirs[case]) for case, runs in ours.items() if case in theirs]


def differences(pairs: Pairs) -> NDArray[np.float64]:
    """Ours minus theirs for each case, seeds averaged: (n_cases,)."""
    return np.array([ours.mean() - theirs.mean() for ours, theirs in pairs], dtype=float)


def _share(better: NDArray[np.float64]) -> float:
    """How often the other is beaten; not known of a single case, which is won, lost or tied."""
    return float(better.mean()) if len(better) > 1 else float("nan")


def _planners(settings: Settings) -> list[str]:
    """What doses are compared with: random search is no planner."""
    found = [method for method in frames.comparators(settings) if method != "random"]
    return found or [frames.comparator(settings)]


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")
