"""The table of plans against reference plans, like with like."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from radplan_experiments.recording.records import Record
from radplan_experiments.recording.settings import Settings
from radplan_experiments.reporting import stats
from radplan_experiments.reporting.against_reference import comparisons
from radplan_experiments.reporting.tables.table import WIDENED, Table, with_interval

NOTE = (
    "Like with like: the plan handed over and the patient's reference plan, both averaged over the voxels of the "
    "reference's grid and scaled to D95 = Rx of the primary target there; means over patients, seeds averaged; ours "
    f"minus the reference's [95 % bootstrap interval, {WIDENED}]. Compared are criteria of targets and organs: skin, "
    "air, maxima and indices of the whole dose say more of the two dose engines than of the plans, so would a score. "
    "Reference plans were made to be delivered."
)


def against_reference(settings: Settings, records: Sequence[Record]) -> Table:
    """One row a criterion and agent: ours, the reference's, the difference, in how many patients ours is better."""
    rows = [
        {
            "criterion": each.criterion.bound.words,
            "agent": each.agent,
            "patients": len(each.ours),
            "ours": float(each.ours.mean()),
            "reference": float(each.reference.mean()),
            **with_interval("difference", each.difference.mean(), stats.interval_over_cases(each.difference)),
            "ours better in": f"{int((each.gain > 0).sum())} of {len(each.gain)}",
        }
        for each in comparisons(settings, records)
    ]
    title = "Against reference plans, criterion by criterion"
    return Table("against_reference", title, NOTE, pd.DataFrame(rows))
