"""Figures of scores show the numbers they claim to, and stay readable with a dozen agents."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes

from radplan_experiments.recording.settings import Settings
from radplan_experiments.reporting import figures
from radplan_experiments.reporting.stats import ENOUGH_CASES

Record = dict[str, Any]
AGENTS = tuple(f"package.module:Agent{i}" for i in range(12))


@pytest.fixture
def many(
    settings: Settings, episode: Callable[..., Record], plan_summary: Callable[..., Record]
) -> tuple[Settings, list[Record]]:
    """Twelve agents, each one point better than the one before."""
    records = [
        episode(agent, case, 0, [plan_summary(50 + i), plan_summary(60 + i)])
        for i, agent in enumerate(AGENTS)
        for case in settings.cases
    ]
    return dataclasses.replace(settings, agents=AGENTS), records


def own_curve(axes: Axes) -> np.ndarray:
    (found,) = [line.get_xydata() for line in axes.lines if not str(line.get_label()).startswith("_")]
    return np.asarray(found)


def test_profile_is_the_share_of_runs_above_a_score(settings: Settings, records: list[Record]) -> None:
    """Template 60 and 80: above 59 all, from 60 on half, from 80 on none."""
    (axes,) = figures.performance_profile(settings, records).axes
    by_label = {str(line.get_label()).split(" (")[0]: line for line in axes.lines}
    assert by_label.keys() == {"template", "coordinate"}
    thresholds, shares = np.transpose(by_label["template"].get_xydata())
    expected = [(share, tau) for tau, share in zip(thresholds, shares, strict=True)]
    assert {share for share, tau in expected if tau < 60} == {1.0}
    assert {share for share, tau in expected if 60 <= tau < 80} == {0.5}
    assert {share for share, tau in expected if tau >= 80} == {0.0}
    assert by_label["template"].get_drawstyle() == "steps-post"


@pytest.mark.parametrize("draw", [figures.sample_efficiency, figures.performance_profile])
def test_many_agents_have_a_panel_each(draw: Callable[..., Any], many: tuple[Settings, list[Record]]) -> None:
    figure = draw(*many)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in shown] == [f"{agent} (n = 2)" for agent in AGENTS]
    thin = len(many[0].cases) if draw is figures.sample_efficiency else 0
    assert all(len(axes.lines) == len(AGENTS) + thin for axes in shown)  # the others in grey
    if draw is figures.sample_efficiency:
        np.testing.assert_allclose(own_curve(shown[3]), [[1, 53], [2, 63], [3, 63]])
        assert len({axes.get_ylim() for axes in shown}) == 1


@pytest.mark.parametrize("cases", [1, 2, ENOUGH_CASES - 1, ENOUGH_CASES])
def test_few_cases_have_no_band_but_a_line_each(
    settings: Settings, episode: Callable[..., Record], plan_summary: Callable[..., Record], cases: int
) -> None:
    """Cases of 60, 62, …, one point higher with the second solve."""
    names = tuple(f"case {i}" for i in range(cases))
    asked = dataclasses.replace(settings, agents=("random",), cases=names, budget=2)
    scores = {case: 60 + 2 * i for i, case in enumerate(names)}
    records = [episode("random", c, 0, [plan_summary(s), plan_summary(s + 1)], budget=2) for c, s in scores.items()]
    figure, profile = (draw(asked, records) for draw in (figures.sample_efficiency, figures.performance_profile))
    few = cases < ENOUGH_CASES
    assert len(figure.axes[0].collections) == len(profile.axes[0].collections) == (0 if few else 1)
    thin = [line.get_ydata() for line in figure.axes[0].lines if str(line.get_label()).startswith("_")]
    expected = [[score, score + 1] for score in scores.values()] if few and cases > 1 else []
    assert [list(drawn) for drawn in thin] == expected
    assert ("thin lines" in figure.get_suptitle()) == bool(expected)
    assert ("band" in figure.get_suptitle()) == ("band" in profile.get_suptitle()) == (not few)
    low, high = figure.axes[0].get_ylim()
    assert high > max(scores.values()) + 1
    assert low < 61 or not few  # every end is in sight


def test_heat_map_has_the_probabilities_of_the_table(settings: Settings, records: list[Record]) -> None:
    figure = figures.probability_of_improvement(settings, records)
    assert figure is not None
    (axes,) = figure.axes
    texts = {tuple(np.round(text.get_position()).astype(int)): text.get_text() for text in axes.texts[::2]}
    assert texts == {(1, 0): "0.00", (0, 1): "1.00"}  # column, row: the template never beats coordinate
    assert [label.get_text() for label in axes.get_yticklabels()] == ["template", "coordinate"]
    alone = [record for record in records if record["agent"] == "template"]
    assert figures.probability_of_improvement(settings, alone) is None


def test_colour_is_full_only_where_one_can_be_told_the_better(
    settings: Settings, episode: Callable[..., Record], plan_summary: Callable[..., Record]
) -> None:
    def saturation(cases: int) -> float:
        names = tuple(f"case {i}" for i in range(cases))
        asked = dataclasses.replace(settings, cases=names)
        scores = {"template": 60, "coordinate": 70}
        records = [episode(agent, case, 0, [plan_summary(score)]) for agent, score in scores.items() for case in names]
        figure = figures.probability_of_improvement(asked, records)
        assert figure is not None
        pixel = np.asarray(figure.axes[0].images[0].get_array())[1, 0]
        return float(np.ptp(pixel))

    assert saturation(11) > 2 * saturation(3) > 0  # eleven wins say something, three do not


def test_score_differences_show_mean_interval_and_every_case(settings: Settings, records: list[Record]) -> None:
    figure = figures.score_differences(settings, records)
    assert figure is not None
    (axes,) = figure.axes
    assert axes.get_title(loc="left") == "minus template"
    by_marker = {line.get_marker(): np.asarray(line.get_xdata()) for line in axes.lines if line.get_marker() != "None"}
    np.testing.assert_allclose(by_marker["D"], [21])
    np.testing.assert_allclose(np.sort(by_marker["."]), [12, 30])
    alone = [record for record in records if record["agent"] == "template"]
    assert figures.score_differences(settings, alone) is None
