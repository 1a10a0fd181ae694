"""Tables of a comparison: aligned text that is Markdown too, and the numbers behind it as CSV."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments import frames
from experiments.frames import REFERENCE, Summary, unit_of
from experiments.records import FAILED, Record, Settings, slug, write_text
from experiments.stats import bootstrap_interval

TABLE_1 = ("mean", "min", "D95%", "HI", "CI")
TABLE_2 = ("mean", "D5%", "D50%", "V15Gy", "V30Gy")
USAGE = ("prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens")
UNKNOWN = "–"
LITERATURE = Path(__file__).with_name("gpt_radplan_paper.csv")
BEFORE_SEQUENCING = (
    "Our plans are ideal fluences, before sequencing: not yet deliverable, and better than they could be "
    "delivered. Do not read a lead over a delivered plan out of them."
)


@dataclass(frozen=True)
class Table:
    """A titled data frame; columns "X SD" and "X CI low", "X CI high" are shown in brackets behind X.

    Parameters
    ----------
    name : str
        File name of the CSV.
    title, note : str
        Shown above and below.
    frame : DataFrame
        Numbers, unrounded.
    decimals : int
        Decimals shown.
    decimals_of : Mapping[str, int]
        Decimals of columns that differ.
    """

    name: str
    title: str
    note: str
    frame: pd.DataFrame
    decimals: int = 2
    decimals_of: Mapping[str, int] = field(default_factory=dict)

    def markdown(self) -> str:
        """The table as an aligned Markdown table under its title."""
        columns = [str(c) for c in self.frame.columns if not str(c).endswith((" SD", " CI low", " CI high"))]
        rows = [[self._cell(row, column) for column in columns] for _, row in self.frame.iterrows()]
        widths = [max(len(text) for text in texts) for texts in zip(columns, *rows, strict=True)]
        rule = ["-" * width for width in widths]
        lines = [
            "| " + " | ".join(text.ljust(width) for text, width in zip(texts, widths, strict=True)) + " |"
            for texts in (columns, rule, *rows)
        ]
        return "\n".join([f"## {self.title}", "", *lines, "", self.note, ""])

    def _cell(self, row: pd.Series[Any], column: str) -> str:
        if not isinstance(row[column], float):
            return str(row[column])
        decimals = self.decimals_of.get(column, self.decimals)

        def shown(name: str) -> str:
            return f"{row[name]:.{decimals}f}"

        if pd.isna(row[column]):
            return UNKNOWN
        text = shown(column)
        if pd.notna(row.get(f"{column} SD")):
            text += f" ({shown(f'{column} SD')})"
        if pd.notna(row.get(f"{column} CI low")):
            text += f" [{shown(f'{column} CI low')}, {shown(f'{column} CI high')}]"
        return text


def all_tables(settings: Settings, records: Iterable[Record], references: Mapping[str, Summary]) -> list[Table]:
    """Every table of a run.

    Parameters
    ----------
    settings : Settings
        What was run.
    records : iterable of dict
        Episode records.
    references : Mapping[str, dict]
        Plan summary of the reference plan, by case, for the cases that have one.
    """
    records = list(records)
    tables = [overview(settings, records, references), language_model(settings, records)]
    if frames.complete(records):
        tables += [
            score_by_solve(settings, records),
            criteria_met(settings, records, references),
            target_metrics(settings, records, references),
            organ_metrics(settings, records, references),
            paired_differences(settings, records, references),
        ]
    return [table for table in tables if not table.frame.empty]


def save(tables: Sequence[Table], folder: Path, heading: str) -> str:
    """Write DIR/tables.md and DIR/tables/NAME.csv; return the text."""
    text = "\n".join([heading, "", BEFORE_SEQUENCING, "", *(table.markdown() for table in tables)])
    write_text(folder / "tables.md", text)
    shutil.rmtree(folder / "tables", ignore_errors=True)
    for table in tables:
        write_text(folder / "tables" / f"{table.name}.csv", table.frame.to_csv(index=False))
    return text


def overview(settings: Settings, records: Sequence[Record], references: Mapping[str, Summary]) -> Table:
    """One row an agent: episodes, solves, scores, criteria met; below, the reference plans."""
    scores, criteria = frames.plan_scores(records, references), frames.criteria(records, references)
    learned = not np.isnan(_training_solves(records))
    rows = []
    for method in (*settings.agents, REFERENCE):
        episodes = [r for r in records if r["agent"] == method]
        own = scores[scores["method"] == method]
        if not episodes and own.empty:
            continue
        by_case = own.groupby("case")[["score", "final", "met"]].mean()
        low, high = bootstrap_interval(by_case["score"])
        passed = criteria[criteria["method"] == method].groupby("case")["passed"].mean()
        rows.append(
            {
                "method": method,
                "plan": _kind(method),
                "cases": len(by_case),
                "episodes": len(episodes),
                "failed": sum(r["status"] == FAILED for r in episodes),
                "solves": _mean([len(r["steps"]) for r in frames.complete(episodes)]),
                **({"training solves": _training_solves(episodes)} if learned else {}),
                "best score": by_case["score"].mean(),
                "best score SD": by_case["score"].std(),
                "best score CI low": float(low),
                "best score CI high": float(high),
                "final score": by_case["final"].mean(),
                "criteria met [%]": 100 * passed.mean(),
                "all met [%]": 100 * by_case["met"].mean(),
            }
        )
    note = (
        "Best score: the highest of an episode; mean (SD) [95 % bootstrap interval] over cases, seeds averaged within "
        "a case. Final score: of the last plan made. Criteria met: by the plan handed over, which is one that meets "
        "every criterion, else the one of the best score. All met: share of episodes that came to a plan which meets "
        "every criterion."
    )
    if learned:
        note += f" Training solves: what learning the agent's policy took before; {UNKNOWN} where nothing was learned."
    return Table("overview", f"Overview: {_task(settings)}", note, pd.DataFrame(rows), decimals=1)


def _training_solves(episodes: Sequence[Record]) -> float:
    """Solves that an agent learned from before it played, as its record says; NaN if it says none."""
    told = [(record.get("agent_record") or {}).get("training_solves") for record in episodes]
    return _mean([solves for solves in told if solves is not None])


def language_model(settings: Settings, records: Sequence[Record]) -> Table:
    """What the agents that talk to a language model used, cost and met with."""
    rows = []
    for agent in settings.agents:
        said = [r for r in records if r["agent"] == agent and "usage" in (r.get("agent_record") or {})]
        if not said:
            continue
        scores = [r["best_score"] for r in frames.complete(said)]
        episodes = [r["agent_record"] for r in said]
        faults = sum((Counter(episode["faults"]) for episode in episodes), Counter())
        asked = sum(episode["calls_with_pictures"] for episode in episodes)
        seen = sum(episode["calls_with_pictures_seen"] for episode in episodes)
        tokens = {name: _mean_known([e["usage"][name] for e in episodes]) for name in USAGE}
        rows.append(
            {
                "method": agent,
                "best score": _mean(scores),
                "episodes": len(episodes),
                "calls": _mean([episode["calls"] for episode in episodes]),
                **{name.replace("_", " "): mean for name, mean in tokens.items()},
                "cost [USD]": _mean_known([episode["cost_usd"] for episode in episodes]),
                "failed questions": _mean([episode["failed_questions"] for episode in episodes]),
                "pictures seen": f"{seen} of {asked} calls" if asked else "none shown",
                "faults": ", ".join(f"{name} {count}" for name, count in sorted(faults.items())) or "none",
                "transcripts": f"[transcripts](transcripts/{slug(agent)})",
            }
        )
    note = (
        f"Means over episodes, failed ones too, but for the score; {UNKNOWN} where the service does not say. What was "
        "answered from kept replies counts as on the day it was paid for. Pictures and faults are added up; a fault is "
        "a reply, or a want of one, that made the agent ask again, a failed question one that never got a usable reply."
    )
    one = dict.fromkeys(("best score", "calls", "failed questions"), 1)
    return Table("language_model", "Language model", note, pd.DataFrame(rows), 0, {**one, "cost [USD]": 4})


def score_by_solve(settings: Settings, records: Sequence[Record]) -> Table:
    """Best score so far after 1, 2, … solves."""
    by_case = frames.scores(records).groupby(["agent", "case", "solve"])["best"].mean()
    rows = []
    for agent in _ordered(settings, by_case.index.unique("agent")):
        own = by_case.loc[agent].unstack("solve")
        row: dict[str, object] = {"method": agent, "cases": len(own)}
        for solve in own.columns:
            row |= {str(solve): own[solve].mean(), f"{solve} SD": own[solve].std()}
        rows.append(row)
    note = "Columns count solves; mean (SD) over cases. Who stopped early keeps the score reached."
    return Table("score_by_solve", "Best score so far, by number of solves", note, pd.DataFrame(rows), decimals=1)


def criteria_met(settings: Settings, records: Sequence[Record], references: Mapping[str, Summary]) -> Table:
    """Share of the plans that pass each criterion."""
    frame = frames.criteria(records, references)
    share = frame.groupby(["criterion", "method", "case"])["passed"].mean().groupby(level=[0, 1]).mean() * 100
    wide = share.unstack("method").reindex(columns=_ordered(settings, frame["method"]))
    first = frame.drop_duplicates("criterion").set_index("criterion")
    cases = frame.groupby("criterion")["case"].nunique()
    order = first.sort_values("priority", kind="stable").index
    wide = wide.loc[order]
    wide.insert(0, "cases", cases)
    wide.insert(0, "priority", first["priority"])
    note = "Per cent of the plans handed over that pass, averaged over cases."
    return Table("criteria_met", "Criteria met [% of plans]", note, wide.reset_index(), decimals=0)


def target_metrics(settings: Settings, records: Sequence[Record], references: Mapping[str, Summary]) -> Table:
    """The paper's Table 1 for our plans."""
    frame = frames.metrics(records, references)
    targets = frame[frame["kind"] == "target"]
    return _metric_table("table_1_targets", "Table 1: target dose", TABLE_1, settings, targets)


def organ_metrics(settings: Settings, records: Sequence[Record], references: Mapping[str, Summary]) -> Table:
    """The paper's Table 2 for our plans."""
    frame = frames.metrics(records, references)
    organs = frame[frame["kind"] == "organ"]
    return _metric_table("table_2_organs", "Table 2: dose to organs at risk", TABLE_2, settings, organs)


def _metric_table(name: str, title: str, columns: Sequence[str], settings: Settings, frame: pd.DataFrame) -> Table:
    """Mean and SD over cases of some metrics, a row for each structure and method, literature rows below."""
    literature = pd.read_csv(LITERATURE)
    literature = literature[literature["site"] == settings.site]
    rows = []
    for structure, part in frame.groupby("structure", sort=False):
        by_case = part.groupby(["method", "case", "metric"])["value"].mean().unstack("metric")
        for method in _ordered(settings, part["method"]):
            own = by_case.loc[method]
            values = {m: (own[m].mean(), own[m].std()) if m in own else (np.nan, np.nan) for m in columns}
            rows.append(_metric_row(str(structure), method, _kind(method), len(own), values))
        for author, paper in literature[literature["structure"] == structure].groupby("method"):
            known = {row.metric: (row.mean, row.sd) for row in paper.itertuples()}
            values = {m: known.get(m, (np.nan, np.nan)) for m in columns}
            kind, cases = "literature, other patients", int(paper["cases"].iloc[0])
            rows.append(_metric_row(str(structure), f"{author} (paper)", kind, cases, values))
    note = "Mean (SD) over cases of the plan that each episode handed over."
    if len(literature):
        note += " Rows (paper): Liu et al., arXiv:2406.15609, VMAT plans of other patients, for orientation only."
    frame = pd.DataFrame(rows)
    return Table(name, f"{title} — ours before sequencing", note, frame, decimals_of={"CI": 3})  # between 0.8 and 1


def _metric_row(
    structure: str, method: str, kind: str, cases: int, values: Mapping[str, tuple[float, float]]
) -> dict[str, object]:
    row: dict[str, object] = {"structure": structure, "method": method, "plan": kind, "cases": cases}
    for metric, (mean, sd) in values.items():
        label = f"{metric} [{unit_of(metric)}]" if unit_of(metric) else metric
        row |= {label: float(mean), f"{label} SD": float(sd)}
    return row


def paired_differences(settings: Settings, records: Sequence[Record], references: Mapping[str, Summary]) -> Table:
    """Each agent minus the comparator on the same case: score and the paper's organ metrics."""
    score = frames.plan_scores(records, references).assign(structure="plan", metric="score")
    dose = frames.metrics(records, references)
    shown = {"target": ("mean", "D95%"), "organ": ("mean", "D50%", "V15Gy")}
    dose = pd.concat([dose[(dose["kind"] == k) & dose["metric"].isin(m)] for k, m in shown.items()])
    frame = pd.concat([score.rename(columns={"score": "value"}), dose])
    against = comparator(settings, references)
    rows = []
    for (structure, metric), part in frame.groupby(["structure", "metric"], sort=False):
        by_case = part.groupby(["method", "case"])["value"].mean().unstack("method")
        for agent in settings.agents:
            if agent == against or agent not in by_case or against not in by_case:
                continue
            difference = (by_case[agent] - by_case[against]).dropna().astype(float)
            if difference.empty:
                continue
            low, high = bootstrap_interval(difference)
            rows.append(
                {
                    "quantity": f"{structure} {metric}",
                    "unit": "points" if metric == "score" else unit_of(str(metric)),
                    "agent": agent,
                    "cases": difference.size,
                    "difference": difference.mean(),
                    "difference SD": difference.std(),
                    "difference CI low": float(low),
                    "difference CI high": float(high),
                    "lower in": f"{int((difference < 0).sum())} of {difference.size}",
                }
            )
    note = (
        f"Agent minus {against}, paired by case; mean (SD) [95 % bootstrap interval] over cases. Below zero "
        "is better for organs, above zero for the score. Ours before sequencing."
    )
    return Table("paired_differences", f"Case-by-case differences against the {against}", note, pd.DataFrame(rows))


def comparator(settings: Settings, references: Mapping[str, Summary]) -> str:
    """What differences are taken against: the reference plan, else the template, else the first agent."""
    if references:
        return REFERENCE
    return "template" if "template" in settings.agents else settings.agents[0]


def _ordered(settings: Settings, methods: Iterable[str]) -> list[str]:
    """Agents in the order asked for, then the reference plan."""
    present = set(methods)
    return [method for method in (*settings.agents, REFERENCE) if method in present]


def _kind(method: str) -> str:
    return "given with the case" if method == REFERENCE else "before sequencing"


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def _mean_known(values: Sequence[float | None]) -> float:
    """The mean, NaN where any is not known."""
    return float("nan") if None in values else _mean([value for value in values if value is not None])


def _task(settings: Settings) -> str:
    cases = f"{settings.source} {settings.split}" if settings.source in ("synthetic", "openkbp") else settings.source
    counts = {"case": len(settings.cases), "seed": settings.seeds, "solve": settings.budget}
    counted = ", ".join(f"{count} {word}{'s' if count > 1 else ''}" for word, count in counts.items())
    return f"{settings.site}, {cases}, {counted}, {settings.fidelity} fidelity"
