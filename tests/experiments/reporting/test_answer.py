"""The answer follows from the numbers, and claims nothing that they do not show."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radplan_experiments.recording.settings import Settings
from radplan_experiments.reporting.answer import answer, best_scores, difference, ranked
from radplan_experiments.reporting.frames import REFERENCE
from radplan_experiments.reporting.stats import ENOUGH_CASES

Record = dict[str, Any]
Run = Callable[..., tuple[Settings, list[Record]]]


@pytest.fixture
def run(settings: Settings, episode: Callable[..., Record], plan_summary: Callable[..., Record]) -> Run:
    """Makes a run of agents with a score for each case."""

    def run(**scores: Sequence[float]) -> tuple[Settings, list[Record]]:
        cases = tuple(f"synthetic/test/{i}" for i in range(max(map(len, scores.values()))))
        records = [
            episode(agent, case, 0, [plan_summary(score)])
            for agent, own in scores.items()
            for case, score in zip(cases, own, strict=False)
        ]
        return dataclasses.replace(settings, agents=tuple(scores), cases=cases), records

    return run


def test_a_clear_lead_is_called_a_difference(run: Run) -> None:
    settings, records = run(template=[70, 71, 72, 73, 74, 75, 76], good=[81, 80, 83, 82, 85, 86, 85])
    first, second, third, fourth, fifth = answer(settings, records)
    assert first.startswith("Of 2 agents good scored highest: 83.2 of 100 points (95 % interval over patients")
    assert "Its mean difference to the next, template, patient by patient, is +10.14 points" in second
    assert "ahead on 7 of 7 patients: a difference." in second
    assert third == "Against the plans of template: higher: good (+10.14)."
    assert fourth == "In practice, where 0.5 points make no difference, good is better than template."
    assert fifth.startswith("7 patients are enough to find a difference of 1.4 points")
    assert fifth.endswith("for 1 point it takes 12.")


def test_a_lead_that_may_be_chance_is_not(run: Run) -> None:
    settings, records = run(template=[70, 80, 75, 72, 78, 74], other=[71, 79, 77, 71, 80, 73], worst=[10] * 6)
    _, second, third, fourth, _ = answer(settings, records)
    assert "no difference can be told" in second
    assert fourth.endswith("of the run taken together, other is better than worst; not told apart from template.")
    assert "worst" not in second
    assert third == "Against the plans of template: no difference can be told: other (+0.33); lower: worst (−64.83)."


def test_agents_of_the_same_scores_are_tied(run: Run) -> None:
    settings, records = run(template=[80.0, 90], same=[80.0, 90], worse=[70.0, 85])
    _, first, second = answer(settings, records)
    assert first.startswith(
        "Of 3 agents template and same are tied: on every patient both have the same score; the interquartile mean "
        "over 2 patients is 85.0 of 100 points (95 % interval over patients"
    )
    assert second.startswith("Their mean difference to the next, worse, patient by patient, is +7.50 points")
    assert "and they are ahead on 2 of 2 patients" in second
    settings, records = run(template=[80.0], same=[80.0])
    text = " ".join(answer(settings, records)[1:])
    assert text.startswith(
        "Of 2 agents template and same are tied: both scored 80.0 of 100 points on one patient, planned"
    )
    assert "lead" not in text and "ahead" not in text and "mean" not in text


def test_agents_that_planned_other_patients_are_not_tied(run: Run) -> None:
    settings, records = run(failed_once=[90.0], template=[90.0, 70])
    assert "tied" not in " ".join(answer(settings, records))


def test_the_same_mean_is_no_tie_where_patients_differ(run: Run) -> None:
    settings, records = run(template=[80.0, 90], other=[90.0, 80])
    text = " ".join(answer(settings, records))
    assert "tied" not in text
    assert "+0.00 points" in text and "ahead on 1 of 2 patients" in text


def test_few_cases_rank_nobody(run: Run) -> None:
    settings, records = run(template=[70, 71, 72], good=[90, 91, 92])
    first, _, third = answer(settings, records)
    assert "ahead on 3 of 3 patients: no difference can be told." in third
    assert first.startswith("3 patients are too few to rank agents by")
    assert first.endswith("one of two equally good agents is ahead on all 3 patients in one of 4 runs.")
    settings, records = run(template=[70, 71], good=[90, 91])
    assert "ahead on both patients in half of all runs" in answer(settings, records)[0]


def test_enough_cases_are_those_that_chance_alone_seldom_wins() -> None:
    assert 2.0 ** (1 - ENOUGH_CASES) < 0.05 <= 2.0 ** (2 - ENOUGH_CASES)


def test_one_case_has_no_interval(run: Run) -> None:
    settings, records = run(template=[70], good=[90])
    text = " ".join(answer(settings, records))
    assert "good scored highest: 90.0 of 100 points on one patient, planned with at most 3 solves." in text
    assert "interval" not in text and "interquartile" not in text
    assert "nan" not in text
    assert "One patient says nothing of others." in text


def test_seeds_of_one_case_are_said_to_be_what_the_mean_is_of(
    settings: Settings, episode: Callable[..., Record], plan_summary: Callable[..., Record]
) -> None:
    records = [episode("template", settings.cases[0], seed, [plan_summary(80 + seed)]) for seed in range(3)]
    assert (
        "template scored 81.0 of 100 points, the interquartile mean of 3 seeds on one patient, planned"
        in (answer(settings, records)[1])
    )


def test_reference_plans_are_said_to_be_made_for_delivery(run: Run) -> None:
    settings, records = run(template=[80.0, 81, 82, 83, 84, 85])
    both = {
        "ours": {"Rectum V31Gy": 20.0, "PTV_7020 DC0.1cc": 68},
        "reference": {"Rectum V31Gy": 25, "PTV_7020 DC0.1cc": 69},
    }
    assert answer(settings, [{**record, "against_reference": both} for record in records])[-1] == (
        "Against the reference plans, which were made to be delivered, template is better in 1 of 2 criteria in the "
        "mean, on the same voxels and scaled alike."
    )


def test_agents_without_a_score_are_named(run: Run) -> None:
    settings, records = run(template=[80.0] * 6)
    settings = dataclasses.replace(settings, agents=("template", "broken"))
    assert answer(settings, records)[0].startswith("broken finished no episode. template scored 80.0")
    assert "nothing to compare" in answer(settings, [])[0]


def test_only_common_cases_are_compared(run: Run) -> None:
    _, records = run(template=[70, 80], good=[75])
    scores = best_scores(records)
    found = difference(scores, "good", "template")
    assert (found.mean, found.cases, found.better) == (5.0, 1, 1)
    assert REFERENCE not in scores


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), min_size=2, max_size=12))
def test_a_difference_is_the_others_turned_round(pairs: list[tuple[float, float]]) -> None:
    scores = {name: {str(i): np.array([pair[k]]) for i, pair in enumerate(pairs)} for k, name in enumerate("ab")}
    one, other = difference(scores, "a", "b"), difference(scores, "b", "a")
    assert one.mean == pytest.approx(-other.mean)
    assert {one.verdict, other.verdict} in ({"no difference can be told"}, {"higher", "lower"})


def test_ranking_is_by_the_interquartile_mean(run: Run) -> None:
    settings, records = run(steady=[80, 80, 80, 80], outlier=[79, 79, 79, 100])
    assert ranked(settings, best_scores(records)) == ["steady", "outlier"]
