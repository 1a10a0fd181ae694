"""Table of the plans that the screen refused."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from radplan_experiments.recording.records import Record
from radplan_experiments.recording.settings import Settings
from radplan_experiments.reporting.refusals import refusals
from radplan_experiments.reporting.tables.table import Table


def refused_plans(settings: Settings, records: Sequence[Record]) -> Table:
    """One row an agent: how many of its plans the screen refused, and why; empty where nothing was refused."""
    found = {agent: refusals(r for r in records if r["agent"] == agent) for agent in settings.agents}
    rows = [
        {
            "method": agent,
            "plans": own.plans,
            "refused": own.refused,
            "refused [%]": 100 * own.refused / own.plans,
            "episodes": own.episodes,
            "without a plan that passes": own.without,
            "most often for": own.most or "–",
        }
        for agent, own in found.items()
        if own.plans
    ]
    note = (
        "Plans of all solves. The screen refuses what a physicist would refuse at a glance; what it looks for stands "
        "in the protocol. Reasons with the number of plans, of which one may have several."
    )
    frame = pd.DataFrame(rows if any(own.refused for own in found.values()) else [])
    return Table("refused_plans", "Plans that the screen refused", note, frame, decimals=1)
