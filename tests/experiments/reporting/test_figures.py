"""Figures show the numbers they claim to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from radplan_experiments.recording.settings import Settings
from radplan_experiments.reporting import figures
from radplan_experiments.reporting.figures.style import taking_turns
from radplan_experiments.reporting.frames import REFERENCE

Record = dict[str, Any]


def line(figure: Figure, panel: int, label: str) -> Line2D:
    (found,) = [drawn for drawn in figure.axes[panel].lines if str(drawn.get_label()).startswith(label)]
    return found


def test_sample_efficiency_draws_mean_best_score(settings: Settings, records: list[Record]) -> None:
    figure = figures.sample_efficiency(settings, records)
    np.testing.assert_allclose(line(figure, 0, "coordinate").get_xydata(), [[1, 79], [2, 81], [3, 91]])
    np.testing.assert_allclose(line(figure, 0, "template").get_ydata(), [70, 70, 70])
    assert "n = 2" in str(line(figure, 0, "template").get_label())


def test_dvh_comparison_has_a_panel_a_structure_and_the_reference_dashed(settings: Settings) -> None:
    doses = np.array([0.0, 20.0, 70.0, 80.0])
    dvh = {"Rectum": (doses, np.array([100, 40, 5, 0])), "PTV_7020": (doses, np.array([100, 100, 95, 0]))}
    figure = figures.dvh_comparison(settings, "a case", {"template": dvh, "coordinate": dvh, REFERENCE: dvh})
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["PTV_7020", "Rectum"]
    for panel, structure in enumerate(titles):
        xy = line(figure, panel, "coordinate").get_xydata()
        np.testing.assert_allclose(xy, np.column_stack(dvh[structure]))
        assert line(figure, panel, REFERENCE).get_linestyle() == "--"


def test_differences_are_paired_and_counted(settings: Settings, records: list[Record]) -> None:
    figure = figures.differences(settings, records)
    assert figure is not None
    (points,) = [drawn for drawn in figure.axes[0].lines if drawn.get_marker() == "."]
    assert sorted(points.get_ydata()) == pytest.approx([24 - 30, 18 - 20])
    assert "n = 2" in figure.get_suptitle()


def test_no_differences_without_pairs(settings: Settings, records: list[Record]) -> None:
    alone = [record for record in records if record["agent"] == "template"]
    assert figures.differences(settings, alone) is None


def test_saved_figures_are_the_same_twice(settings: Settings, records: list[Record], tmp_path: Path) -> None:
    for name in ("a", "b"):
        figures.save(figures.sample_efficiency(settings, records), tmp_path / name)
    for suffix in (".png", ".pdf"):
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def dvh_of(volumes: list[float]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {"Rectum": (np.array([0.0, 20.0, 40.0]), np.array(volumes))}


def test_mean_dvh_averages_seeds_first_and_its_band_is_the_sd_over_cases(settings: Settings) -> None:
    template = {"case 1": [dvh_of([100, 40, 0])]}
    coordinate = {"case 1": [dvh_of([100, 10, 0]), dvh_of([100, 30, 0])], "case 2": [dvh_of([100, 50, 10])]}
    figure = figures.mean_dvhs(settings, {"template": template, "coordinate": coordinate}, "template")
    assert figure is not None
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["template (n = 1)", "coordinate (n = 2)"]
    mean, against = figure.axes[1].lines
    np.testing.assert_allclose(mean.get_ydata(), [100, (20 + 50) / 2, 5])
    np.testing.assert_allclose(against.get_ydata(), [100, 40, 0])
    (band,) = figure.axes[1].collections
    at_20_gy = [y for x, y in band.get_paths()[0].vertices if x == 20]
    sd = np.std([20, 50], ddof=1)
    assert [min(at_20_gy), max(at_20_gy)] == pytest.approx([35 - sd, 35 + sd])


def test_mean_dvh_takes_curves_on_other_doses(settings: Settings) -> None:
    finer = {"Rectum": (np.array([0.0, 10.0, 20.0, 30.0]), np.array([100.0, 60.0, 20.0, 0.0]))}
    figure = figures.mean_dvhs(
        settings, {"template": {"case 1": [dvh_of([100, 40, 0])], "case 2": [finer]}}, "template"
    )
    assert figure is not None
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), [100, 30, 0])


def test_curves_of_the_same_values_take_turns() -> None:
    styles = taking_turns({"a": [1.0, 2.0], "b": [1.0, 2.0], "c": [1.0, 3.0], "d": [1.0, 2.0]})
    assert styles.pop("c") == "solid"
    (offset, (dash, gap)), *others = (styles[name] for name in "abd")
    assert gap == 2 * dash  # room for the two others
    assert [(other[0] - offset) % (dash + gap) for other in others] == [2 * dash, dash]


def test_no_mean_dvhs_without_plans(settings: Settings) -> None:
    assert figures.mean_dvhs(settings, {}, "template") is None


def test_trajectory_shows_every_solve(records: list[Record]) -> None:
    record = records[0]  # 88, 92, 85
    figure = figures.trajectory(record, None, None, case=None, prescription_gy=70.2)
    score, weight, dose = (axes for axes in figure.axes if axes.get_visible())
    by_label = {drawn.get_label(): drawn for drawn in score.lines}
    np.testing.assert_allclose(by_label["this solve"].get_xydata(), [[1, 88], [2, 92], [3, 85]])
    np.testing.assert_allclose(by_label["best so far"].get_ydata(), [88, 92, 92])
    np.testing.assert_allclose(by_label["handed over"].get_xydata(), [[2, 92]])
    np.testing.assert_allclose(weight.lines[0].get_ydata(), [5, 5, 5])
    np.testing.assert_allclose(dose.lines[0].get_ydata(), [0, 0, 0])
