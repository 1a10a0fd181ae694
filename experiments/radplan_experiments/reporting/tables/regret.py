"""Table of what agents leave of the best that is known of each patient."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from radplan_experiments.recording.records import Record
from radplan_experiments.recording.settings import Settings
from radplan_experiments.reporting import frames, stats
from radplan_experiments.reporting.best_known import best_known
from radplan_experiments.reporting.equivalence import EQUIVALENT
from radplan_experiments.reporting.tables.table import WIDENED, Table, with_interval
from radplan_experiments.wording import counted


def regret(settings: Settings, records: Sequence[Record]) -> Table:
    """One row an agent: regret and points lost against the best known, over patients; empty without a template."""
    known = best_known(settings, records)
    runs = frames.passing_runs(frames.plan_scores(records))
    rows = []
    for agent in settings.agents:
        own = {case: scores.mean() for case, scores in runs.get(agent, {}).items() if case in known}
        if not own:
            continue
        regrets = np.array([known[case].regret(score) for case, score in own.items()])
        lost = np.array([known[case].best - score for case, score in own.items()])
        rows.append(
            {
                "method": agent,
                "cases": len(own),
                **with_interval("regret", regrets.mean(), stats.interval_over_cases(regrets)),
                "worst regret": regrets.max(),
                **with_interval("points lost", lost.mean(), stats.interval_over_cases(lost)),
                "best known in": f"{sum(known[c].is_of(agent, score) for c, score in own.items())} of {len(own)}",
            }
        )
    if len(runs) < 2 and all(each.by in runs for each in known.values()):
        rows = []  # an agent alone is the best known of itself
    note = (
        "Regret: what an agent leaves of the way from the template's score to the best that is known of the patient, "
        "(best − score)/(best − template): 0 is the best, 1 the template, more is worse than the template. Points "
        "lost: best − score. Seeds averaged, then the mean over cases [95 % bootstrap interval, "
        f"{WIDENED}]. Best known: by any agent of this run or by the package's list (suites/best-known.csv); it only "
        "ever rises, so regrets of two runs compare only where it is the same."
    )
    note += " Episodes whose plans are all refused by the screen are left out."
    tight = [case for case, each in known.items() if not each.leaves_room]
    if tight:
        note += (
            f" On {counted(len(tight), 'case')} the best is less than {EQUIVALENT} points above the template; there "
            f"the loss is divided by {EQUIVALENT} points."
        )
    return Table("regret", "Regret: what is left of the way to the best known", note, pd.DataFrame(rows))
