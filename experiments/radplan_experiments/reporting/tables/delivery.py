"""The table of how plans are delivered: it leads, where they are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from radplan_env.info import RobustnessSummary
from radplan_env.planning.robustness import worst_shifted_score
from radplan_experiments.recording.ranking import points
from radplan_experiments.recording.records import Record, handed_over
from radplan_experiments.recording.settings import Settings
from radplan_experiments.reporting import frames
from radplan_experiments.reporting.tables.means import rows_of_means
from radplan_experiments.reporting.tables.table import Table
from radplan_experiments.wording import counted

SCORE, MU = "delivered score", "MU per fraction"
SHIFTED, CORE, CORD = "score, 3 mm off", "core D98, 3 mm off [Gy]", "cord, 3 mm off [Gy]"
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
    "shifted": SHIFTED,
    "core_gy": CORE,
    "cord_gy": CORD,
}
NOTE = (
    "Mean (SD) over cases, seeds averaged, of the plan that each episode handed over, as it is delivered; a plan that "
    "the screen refuses counts 0 points. Score of its solve: what the episode knew of it, {of_solve}. Ideal score: of "
    "the fluence that its apertures were optimised from, {ideal}. Monitor units and seconds in a fraction; gap of "
    "exposed open leaf pairs, weighted by monitor units; modulation complexity is 1 for an open field, and less for "
    "more modulation (McNiven 2010). 3 mm off: the worst of six shifts of the patient, judged as it is, on the sampled "
    "points; the core is the primary target's, D0.1cc is given of the cord, and the screen has limits for both."
)


def delivery(settings: Settings, records: Sequence[Record]) -> Table:
    """One row an agent: score, monitor units, seconds; empty of ideal plans."""
    by_case = _by_case(settings, records)
    told = {name: heading for name, heading in HEADINGS.items() if by_case[name].notna().any()}
    rows = rows_of_means(settings, by_case, told)
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
            **_shifted(delivered["robustness"], settings.protocol.primary.structure),
        }
        for record in frames.complete(records)
        if (delivered := record.get("delivered")) is not None
    ]
    frame = pd.DataFrame(values, columns=["method", "case", *HEADINGS])
    return frame.groupby(["method", "case"])[list(HEADINGS)].mean()


def _shifted(found: RobustnessSummary | None, primary: str) -> dict[str, float]:
    """Worst values under shifts, of what there is."""
    if found is None:
        return {}
    names = {"core_gy": f"{primary}.core D98%", "cord_gy": "SpinalCord D0.1cc"}
    shifted = worst_shifted_score(found)
    return {"shifted": shifted, **{key: found["worst_shift"].get(name, math.nan) for key, name in names.items()}}
