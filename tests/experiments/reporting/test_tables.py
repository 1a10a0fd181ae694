"""Tables say what the records hold: known means, pairs by case, and whose numbers are whose."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from radplan_experiments.recording.settings import Settings
from radplan_experiments.reporting import tables
from radplan_experiments.reporting.frames import REFERENCE
from radplan_experiments.reporting.tables import Table
from radplan_experiments.reporting.tables.scores import milestones

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
    assert coordinate["best score (IQM)"] == pytest.approx(91)
    assert (coordinate["mean"], coordinate["mean SD"]) == pytest.approx((91, 2**0.5))
    assert coordinate["handed over"] == pytest.approx(91)
    assert coordinate["last plan"] == pytest.approx(87.5)
    assert coordinate["criteria met [%]"] == pytest.approx(100)
    assert pd.isna(coordinate["priority 1 and 2 met [%]"])  # there are none of these priorities
    template = row(made["overview"], method="template")
    assert template["criteria met [%]"] == pytest.approx(50)


def test_what_agents_look_for_is_shown_where_they_say_it(settings: Settings, records: list[Record]) -> None:
    assert "distance to reference [Gy]" not in tables.overview(settings, records).frame
    for record in records:
        if record["agent"] == "coordinate":
            record["agent_record"] = {"distance_gy": 2.5}
    overview = tables.overview(settings, records)
    assert row(overview, method="coordinate")["distance to reference [Gy]"] == 2.5


def test_priorities_one_and_two_count_by_themselves(
    settings: Settings, episode: Callable[..., Record], plan_summary: Callable[..., Record]
) -> None:
    plan = plan_summary(80)
    (low,) = plan["criteria"]
    plan["criteria"] = [low, {**low, "metric": "D1%", "priority": 2, "passed": False}, {**low, "priority": 1}]
    table = tables.overview(settings, [episode("template", settings.cases[0], 0, [plan])])
    template = row(table, method="template")
    assert template["criteria met [%]"] == pytest.approx(100 * 2 / 3)
    assert template["priority 1 and 2 met [%]"] == pytest.approx(50)


def test_score_statistics_keep_patients_and_seeds_apart(
    settings: Settings, episode: Callable[..., Record], plan_summary: Callable[..., Record]
) -> None:
    """Cases far apart, seeds close together: wide over patients, narrow over seeds, nothing known of one seed."""
    first, second = settings.cases
    records = [episode("template", case, 0, [plan_summary(50)]) for case in settings.cases]
    for case, level in ((first, 40), (second, 60)):
        records += [episode("coordinate", case, seed, [plan_summary(level + seed / 10)]) for seed in range(3)]
    table = tables.score_statistics(dataclasses.replace(settings, seeds=3), records)
    coordinate, template = row(table, method="coordinate"), row(table, method="template")
    assert (coordinate["cases"], coordinate["runs"]) == (2, 6)
    assert coordinate["IQM CI high"] - coordinate["IQM CI low"] > 50
    assert 0 < coordinate["IQM, other seeds CI high"] - coordinate["IQM, other seeds CI low"] < 1
    assert pd.isna(template["IQM, other seeds"])
    assert table.markdown().count("| –") == 1


def test_scores_stand_patient_by_patient(
    settings: Settings, episode: Callable[..., Record], plan_summary: Callable[..., Record]
) -> None:
    """Agents in the order asked, seeds averaged; dashes where an episode failed or was not played."""
    first, second = settings.cases
    asked = dataclasses.replace(settings, agents=("template", "broken", "coordinate"), seeds=3)
    records = [episode("template", case, 0, [plan_summary(score)]) for case, score in ((first, 50), (second, 70))]
    records += [episode("coordinate", first, seed, [plan_summary(80 + seed)]) for seed in range(3)]
    records += [episode("broken", first, 0, [plan_summary(10)], status="failed", error={"message": "boom"})]
    table = tables.scores_by_case(asked, records)
    columns, rows = table.cells()
    assert columns == ["case", "template", "broken", "coordinate"]
    assert rows == [
        [first, "50.0", "–", "81.0 (1.0)"],
        [second, "70.0", "–", "–"],
        ["mean", "60.0", "–", "81.0"],
    ]
    assert "different cases" in table.note
    complete = tables.scores_by_case(settings, records[:2])
    assert "failed" in complete.note and "SD" not in complete.note


def test_training_solves_stand_beside_those_of_the_budget(settings: Settings, records: list[Record]) -> None:
    assert "training solves" not in tables.overview(settings, records).frame
    for record in records:
        if record["agent"] == "coordinate":
            record["agent_record"] = {"training_solves": 4000}
    table = tables.overview(settings, records)
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
            "adaptations": {"no seed": calls},
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
    assert told_of["adapted"] == "no seed 10"
    assert told_of["pictures seen"] == "2 of 10 calls"
    assert pd.isna(told_of["cost [USD]"])
    text = table.markdown()
    assert "| –          |" in text and "](transcripts/coordinate)" in text
    assert "language_model" not in {t.name for t in tables.all_tables(settings, records[2:], {})}


def test_score_by_solve_never_falls_and_is_carried_on(made: dict[str, Table]) -> None:
    table = made["score_by_solve"]
    assert row(table, method="template")[["1", "2", "3"]].tolist() == [70, 70, 70]
    assert row(table, method="coordinate")[["1", "2", "3"]].tolist() == [79, 81, 91]


def test_paper_tables_hold_the_plan_handed_over_beside_literature(made: dict[str, Table]) -> None:
    table = made["table_2_organs"]
    coordinate = row(table, structure="Rectum", method="coordinate")
    assert coordinate["mean [Gy]"] == pytest.approx((24 + 18) / 2)
    assert coordinate["plan"] == "before sequencing"
    clinical = row(table, structure="Rectum", method="Clinical (paper)")
    assert clinical["plan"].startswith("literature")
    assert (clinical["mean [Gy]"], clinical["mean [Gy] SD"]) == pytest.approx((26.84, 6.43))
    target = row(made["table_1_targets"], structure="PTV_7020", method="GPT-RadPlan (paper)")
    assert (target["HI"], target["CI"], target["CI SD"]) == pytest.approx((1.96, 0.921, 0.025))
    for name in ("table_1_targets", "table_2_organs"):
        assert "before sequencing" in made[name].title


def test_literature_is_not_put_beside_another_site(settings: Settings, records: list[Record]) -> None:
    other = dataclasses.replace(settings, site="tg119")
    table = tables.organ_metrics(other, records)
    assert not table.frame["method"].str.contains("paper").any()


def test_no_score_is_given_to_a_reference_plan(made: dict[str, Table]) -> None:
    for name, table in made.items():
        assert REFERENCE not in table.frame.astype(str).to_numpy(), name


def test_reference_plans_are_compared_by_criterion_on_the_same_voxels(
    settings: Settings, episode: Callable[..., Record], plan_summary: Callable[..., Record]
) -> None:
    """Rectum and coverage of two patients; one without a reference plan and the primary's D95 do not enter."""

    def both(rectum: float, d99: float, **reference: float) -> dict[str, dict[str, float]]:
        ours = {"PTV_7020 D95%": 70.2, "PTV_7020 DC0.1cc": d99, "Rectum V31Gy": rectum}
        return {"ours": ours, "reference": {**ours, "Rectum V31Gy": 30.0, "PTV_7020 DC0.1cc": 69.0, **reference}}

    first, second = settings.cases
    plan = [plan_summary(80)]
    records = [
        episode("template", first, 0, plan, against_reference=both(20, 69.5)),
        episode("template", second, 0, plan, against_reference=both(32, 68.0)),
        episode("coordinate", first, 0, plan, against_reference=both(24, 70.0)),
        episode("coordinate", first, 1, plan, against_reference=both(26, 70.0)),
        episode("coordinate", second, 0, plan, against_reference=None),
        episode("coordinate", second, 1, plan, status="failed", against_reference=both(0, 70.0)),
    ]
    table = tables.against_reference(settings, records)
    assert not table.frame["criterion"].str.contains("D95%").any()
    rectum = row(table, agent="template", criterion="Rectum V31Gy ≤ 34 %")
    assert (rectum["patients"], rectum["ours"], rectum["reference"], rectum["difference"]) == (2, 26, 30, -4)
    assert rectum["ours better in"] == "1 of 2"
    assert rectum["difference CI low"] < -4 < rectum["difference CI high"]
    once = row(table, agent="coordinate", criterion="Rectum V31Gy ≤ 34 %")
    assert (once["patients"], once["ours"], once["ours better in"]) == (1, 25, "1 of 1")
    assert pd.isna(once["difference CI low"])
    coverage = table.frame[table.frame["criterion"].str.startswith("PTV_7020 DC0.1cc")]
    assert coverage["ours better in"].tolist() == ["1 of 2", "1 of 1"]
    assert "against_reference" not in {each.name for each in tables.all_tables(settings, records[4:], {})}


def test_complexity_is_of_the_plan_handed_over(settings: Settings, records: list[Record]) -> None:
    for record in records:
        handed_over = record["steps"][record["handed_over"]]
        cost = 2.0 if record["case"] == settings.cases[0] else 4.0
        handed_over["complexity"] = {**handed_over["complexity"], "rounding_costs": cost}
    coordinate = row(tables.complexity(settings, records), method="coordinate")
    assert coordinate["rounding costs [points]"] == 3
    assert coordinate["rounding costs [points] SD"] == pytest.approx(2**0.5)
    assert (coordinate["cases"], coordinate["MU per fraction"], coordinate["highest bixel over median"]) == (
        2,
        800,
        2.5,
    )


def test_the_template_is_compared_with(made: dict[str, Table]) -> None:
    score = row(made["score_differences"], agent="coordinate", against="template")
    assert (score["cases"], score["difference"]) == (2, pytest.approx(((90 - 60) + (92 - 80)) / 2))
    assert (score["higher in"], score["P(better)"]) == ("2 of 2", 1)
    assert score["P(better) CI low"] < 0.5  # two cases are no proof
    dose = row(made["dose_differences"], quantity="Rectum mean", against="template")
    assert dose["coordinate"] == pytest.approx(((24 - 30) + (18 - 20)) / 2)


def test_without_a_template_the_first_agent_is_compared_with(settings: Settings, records: list[Record]) -> None:
    renamed = [{**r, "agent": "a" if r["agent"] == "template" else "b"} for r in records]
    asked = dataclasses.replace(settings, agents=("a", "b"))
    assert set(tables.score_differences(asked, renamed).frame["against"]) == {"a"}
    assert set(tables.dose_differences(asked, renamed).frame["against"]) == {"a"}


def test_probability_of_improvement_is_of_the_row_over_the_column(made: dict[str, Table]) -> None:
    table = made["probability_of_improvement"]
    shares = table.frame.set_index("P(row > column)")
    assert shares.loc["coordinate", "template"] == 1
    assert shares.loc["template", "coordinate"] == 0
    assert pd.isna(shares.loc["template", "template"])
    assert "template CI low" in shares and "[" not in table.markdown()


def test_gain_over_random_is_at_the_same_number_of_solves(
    settings: Settings, episode: Callable[..., Record], plan_summary: Callable[..., Record]
) -> None:
    """Random's best is 40, 70, 70 and a policy's 60, 65, 90; the template stops after its one solve at 50."""
    scores = {"random": (40, 70, 60), "ppo": (60, 65, 90), "template": (50,)}
    records = [
        episode(agent, case, 0, [plan_summary(score + shift) for score in own])
        for agent, own in scores.items()
        for shift, case in enumerate(settings.cases)
    ]
    asked = dataclasses.replace(settings, agents=tuple(scores))
    table = tables.gain_over_random(asked, records)
    assert row(table, agent="ppo")[["1", "2", "3"]].tolist() == [20, -5, 20]
    assert row(table, agent="template")[["1", "2", "3"]].tolist() == [10, -20, -20]
    assert "random" not in set(table.frame["agent"])
    assert tables.gain_over_random(asked, records[2:]).frame.empty


def test_effort_stands_beside_the_scores(settings: Settings, records: list[Record]) -> None:
    table = tables.effort(settings, records)
    coordinate = row(table, method="coordinate")
    assert (coordinate["solves"], coordinate["wall-clock [s]"]) == (3, 1)
    assert coordinate["per solve [s]"] == pytest.approx(1 / 3)
    assert "cost [USD]" not in table.frame  # no language model played


def test_numbers_that_agents_say_of_their_episodes_are_shown(settings: Settings, records: list[Record]) -> None:
    """Those inside of others too, lists by their length; not what other tables show."""
    said = iter(
        (
            {"nudges": [1, 2, 3], "time": {"thinking": 2.0}, "why": None, "training_solves": 9, "usage": {"tokens": 1}},
            {"nudges": [], "time": {"thinking": 4.0}, "stopped": True},
        )
    )
    for record in records:
        record["agent_record"] = next(said) if record["agent"] == "coordinate" else None
    table = tables.agent_records(settings, records)
    assert set(table.frame["agent"]) == {"coordinate"}
    assert set(table.frame["said"]) == {"nudges, entries", "time.thinking", "stopped"}
    thinking = row(table, said="time.thinking")
    assert thinking[["episodes", "mean", "lowest", "highest", "sum"]].tolist() == [2, 3, 2, 4, 6]
    assert row(table, said="nudges, entries")["sum"] == 3
    assert row(table, said="stopped")["episodes"] == 1
    assert tables.agent_records(settings, []).frame.empty


def test_counts_that_agents_say_are_whole_and_texts_are_shown(settings: Settings, records: list[Record]) -> None:
    said = iter(
        (
            {
                "trail": ["a", "b"],
                "kept": 1,
                "stopped": "budget | protocol",
                "why": "x",
                "mixed": 3,
                "novel": "word " * 99,
            },
            {
                "trail": ["a", "b"],
                "kept": 0,
                "stopped": "budget | protocol",
                "why": "y",
                "mixed": "z",
                "novel": "word " * 99,
            },
        )
    )
    for record in records:
        record["agent_record"] = next(said) if record["agent"] == "coordinate" else None
    table = tables.agent_records(settings, records)
    columns, rows = table.cells()
    shown = {cells[1]: dict(zip(columns, cells, strict=True)) for cells in rows}
    assert [shown["trail, entries"][name] for name in ("mean", "sum", "text")] == ["2", "4", "–"]
    assert [shown["kept"][name] for name in ("mean", "lowest", "highest")] == ["0.50", "0", "1"]
    assert [shown[name]["text"] for name in ("stopped", "why")] == ["budget | protocol", "2 different"]
    assert shown["stopped"]["mean"] == "–"
    assert [shown["mixed"][name] for name in ("episodes", "mean", "text")] == ["2", "3", "z"]
    assert shown["novel"]["text"].endswith("word …") and len(shown["novel"]["text"]) <= 60
    assert r"budget \| protocol" in table.markdown()  # a bar would begin another column
    assert "agent_record" in table.note and "left out" in table.note


@pytest.mark.parametrize(
    "said",
    [
        {"training_solves": "many"},
        {"deep": [], "mixed": 1} | {"mixed": "x"},
        {"usage": 3, "deep": {"deeper": [{"x": 1}]}},
        {"distance_gy": []},
        {"a": None},
    ],
)
def test_whatever_an_agent_says_breaks_no_table(settings: Settings, records: list[Record], said: Record) -> None:
    for record in records:
        record["agent_record"] = said
    names = {table.name for table in tables.all_tables(settings, records, {})}
    assert "language_model" not in names
    assert ("agent_records" in names) == ("deep" in said)


def test_one_case_has_neither_intervals_nor_probabilities(settings: Settings, records: list[Record]) -> None:
    alone = dataclasses.replace(settings, cases=settings.cases[:1])
    made = {t.name: t for t in tables.all_tables(alone, [r for r in records if r["case"] == alone.cases[0]], {})}
    assert not {"probability_of_improvement", "score_statistics"} & made.keys()
    assert "P(better)" not in made["score_differences"].frame
    assert "P(better)" not in made["score_differences"].note
    assert not any("[" in cell for table in made.values() for row in table.cells()[1] for cell in row)
    assert "1 case, 1 seed, 3 solves" in made["overview"].title


def test_milestones_reach_the_budget() -> None:
    assert milestones(1) == [1]
    assert milestones(7) == [1, 2, 3, 5, 7]
    assert milestones(50) == [1, 2, 3, 5, 10, 20, 30, 50]


def test_seeds_are_averaged_within_a_case_first(
    settings: Settings, episode: Callable[..., Record], plan_summary: Callable[..., Record]
) -> None:
    """Three seeds of one case weigh no more than one of the other."""
    first, second = settings.cases
    records = [episode("template", first, seed, [plan_summary(score)]) for seed, score in enumerate([40, 50, 60])]
    records.append(episode("template", second, 0, [plan_summary(90)]))
    table = tables.overview(dataclasses.replace(settings, seeds=3), records)
    assert row(table, method="template")["mean"] == pytest.approx(70)
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
    assert (coordinate["failed"], coordinate["cases"], coordinate["best score (IQM)"]) == (1, 1, 92)
    assert coordinate["solves"] == 2  # three, and the one before the failure
    pairs = row(made["score_differences"], agent="coordinate")
    assert (pairs["cases"], pairs["difference"]) == (1, 12)


def test_nothing_but_failures_still_makes_an_overview(settings: Settings, records: list[Record]) -> None:
    failed = [{**record, "status": "failed", "steps": [], "best_score": None} for record in records]
    overview, effort = tables.all_tables(settings, failed, {})
    assert row(overview, method="template")["failed"] == 2
    assert "–" in overview.markdown()
    assert row(effort, method="template")["episodes"] == 2


def test_markdown_is_aligned_and_csv_holds_the_numbers(made: dict[str, Table], tmp_path: Path) -> None:
    tables.save(list(made.values()), tmp_path, "# A run")
    text = (tmp_path / "tables.md").read_text()
    blocks = [[line for line in block.splitlines() if line.startswith("|")] for block in text.split("## ")[1:]]
    assert len(blocks) == sum(not table.is_long for table in made.values())
    assert all(len({len(line) for line in block}) == 1 for block in blocks)
    assert "91.0 (1.4)" in text
    csv = pd.read_csv(tmp_path / "tables" / "overview.csv")
    assert csv.set_index("method").loc["coordinate", "mean SD"] == pytest.approx(2**0.5)


def test_a_terminal_shows_the_first_tables_only(made: dict[str, Table], tmp_path: Path) -> None:
    shown = tables.save(list(made.values()), tmp_path, "# A run")
    assert shown.startswith("# A run")
    assert [line for line in shown.splitlines() if line.startswith("## ")] == [
        f"## {made[name].title}" for name in ("overview", "scores_by_case")
    ]


def test_every_solve_has_a_row_that_says_what_was_changed(made: dict[str, Table], settings: Settings) -> None:
    frame = made["solves"].frame
    own = frame[(frame["agent"] == "coordinate") & (frame["case"] == settings.cases[0])]
    assert own["solve"].tolist() == [1, 2, 3]
    assert own["score"].tolist() == [70, 65, 90]
    assert own["best so far"].tolist() == [70, 70, 90]
    assert own["changed"].tolist() == ["", "", "Rectum weight 5 → 12.5"]
    assert own["reaches"].tolist() == ["template", "template", "template; reference, own voxels; 95 % of the best"]
    assert frame["fails"].value_counts().to_dict() == {"": 7, "Rectum V31Gy": 1}
