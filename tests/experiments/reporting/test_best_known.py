"""Regret and solves needed: what is left of the way to the best known, and when agents came how far."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radplan_experiments.recording.settings import Settings
from radplan_experiments.reporting import tables
from radplan_experiments.reporting.best_known import COLUMNS, FILE, BestKnown, best_known, read_best_known
from radplan_experiments.reporting.equivalence import EQUIVALENT
from radplan_experiments.reporting.goals import BEST, REFERENCE, goals_of, reached, reaches

Record = dict[str, Any]


@given(st.floats(0, 100), st.floats(0, 100), st.floats(0, 100))
def test_regret_is_zero_at_the_best_and_falls_with_the_score(template: float, gain: float, score: float) -> None:
    known = BestKnown(template, min(template + gain, 100), "anyone")
    assert known.regret(known.best) == 0
    assert known.regret(score) == pytest.approx((known.best - score) / max(known.best - template, EQUIVALENT))
    assert known.regret(score) >= known.regret(score + 1)
    assert (known.regret(template) == pytest.approx(1)) is known.leaves_room or known.room == pytest.approx(EQUIVALENT)
    assert known.template <= known.on_the_way(0.95) <= known.best + 1e-9


def test_best_known_is_the_best_of_run_and_list(settings: Settings, records: list[Record]) -> None:
    first, second = settings.cases
    listed = {first: BestKnown(60.0, 95.0, "long search"), second: BestKnown(80.0, 90.0, "long search")}
    assert best_known(settings, records, {}) == {
        first: BestKnown(60, 90, "coordinate"),
        second: BestKnown(80, 92, "coordinate"),
    }
    assert best_known(settings, records, listed) == {first: listed[first], second: BestKnown(80, 92, "coordinate")}
    without_template = [record for record in records if record["agent"] != "template"]
    assert best_known(settings, without_template, {}) == {}
    assert best_known(settings, without_template, listed)[second] == BestKnown(80, 92, "coordinate")


def test_regret_table(settings: Settings, records: list[Record]) -> None:
    """Coordinate is the best on both patients; the template leaves the whole way."""
    frame = tables.regret(settings, records).frame.set_index("method")
    assert frame.loc["coordinate", ["regret", "points lost"]].tolist() == [0, 0]
    assert frame.loc["template", ["regret", "worst regret", "points lost"]].tolist() == [1, 1, 21]
    assert frame.loc["coordinate", "best known in"] == "2 of 2"
    alone = [record for record in records if record["agent"] == "template"]
    assert tables.regret(settings, alone).frame.empty


def test_where_the_template_is_the_best_known_regret_is_defined_and_said(
    settings: Settings, episode: Callable[..., Record], plan_summary: Callable[..., Record]
) -> None:
    case = settings.cases[0]
    records = [episode("template", case, 0, [plan_summary(80)]), episode("coordinate", case, 0, [plan_summary(79)])]
    table = tables.regret(settings, records)
    frame = table.frame.set_index("method")
    assert frame.loc["template", "regret"] == 0
    assert frame.loc["coordinate", "regret"] == pytest.approx(1 / EQUIVALENT)
    assert "On 1 case the best is less than 0.5 points above the template" in table.note


def test_the_packages_list_is_a_valid_one(settings: Settings) -> None:
    assert read_best_known(settings, FILE) == {}


def test_a_list_is_read_for_the_runs_protocol_and_scorecard(settings: Settings, tmp_path: Path) -> None:
    path, case = tmp_path / "best-known.csv", settings.cases[0]
    digests = f"{settings.protocol_digest},{settings.scorecard.digest}"
    lines = [",".join(COLUMNS), f"{case},{digests},81.5,93.25,bayes-gp", f"{case},other,{'0' * 64},1,2,nobody"]
    path.write_text("\n".join([*lines, f"elsewhere/7,{digests},1,2,nobody"]))
    assert read_best_known(settings, path) == {case: BestKnown(81.5, 93.25, "bayes-gp")}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{case},{digests},many,93,a", "line 2: template and best are to be scores"),
        ("{case},{digests},95,193,a", "line 2: template and best are to be scores from 0 to 100"),
        ("{case},{digests},81,93", "line 2: by is empty"),
        ("{case},{digests},80,90,a\n{case},{digests},80,91,b", "line 3: .* twice"),
    ],
)
def test_a_faulty_list_is_refused(settings: Settings, tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "best-known.csv"
    digests = f"{settings.protocol_digest},{settings.scorecard.digest}"
    path.write_text(",".join(COLUMNS) + "\n" + line.format(case=settings.cases[0], digests=digests))
    with pytest.raises(ValueError, match=says):
        read_best_known(settings, path)
    path.write_text("case,score\n")
    with pytest.raises(ValueError, match="line 1: the columns are to be"):
        read_best_known(settings, path)


def test_solves_needed_are_the_first_that_reach(
    settings: Settings, episode: Callable[..., Record], plan_summary: Callable[..., Record]
) -> None:
    first, second = settings.cases
    plans = [plan_summary(70), plan_summary(81), plan_summary(86, met=True), plan_summary(100)]
    records = [
        episode("template", first, 0, [plan_summary(80)]),
        episode("template", second, 0, [plan_summary(80)]),
        episode("coordinate", first, 0, plans),
        episode("coordinate", second, 0, [plan_summary(60)]),
    ]
    asked = dataclasses.replace(settings, budget=4)
    found = [each for each in reached(asked, records, {first: plan_summary(85)}) if each.record["agent"] != "template"]
    assert [(each.met, each.score_when_met, each.best) for each in found] == [(3, 86, 100), (None, None, 60)]
    assert found[0].solves == {"template": 2, REFERENCE: 3, BEST: 4}
    assert found[1].solves == {"template": None, BEST: None}
    frame = tables.solves_needed(asked, records, {first: plan_summary(85)}).frame.set_index("method")
    own = frame.loc["coordinate"]
    assert own[["protocol [%]", "score when met", "template [%]"]].tolist() == [50, 86, 50]
    assert own[[f"{REFERENCE} [%]", f"{REFERENCE}, solves"]].tolist() == [100, 3]
    assert frame.loc["template", "template, solves"] == 1
    episodes = tables.episodes(asked, records, {}).frame
    assert episodes[episodes["agent"] == "coordinate"]["solves to template"].tolist()[0] == 2
    assert f"solves to {REFERENCE}" not in episodes.dropna(axis=1, how="all")


def test_the_best_itself_is_95_percent_of_the_way_where_there_is_none(plan_summary: Callable[..., Record]) -> None:
    goals = goals_of(BestKnown(83.7, 83.7, "template"), None)
    assert reaches(plan_summary(83.7), goals[BEST])
