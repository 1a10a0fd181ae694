"""The report is one valid page that needs nothing else, shows everything, and believes no text it is given."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from page_checks import Page

from radplan_experiments.recording.records import key_of
from radplan_experiments.recording.run_folder import RunFolder, read_run_folder
from radplan_experiments.recording.settings import ModelChoice, Settings
from radplan_experiments.reporting import html_report, report, tables
from radplan_experiments.reporting.html_report import Picture
from radplan_experiments.reporting.html_report.command import command, without_paths
from radplan_experiments.reporting.html_report.page import FIGURES, SECTIONS, numeric_columns, row_spans

Record = dict[str, Any]

HOSTILE = """"><script>alert('x')</script><img src=http://example.org/x onerror=alert(1)>{{ 7 * 191 }}"""
PICTURE = Picture("data:image/png;base64,AAAA", 640)


@pytest.fixture
def folder(tmp_path: Path, settings: Settings, records: list[Record]) -> RunFolder:
    return RunFolder(tmp_path, settings, {key_of(record): record for record in records})


def written(folder: RunFolder, references: Any = None, left_out: Any = None, names: tuple[str, ...] = FIGURES) -> str:
    found = tables.all_tables(folder.settings, list(folder.records.values()), references or {})
    pictures = dict.fromkeys([*names, "trajectory_coordinate"], PICTURE)
    return html_report.write(folder, references or {}, left_out or {}, found, pictures).read_text()


def test_the_page_is_valid_and_needs_nothing_else(folder: RunFolder, references: dict[str, Any]) -> None:
    page = Page(written(folder, references))
    assert page.faults == []
    assert page.outside() == []
    assert not page.all("script")
    assert all(image["alt"] for image in page.all("img"))
    assert len(page.all("table")) == len(page.all("caption"))
    assert all("scope" in attributes for attributes in page.all("th"))


def test_every_section_table_and_figure_is_there(folder: RunFolder, references: dict[str, Any]) -> None:
    source = written(folder, references)
    page = Page(source)
    ids = {attributes.get("id") for _, attributes in page.elements}
    found = tables.all_tables(folder.settings, list(folder.records.values()), references)
    assert {f"table-{table.name}" for table in found if not table.is_long} <= ids
    assert {f"figure-{name}" for name in FIGURES} | {"figure-trajectory-1", "table-criteria", "table-places"} <= ids
    assert {anchor for anchor, _ in SECTIONS} <= ids
    words = page.text.replace("\u00a0", " ")
    for table in [table for table in found if not table.is_long]:
        columns, rows = table.cells()
        shown = [cell for row in rows for column, cell in zip(columns, row, strict=True) if column != "plan"]
        for text in [columns[0], *shown]:
            assert text in words or text.replace("-", "−") in words


def test_a_trajectory_stands_in_words_too(folder: RunFolder) -> None:
    page = Page(written(folder))
    assert "Rectum weight 5 → 12.5" in page.text
    assert "worse: Rectum V31Gy +4.0 %" in page.text


def test_a_structure_is_named_once_for_all_its_rows() -> None:
    rows = [["PTV_7020", "template"], ["PTV_7020", "random"], ["Rectum", "template"]]
    assert row_spans(rows) == [2, 0, 1]


def test_columns_of_numbers_are_told_from_texts_that_some_rows_lack() -> None:
    rows = [["a", "−1.5 (0.2) [−2, 3]", "–"], ["b", "–", "by the budget"]]
    assert numeric_columns(["agent", "score", "stopped"], rows) == {"score"}
    assert numeric_columns(["agent"], []) == set()


def test_what_users_write_is_text_and_nothing_else(folder: RunFolder) -> None:
    agents = tuple(HOSTILE if agent == "coordinate" else agent for agent in folder.settings.agents)
    model = ModelChoice(HOSTILE, "auto", 0.0, 0, None)
    for record in folder.records.values():
        record["agent"] = HOSTILE if record["agent"] == "coordinate" else record["agent"]
        record["ran_on"] = {"host": HOSTILE, "worker": "1"}
        for step in record["steps"]:
            step["metrics"][HOSTILE] = step["metrics"]["Rectum"]
            step["limits"] = [{"structure": HOSTILE, "metric": "mean", "at_most": 4.0}]
    failed = dict(next(iter(folder.records.values())), seed=1, status="failed", error={"message": HOSTILE})
    folder.settings = dataclasses.replace(folder.settings, agents=agents, model=model, instructions=HOSTILE, seeds=2)
    folder.records = {key_of(record): record for record in (*folder.records.values(), failed)}
    page = Page(written(folder, left_out={HOSTILE: HOSTILE}))
    assert page.faults == []
    assert not page.all("script")
    assert page.outside() == []
    assert all("onerror" not in image for image in page.all("img"))
    assert HOSTILE in page.text
    assert "1337" not in page.text


def test_paths_which_may_name_a_patient_are_not_shown(folder: RunFolder) -> None:
    paths = ("/clinic/Smith John/ct", "/clinic/Smith Ann")
    folder.settings = dataclasses.replace(folder.settings, source="dicom", data=paths, names="/clinic/Smith.yaml")
    for record in folder.records.values():
        record["command"] = f"python compare.py --data '{paths[0]}'"
        record["rescored"] = {"from": "/results/Smith", "by": "a", "was": "a"}
        record["agent_record"] = {"read": "/clinic/Smith/prior.npz"}
    first = next(iter(folder.records.values()))
    first |= {"status": "failed", "error": {"message": f"OSError: no {paths[0]}/slice 1.dcm: gone", "traceback": ""}}
    source = written(folder, left_out={"dicom/2": f"CaseError: {paths[1]}/a.dcm: no RTSTRUCT"})
    assert "Smith" not in source
    assert "CaseError: DATA: no RTSTRUCT" in source
    assert "--data DATA DATA" in source


def test_results_of_the_same_numbers_are_the_same_page(folder: RunFolder, references: dict[str, Any]) -> None:
    first = written(folder, references)
    folder.records = dict(reversed(folder.records.items()))
    assert written(folder, references) == first


def test_pictures_of_the_same_figure_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"pixels")

    def picture(points: int) -> str:
        figure = Figure()
        figure.subplots().plot(range(points), "o")
        return Picture.of(figure, tmp_path / "a.png").uri

    assert picture(3) == picture(3)
    assert picture(3).startswith("data:image/svg+xml;base64,")
    assert picture(20_000) == "data:image/png;base64,cGl4ZWxz"


def test_an_empty_run_is_reported_too(folder: RunFolder) -> None:
    folder.records = {}
    page = Page(written(folder, names=()))
    assert page.faults == []
    assert "nothing to compare" in page.text
    assert "Incomplete" in page.text


def test_the_command_plays_the_run_again(settings: Settings) -> None:

    model = ModelChoice("local:model.gguf#abc", "no", None, 3, 100)
    assert "--llm local:model.gguf --model.vision no --model.temperature None" in command(
        dataclasses.replace(settings, model=model)
    )
    suite = command(dataclasses.replace(settings, suite="prostate-v1", library="/home/me/plans"))
    assert suite == (
        "python experiments/compare.py --suite prostate-v1 --agents template coordinate --library LIBRARY --out OTHER"
    )


def test_agents_of_ones_own_are_said_to_need_their_module(folder: RunFolder) -> None:
    assert "not part of radplan_env" not in written(folder)
    folder.settings = dataclasses.replace(folder.settings, agents=("template", "gpt-radplan:joint", "nudge:Nudge"))
    words = " ".join(Page(written(folder)).text.split())
    assert "nudge:Nudge is not part of radplan_env: run the command in the folder from which its module can" in words


@pytest.mark.parametrize("cases", [1, 2, 3])
def test_only_one_of_three_patients_can_be_the_median(
    folder: RunFolder, episode: Callable[..., Record], plan_summary: Callable[..., Record], cases: int
) -> None:
    names = tuple(f"synthetic/test/{i}" for i in range(cases))
    folder.settings = dataclasses.replace(folder.settings, cases=names)
    records = [episode("coordinate", case, 0, [plan_summary(80 + i)]) for i, case in enumerate(names)]
    folder.records = {key_of(record): record for record in records}
    assert ("neither the easiest nor the hardest" in written(folder)) == (cases == 3)


def test_addresses_and_fractions_are_no_paths(settings: Settings) -> None:
    text = "gpt-9@https://host/v1/chat: 3/4 of and/or, openkbp/pt_1, ~/x/y.txt and /etc/a/b: gone"
    assert without_paths(text, settings) == (
        "gpt-9@https://host/v1/chat: 3/4 of and/or, openkbp/pt_1, PATH and PATH: gone"
    )


@pytest.mark.slow
def test_a_real_run_becomes_a_page_with_doses_and_trajectories(tiny_run: Path, tmp_path: Path) -> None:
    path = shutil.copytree(tiny_run, tmp_path / "run")
    lost = path / "plans" / "random" / "openkbp-pt_1" / "seed_1.npz"
    lost.unlink()
    text = report.write(read_run_folder(path), {})
    page = Page((path / "report.html").read_text())
    assert page.faults == []
    assert page.outside() == []
    assert "odd_agents:Raises" in page.text
    assert f"{lost.relative_to(path)}missing" in page.text.replace("\n", "")
    ids = {attributes.get("id") for _, attributes in page.elements}
    assert {"figure-mean_dvhs", "figure-trajectory-1", "table-failures"} <= ids
    assert "before sequencing" in text


def test_a_report_without_figures_still_tells_what_agents_did(tiny_run: Path, tmp_path: Path) -> None:
    path = shutil.copytree(tiny_run, tmp_path / "run")
    shutil.rmtree(path / "figures", ignore_errors=True)
    report.write(read_run_folder(path), {}, draw=False)
    page = Page((path / "report.html").read_text())
    assert page.faults == []
    assert not (path / "figures").exists() and all(name != "img" for name, _ in page.elements)
    assert "Figures were not drawn" in page.text and "changed, solve by solve" in page.text
