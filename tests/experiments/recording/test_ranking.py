"""Which plan is the better one, and what refused plans count in everything that follows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radplan_experiments.recording import ranking
from radplan_experiments.recording.settings import Settings
from radplan_experiments.reporting import frames, refusals, tables
from radplan_experiments.reporting.answer import answer
from radplan_experiments.running.runner import outcome

Record = dict[str, Any]

PLANS = st.lists(
    st.fixed_dictionaries(
        {"score": st.floats(0, 100), "met": st.booleans(), "screened": st.sampled_from([True, False, None])}
    ),
    min_size=1,
    max_size=8,
)


@given(PLANS)
def test_a_refused_plan_ranks_below_every_other(plans: list[dict[str, Any]]) -> None:
    kept = [plan for plan in plans if plan["screened"] is not False]
    for index in (ranking.best(plans), ranking.handed_over(plans)):
        assert index is not None
        assert ranking.refused(plans[index]) is (not kept)
    best = plans[ranking.best(plans) or 0]
    assert best["score"] == max(plan["score"] for plan in kept or plans)
    assert ranking.best_points(plans) == (best["score"] if kept else 0)
    assert outcome(plans)["best_score"] == best["score"]  # type: ignore[arg-type]


@given(PLANS)
def test_without_a_screen_scores_alone_count(plans: list[dict[str, Any]]) -> None:
    plans = [{**plan, "screened": None} for plan in plans]
    scores = [plan["score"] for plan in plans]
    assert ranking.best(plans) == scores.index(max(scores))
    assert ranking.best_points(plans) == max(scores)


@pytest.fixture
def screened(settings: Settings, episode: Callable[..., Record], plan_summary: Callable[..., Record]) -> list[Record]:
    """The template passes with 70 and 80; coordinate is refused with 95, passes with 85, and then is only refused."""
    first, second = settings.cases

    def plan(score: float, *reasons: str) -> Record:
        return {**plan_summary(score), "screened": not reasons, "reasons": list(reasons)}

    cord, cold = "cord: SpinalCord D0.1cc is 47 Gy, screened at ≤ 45 Gy", "cold spot: PTV_7020.core D98% is 60 Gy"
    return [
        episode("template", first, 0, [plan(70)]),
        episode("template", second, 0, [plan(80)]),
        episode("coordinate", first, 0, [plan(95, cord, cold), plan(85)], handed_over=1, best_score=85),
        episode("coordinate", second, 0, [plan(96, cord), plan(97, cord)], handed_over=1),
    ]


def test_refused_plans_count_nothing_in_the_tables(settings: Settings, screened: list[Record]) -> None:
    table = tables.overview(settings, screened)
    frame = table.frame.set_index("method")
    assert frame["pass screen [%]"].to_dict() == {"template": 100, "coordinate": 50}
    assert frame["mean"].to_dict() == {"template": 75, "coordinate": 42.5}
    assert frame["mean, screen ignored"].to_dict() == {"template": 75, "coordinate": 96}
    assert list(table.cells()[0])[2:4] == ["pass screen [%]", "best score (IQM)"]
    best = frames.scores(screened).set_index(["agent", "case", "solve"])["best"]
    assert [best["coordinate", case, solve] for case in settings.cases for solve in (1, 2)] == [0, 85, 0, 0]
    assert answer(settings, screened)[1].startswith("Of 2 agents template scored highest")


def test_points_are_compared_where_both_pass_and_ranks_everywhere(settings: Settings, screened: list[Record]) -> None:
    against = tables.score_differences(settings, screened).frame.set_index("agent").loc["coordinate"]
    assert (against["difference"], against["higher in"], against["lower in"]) == (15, "1 of 2", "1 of 2")
    regret = tables.regret(settings, screened).frame.set_index("method")
    assert regret["cases"].to_dict() == {"template": 2, "coordinate": 1}
    assert regret["points lost"].to_dict() == {"template": 7.5, "coordinate": 0}
    only_refused = [record for record in screened if record["case"] == settings.cases[1]]
    assert "On no patient do the best and the next, coordinate, both" in answer(settings, only_refused)[2]


def test_a_refused_plan_reaches_no_score(settings: Settings, screened: list[Record]) -> None:
    frame = tables.solves_needed(settings, screened, {}).frame.set_index("method")
    assert frame.loc["coordinate", "template [%]"] == 50
    solves = tables.solves(settings, screened, {}).frame
    own = solves[solves["agent"] == "coordinate"]
    assert own["reaches"].tolist() == ["", "template; 95 % of the best", "", ""]
    assert own["screened"].tolist() == [False, True, False, False]


def test_what_is_refused_is_counted_by_reason(settings: Settings, screened: list[Record]) -> None:
    found = refusals.refusals(screened)
    assert (found.plans, found.refused, found.episodes, found.without) == (6, 3, 4, 1)
    assert found.most == "cord 3, cold spot 1"
    assert refusals.sentence(screened) == [
        "The screen refused 3 of 6 plans (most often: cord 3, cold spot 1). A refused plan ranks below all others: it "
        "counts 0 points, and enters no difference of points. In 1 of 4 episodes no plan passed it."
    ]
    frame = tables.refused_plans(settings, screened).frame.set_index("method")
    assert frame.loc["coordinate", ["plans", "refused", "without a plan that passes"]].tolist() == [4, 3, 1]


def test_a_run_without_a_screen_says_nothing_of_it(settings: Settings, records: list[Record]) -> None:
    assert refusals.sentence(records) == []
    assert tables.refused_plans(settings, records).frame.empty
    overview = tables.overview(settings, records)
    assert not {"pass screen [%]", "mean, screen ignored"} & set(overview.frame)
    assert "refuse" not in overview.note.replace("and a refused one only where all are", "")
    assert pd.isna(frames.plan_scores(records)["passed"]).all()
