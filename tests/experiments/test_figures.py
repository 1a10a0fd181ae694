"""Figures show the numbers they claim to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from experiments import figures
from experiments.frames import REFERENCE
from experiments.records import Settings

Record = dict[str, Any]


def line(figure: Figure, panel: int, label: str) -> Line2D:
    (found,) = [drawn for drawn in figure.axes[panel].lines if str(drawn.get_label()).startswith(label)]
    return found


def test_sample_efficiency_draws_mean_best_score(
    settings: Settings, records: list[Record], references: dict[str, Any]
) -> None:
    figure = figures.sample_efficiency(settings, records, references)
    np.testing.assert_allclose(line(figure, 0, "coordinate").get_xydata(), [[1, 79], [2, 81], [3, 91]])
    np.testing.assert_allclose(line(figure, 0, "template").get_ydata(), [70, 70, 70])
    assert "n = 2" in str(line(figure, 0, "template").get_label())
    assert line(figure, 0, REFERENCE).get_linestyle() == "--"


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
    figure = figures.differences(settings, records, {})
    assert figure is not None
    (points,) = [drawn for drawn in figure.axes[0].lines if drawn.get_marker() == "."]
    assert sorted(points.get_ydata()) == pytest.approx([24 - 30, 18 - 20])
    assert "n = 2" in figure.get_suptitle()


def test_no_differences_without_pairs(settings: Settings, records: list[Record]) -> None:
    alone = [record for record in records if record["agent"] == "template"]
    assert figures.differences(settings, alone, {}) is None


def test_saved_figures_are_the_same_twice(settings: Settings, records: list[Record], tmp_path: Path) -> None:
    for name in ("a", "b"):
        figures.save(figures.sample_efficiency(settings, records, {}), tmp_path / name)
    for suffix in (".png", ".pdf"):
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()
