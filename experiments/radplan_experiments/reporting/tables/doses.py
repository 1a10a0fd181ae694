"""Tables of what the plans do: criteria met and dose metrics, the paper's Tables 1 and 2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from radplan_env.metrics import parse_metric
from radplan_env.planning import caption
from radplan_experiments.recording.records import Record
from radplan_experiments.recording.settings import Settings
from radplan_experiments.reporting import frames
from radplan_experiments.reporting.stages import kind_of_plan
from radplan_experiments.reporting.tables.table import SD, Table

TABLE_1 = ("mean", "min", "D95%", "HI", "CI")
TABLE_2 = ("mean", "D5%", "D50%", "V15Gy", "V30Gy")
LITERATURE = Path(__file__).with_name("gpt_radplan_paper.csv")


def criteria_met(settings: Settings, records: Sequence[Record]) -> Table:
    """Share of the plans that pass each criterion."""
    frame = frames.criteria(records)
    share = frame.groupby(["criterion", "method", "case"])["passed"].mean().groupby(level=[0, 1]).mean() * 100
    wide = share.unstack("method").reindex(columns=frames.ordered(settings, frame["method"]))
    first = frame.drop_duplicates("criterion").set_index("criterion")
    cases = frame.groupby("criterion")["case"].nunique()
    order = first.sort_values("priority", kind="stable").index
    wide = wide.loc[order]
    wide.insert(0, "cases", cases)
    wide.insert(0, "priority", first["priority"])
    note = "Per cent of the plans handed over that pass, averaged over cases."
    return Table("criteria_met", "Criteria met [% of plans]", note, wide.reset_index(), decimals=0)


def target_metrics(settings: Settings, records: Sequence[Record]) -> Table:
    """The paper's Table 1 for our plans."""
    frame = frames.metrics(records)
    targets = frame[frame["kind"] == "target"]
    return _metric_table("table_1_targets", "Table 1: target dose", TABLE_1, settings, targets)


def organ_metrics(settings: Settings, records: Sequence[Record]) -> Table:
    """The paper's Table 2 for our plans."""
    frame = frames.metrics(records)
    organs = frame[frame["kind"] == "organ"]
    return _metric_table("table_2_organs", "Table 2: dose to organs at risk", TABLE_2, settings, organs)


def _metric_table(name: str, title: str, columns: Sequence[str], settings: Settings, metrics: pd.DataFrame) -> Table:
    """Mean and SD over cases of some metrics, a row for each structure and method, literature rows below."""
    literature = pd.read_csv(LITERATURE)
    literature = literature[literature["site"] == settings.site]
    rows = []
    for structure, part in metrics.groupby("structure", sort=False):
        by_case = part.groupby(["method", "case", "metric"])["value"].mean().unstack("metric")
        for method in frames.ordered(settings, part["method"]):
            own = by_case.loc[method]
            values = {m: (own[m].mean(), own[m].std()) if m in own else (np.nan, np.nan) for m in columns}
            kind = kind_of_plan(frozenset(part[part["method"] == method]["stage"].dropna()))
            rows.append(_metric_row(str(structure), method, kind, len(own), values))
        for author, paper in literature[literature["structure"] == structure].groupby("method"):
            known = {row.metric: (row.mean, row.sd) for row in paper.itertuples()}
            values = {m: known.get(m, (np.nan, np.nan)) for m in columns}
            kind, cases = "literature, other patients", int(paper["cases"].iloc[0])
            rows.append(_metric_row(str(structure), f"{author} (paper)", kind, cases, values))
    note = "Mean (SD) over cases of the plan that each episode handed over."
    if len(literature):
        note += " Rows (paper): Liu et al., arXiv:2406.15609, VMAT plans of other patients, for orientation only."
    frame = pd.DataFrame(rows)
    said = caption(sorted(set(metrics["stage"].dropna())))
    title += f" — ours {said}" if said else ""
    return Table(name, title, note, frame, decimals_of={"CI": 3})  # between 0.8 and 1


def _metric_row(
    structure: str, method: str, kind: str, cases: int, values: Mapping[str, tuple[float, float]]
) -> dict[str, object]:
    row: dict[str, object] = {"structure": structure, "method": method, "plan": kind, "cases": cases}
    for metric, (mean, sd) in values.items():
        unit = parse_metric(metric).unit
        label = f"{metric} [{unit}]" if unit else metric
        row |= {label: float(mean), f"{label}{SD}": float(sd)}
    return row
