"""Tables say what the records hold: known means, pairs by case, and whose numbers are whose."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from experiments import tables
from experiments.frames import REFERENCE
from experiments.records import Settings
from experiments.tables import Table

Record = dict[str, Any]


@pytest.fixture
def made(settings: Settings, records: list[Record], references: dict[str, Any]) -> dict[str, Table]:
    return {table.name: table for table in tables.all_tables(settings, records, references)}


def row(table: Table, **where: Any) -> pd.Series:
    """The one row with these values."""
    frame = table.frame
    for column, value in where.items():
        frame = frame[frame[column] == value]
    assert len(frame) == 1
    return frame.iloc[0]


def test_overview(made: dict[str, Table]) -> None:
    coordinate = row(made["overview"], method="coordinate")
    assert coordinate["cases"] == 2
    assert coordinate["solves"] == 3
    assert coordinate["best score"] == pytest.approx(91)
    assert coordinate["best score SD"] == pytest.approx(2**0.5)
    assert (coordinate["best score CI low"], coordinate["best score CI high"]) == pytest.approx((90, 92))
    assert coordinate["final score"] == pytest.approx(87.5)
    assert coordinate["criteria met [%]"] == pytest.approx(100)
    template = row(made["overview"], method="template")
    assert template["criteria met [%]"] == pytest.approx(50)
    reference = row(made["overview"], method=REFERENCE)
    assert (reference["cases"], reference["best score"]) == (1, 75)


def test_training_solves_stand_beside_those_of_the_budget(settings: Settings, records: list[Record]) -> None:
    assert "training solves" not in tables.overview(settings, records, {}).frame
    for record in records:
        if record["agent"] == "coordinate":
            record["agent_record"] = {"training_solves": 4000}
    table = tables.overview(settings, records, {})
    assert row(table, method="coordinate")["training solves"] == 4000
    assert pd.isna(row(table, method="template")["training solves"])


def test_language_model_table_has_means_and_admits_what_is_not_known(
    settings: Settings, episode: Callable[..., Record], plan_summary: Callable[..., Record]
) -> None:
    def told(calls: int, tokens: int | None, usd: float | None, **faults: int) -> Record:
        usage = dict.fromkeys(("cached_tokens", "completion_tokens", "reasoning_tokens"), 10)
        return {
            "calls": calls,
            "usage": {"prompt_tokens": tokens, **usage},
            "cost_usd": usd,
            "failed_questions": len(faults),
            "faults": faults,
            "calls_with_pictures": calls,
            "calls_with_pictures_seen": 1,
        }

    first, second = settings.cases
    records = [
        episode("coordinate", first, 0, [plan_summary(80)], agent_record=told(4, 100, 0.5, no_json=2, timeout=1)),
        episode("coordinate", second, 0, [plan_summary(90)], agent_record=told(6, 300, None, no_json=1)),
        episode("template", first, 0, [plan_summary(70)], agent_record=None),
    ]
    table = tables.language_model(settings, records)
    told_of = row(table, method="coordinate")
    assert len(table.frame) == 1
    assert (told_of["best score"], told_of["calls"], told_of["prompt tokens"]) == (85, 5, 200)
    assert (told_of["failed questions"], told_of["faults"]) == (1.5, "no_json 3, timeout 1")
    assert told_of["pictures seen"] == "2 of 10 calls"
    assert pd.isna(told_of["cost [USD]"])
    text = table.markdown()
    assert "| –          |" in text and "](transcripts/coordinate)" in text
    assert "language_model" not in {t.name for t in tables.all_tables(settings, records[2:], {})}


def test_score_by_solve_never_falls_and_is_carried_on(made: dict[str, Table]) -> None:
    table = made["score_by_solve"]
    assert row(table, method="template")[["1", "2", "3"]].tolist() == [70, 70, 70]
    assert row(table, method="coordinate")[["1", "2", "3"]].tolist() == [79, 81, 91]


def test_paper_tables_hold_the_plan_handed_over_beside_reference_and_literature(made: dict[str, Table]) -> None:
    table = made["table_2_organs"]
    coordinate = row(table, structure="Rectum", method="coordinate")
    assert coordinate["mean [Gy]"] == pytest.approx((24 + 18) / 2)
    assert coordinate["plan"] == "before sequencing"
    assert row(table, structure="Rectum", method=REFERENCE)["mean [Gy]"] == pytest.approx(33)
    clinical = row(table, structure="Rectum", method="Clinical (paper)")
    assert clinical["plan"].startswith("literature")
    assert (clinical["mean [Gy]"], clinical["mean [Gy] SD"]) == pytest.approx((26.84, 6.43))
    target = row(made["table_1_targets"], structure="PTV_7020", method="GPT-RadPlan (paper)")
    assert (target["HI"], target["CI"], target["CI SD"]) == pytest.approx((1.96, 0.921, 0.025))
    for name in ("table_1_targets", "table_2_organs"):
        assert "before sequencing" in made[name].title


def test_literature_is_not_put_beside_another_site(settings: Settings, records: list[Record]) -> None:
    other = dataclasses.replace(settings, site="tg119")
    table = tables.organ_metrics(other, records, {})
    assert not table.frame["method"].str.contains("paper").any()


def test_differences_are_paired_by_case(made: dict[str, Table]) -> None:
    """Only the first case has a reference: the second, however good, must not enter."""
    score = row(made["paired_differences"], quantity="plan score", agent="coordinate")
    assert (score["cases"], score["difference"], score["lower in"]) == (1, pytest.approx(15), "0 of 1")
    assert pd.isna(score["difference SD"])


def test_without_references_the_template_is_compared_with(settings: Settings, records: list[Record]) -> None:
    table = tables.paired_differences(settings, records, {})
    score = row(table, quantity="plan score", agent="coordinate")
    assert score["difference"] == pytest.approx(((90 - 60) + (92 - 80)) / 2)
    assert row(table, quantity="Rectum mean", agent="coordinate")["lower in"] == "2 of 2"
    assert "template" in table.title


def test_seeds_are_averaged_within_a_case_first(
    settings: Settings, episode: Callable[..., Record], plan_summary: Callable[..., Record]
) -> None:
    """Three seeds of one case weigh no more than one of the other."""
    first, second = settings.cases
    records = [episode("template", first, seed, [plan_summary(score)]) for seed, score in enumerate([40, 50, 60])]
    records.append(episode("template", second, 0, [plan_summary(90)]))
    table = tables.overview(dataclasses.replace(settings, seeds=3), records, {})
    assert row(table, method="template")["best score"] == pytest.approx(70)
    assert row(table, method="template")["cases"] == 2


def test_failed_episodes_are_counted_and_not_averaged(
    settings: Settings,
    records: list[Record],
    episode: Callable[..., Record],
    plan_summary: Callable[..., Record],
) -> None:
    failed = episode("coordinate", settings.cases[0], 0, [plan_summary(1)], status="failed", error={"message": "boom"})
    others = [r for r in records if (r["agent"], r["case"]) != ("coordinate", settings.cases[0])]
    made = {table.name: table for table in tables.all_tables(settings, [*others, failed], {})}
    coordinate = row(made["overview"], method="coordinate")
    assert (coordinate["failed"], coordinate["cases"], coordinate["best score"]) == (1, 1, 92)
    pairs = row(made["paired_differences"], quantity="plan score", agent="coordinate")
    assert (pairs["cases"], pairs["difference"]) == (1, 12)


def test_nothing_but_failures_still_makes_an_overview(settings: Settings, records: list[Record]) -> None:
    failed = [{**record, "status": "failed", "steps": [], "best_score": None} for record in records]
    (table,) = tables.all_tables(settings, failed, {})
    assert row(table, method="template")["failed"] == 2
    assert "–" in table.markdown()


def test_markdown_is_aligned_and_csv_holds_the_numbers(made: dict[str, Table], tmp_path: Path) -> None:
    text = tables.save(list(made.values()), tmp_path, "# A run")
    assert (tmp_path / "tables.md").read_text() == text
    blocks = [[line for line in block.splitlines() if line.startswith("|")] for block in text.split("## ")[1:]]
    assert len(blocks) == len(made)
    assert all(len({len(line) for line in block}) == 1 for block in blocks)
    assert "91.0 (1.4) [90.0, 92.0]" in text
    csv = pd.read_csv(tmp_path / "tables" / "overview.csv")
    assert csv.set_index("method").loc["coordinate", "best score SD"] == pytest.approx(2**0.5)
