"""The table of how plans are delivered: it leads, where they are."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from radplan_experiments.recording.ranking import points
from radplan_experiments.recording.records import Record, handed_over
from radplan_experiments.recording.settings import Settings
from radplan_experiments.reporting import frames
from radplan_experiments.reporting.tables.means import rows_of_means
from radplan_experiments.reporting.tables.table import Table
from radplan_experiments.wording import counted

SCORE, MU = "delivered score", "MU per fraction"
HEADINGS = {
    "score": SCORE,
    "of_solve": "score of its solve",
    "ideal_score": "ideal score",
    "mu": MU,
    "mu_per_gy": "MU per Gy",
    "seconds": "seconds",
    "mean_gap_mm": "mean gap [mm]",
    "modulation_complexity": "modulation complexity",
    "violations": "limits broken",
}
NOTE = (
    "Mean (SD) over cases, seeds averaged, of the plan that each episode handed over, as it is delivered; a plan that "
    "the screen refuses counts 0 points. Score of its solve: what the episode knew of it, {of_solve}. Ideal score: of "
    "the fluence that its apertures were optimised from, {ideal}. Monitor units and seconds in a fraction; gap of "
    "exposed open leaf pairs, weighted by monitor units; modulation complexity is 1 for an open field, and less for "
    "more modulation (McNiven 2010)."
)


def delivery(settings: Settings, records: Sequence[Record]) -> Table:
    """One row an agent: score, monitor units, seconds; empty of ideal plans."""
    rows = rows_of_means(settings, _by_case(settings, records), HEADINGS)
    if (chosen := settings.delivery) is None:
        return Table("delivery", "", "", pd.DataFrame())
    note = NOTE.format(
        of_solve="an ideal one" if chosen.when == "final" else "on fewer angles of an arc",
        ideal="of coarse fields all round" if chosen.technique == "vmat" else "of the plan's beams on finer bixels",
    )
    arcs = f", {counted(chosen.arcs, 'arc')}" if chosen.technique == "vmat" else ""
    title = f"Delivered plans: {chosen.technique}{arcs}, machine {chosen.chosen_machine.name}"
    return Table("delivery", title, note, pd.DataFrame(rows), 1, {MU: 0, "seconds": 0, "modulation complexity": 2})


def _by_case(settings: Settings, records: Sequence[Record]) -> pd.DataFrame:
    """Figures by method and case, seeds averaged."""
    dose_gy = settings.protocol.primary.prescription_gy / settings.protocol.fractions
    values = [
        {
            "method": record["agent"],
            "case": record["case"],
            **{name: value for name, value in delivered.items() if name in HEADINGS},
            "score": points(delivered),
            "of_solve": points(record["steps"][handed_over(record)]),
            "mu_per_gy": delivered["mu"] / dose_gy,
        }
        for record in frames.complete(records)
        if (delivered := record.get("delivered")) is not None
    ]
    frame = pd.DataFrame(values, columns=["method", "case", *HEADINGS])
    return frame.groupby(["method", "case"])[list(HEADINGS)].mean()
