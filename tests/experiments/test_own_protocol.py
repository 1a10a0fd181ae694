"""A renamed copy of a protocol: all that is done with a run works, also once the copy's YAML is gone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from radplan_env.planning import Plan
from radplan_env.protocol import load_protocol
from radplan_experiments.auditing import exporting, merge, rescoring, validation
from radplan_experiments.options import RunOptions
from radplan_experiments.recording.run_folder import RunFolderError, open_run_folder, read_run_folder
from radplan_experiments.reporting import report
from radplan_experiments.running import runner
from radplan_experiments.running.run_settings import settings_of

TITLE = "Our clinic's head & neck"
CASE = "openkbp/pt_1"


@pytest.fixture(scope="module")
def run(tiny_openkbp: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run by a renamed copy with turned collimators, whose YAML is gone."""
    file = tmp_path_factory.mktemp("own") / "ours.yaml"
    package = load_protocol("head_and_neck").to_yaml()
    title = load_protocol("head_and_neck").title
    file.write_text(package.replace("name: head_and_neck", "name: ours").replace(title, TITLE), encoding="utf-8")
    args = RunOptions(
        site="head-and-neck",
        protocol=file,
        data=(tiny_openkbp,),
        cases=(CASE,),
        agents=("template", "random"),
        budget=2,
        gantry_angles_deg=(0, 70, 140, 210, 280),
        collimator_angles_deg=(15,),
    )
    settings = settings_of(args)
    path = tmp_path_factory.mktemp("own-run") / "run"
    with open_run_folder(path, settings) as folder:
        runner.prepare(settings, CASE, folder.case_path(CASE))
        for key in folder.todo():
            folder.append({**runner.play(folder, key), "command": "python compare.py"})
    file.unlink()
    return path


@pytest.mark.slow
@pytest.mark.usefixtures("in_this_process")
def test_plans_load_and_hold(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = read_run_folder(run)
    assert folder.settings.protocol.name == "ours"
    for key, record in folder.records.items():
        plan = Plan.load(folder.plan_path(key))
        assert plan.protocol == folder.settings.protocol
        assert plan.gantry_angles_deg == (0, 70, 140, 210, 280) and plan.collimator_angles_deg == (15,) * 5
        assert plan.summary() == record["steps"][record["handed_over"]]
        assert record["protocol"] == "ours" and record["scorecard"]["name"] == "v1"
    assert validation.validate(run) == 0
    assert "is not the package's" not in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.usefixtures("in_this_process")
def test_it_is_rescored_by_its_own_protocol_or_by_another(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rescoring.report, "write", lambda folder, left_out: "")
    assert rescoring.rescore(run, tmp_path / "own") == 0
    before, own = read_run_folder(run), read_run_folder(tmp_path / "own")
    assert own.settings == before.settings
    assert all(own.records[key]["steps"] == before.records[key]["steps"] for key in before.records)
    assert rescoring.rescore(run, tmp_path / "package", protocol=load_protocol("head_and_neck")) == 0
    assert read_run_folder(tmp_path / "package").settings.protocol.name == "head_and_neck"


@pytest.mark.slow
def test_it_is_merged_exported_and_reported_under_its_title(run: Path, tmp_path: Path) -> None:
    assert merge.merge([run, run], tmp_path / "merged", draw=False) == 0
    assert not (tmp_path / "merged" / "figures").exists()
    assert read_run_folder(tmp_path / "merged").settings.protocol == read_run_folder(run).settings.protocol
    plan = read_run_folder(run).plan_path(("template", CASE, 0))
    assert (exporting.export(plan, tmp_path / "dicom") / "RTDOSE.dcm").exists()
    copy = shutil.copytree(run, tmp_path / "copy")
    text = report.write(read_run_folder(copy), {})
    page = (copy / "report.html").read_text(encoding="utf-8")
    assert text.startswith(f"# {TITLE}") and TITLE.replace("&", "&amp;").replace("'", "&#39;") in page
    assert (copy / "figures" / "plan_template.png").exists()
    assert "left out" not in page.lower().split('id="failures"')[0].split("<body>")[0]


def test_a_protocol_that_is_not_the_runs_or_gone_is_refused(run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "copy")
    (copy / "protocol.yaml").write_text(load_protocol("head_and_neck").to_yaml(), encoding="utf-8")
    with pytest.raises(RunFolderError, match=r"protocol\.yaml is not the protocol that .*run\.json names"):
        read_run_folder(copy)
    (copy / "protocol.yaml").unlink()
    with pytest.raises(RunFolderError, match=r"cannot read protocol .*protocol\.yaml"):
        read_run_folder(copy)
