"""Plans judged anew: what the protocol says of them changes, what was done does not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from radplan_env.planning import Plan
from radplan_env.protocol import Protocol, load_protocol, read_protocol
from radplan_experiments.auditing import rescoring, validation
from radplan_experiments.recording.run_folder import RunFolder, RunFolderError, read_run_folder
from radplan_experiments.reporting import notes

Record = dict[str, Any]

CRITERION = ("Parotid_L", "mean")


@pytest.fixture
def rescore(in_this_process: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Re-scores a folder, and reports nothing."""
    monkeypatch.setattr(rescoring.report, "write", lambda folder, left_out: "")

    def rescore(path: Path, **how: Any) -> tuple[int, RunFolder]:
        out = tmp_path / "again"
        return rescoring.rescore(path, out, command="python compare.py --rescore", **how), read_run_folder(out)

    return rescore


@pytest.fixture
def strict_protocol() -> Protocol:
    """The head & neck protocol, with a limit on the mean dose of the left parotid that is out of reach."""
    content = load_protocol("head_and_neck").to_dict()
    (criterion,) = [c for c in content["criteria"] if (c["structure"], c["metric"]) == CRITERION]
    criterion |= {"at_most": 0.02, "ideal": 0.01, "unacceptable": 0.03}
    return read_protocol(content, "strict")


def by_name(step: Record) -> dict[str, Record]:
    return {f"{item['structure']} {item['metric']}": item for item in step["criteria"]}


@pytest.mark.slow
def test_the_same_protocol_says_the_same(tiny_run: Path, rescore: Any) -> None:
    before = read_run_folder(tiny_run)
    code, after = rescore(tiny_run)
    assert code == 0
    assert after.settings == before.settings
    for key, record in after.records.items():
        origin = record.pop("rescored")
        assert origin["from"] == str(tiny_run) and origin["was"] == origin["by"]
        assert record == before.records[key]
        assert Plan.load(after.plan_path(key)).summary() == record["steps"][record["handed_over"]]
    for case in after.settings.cases:
        assert json.loads(after.case_path(case).read_text()) == json.loads(before.case_path(case).read_text())


@pytest.mark.slow
def test_another_limit_changes_what_hangs_on_it_and_nothing_else(
    tiny_run: Path, rescore: Any, strict_protocol: Protocol, capsys: pytest.CaptureFixture[str]
) -> None:
    before = read_run_folder(tiny_run)
    code, after = rescore(tiny_run, protocol=strict_protocol)
    assert code == 0
    assert after.settings.protocol_digest != before.settings.protocol_digest
    name = " ".join(CRITERION)
    for key, record in after.records.items():
        old = before.records[key]
        for step, was in zip(record["steps"], old["steps"], strict=True):
            criteria, old_criteria = by_name(step), by_name(was)
            assert not criteria[name]["passed"] and not step["met"]
            assert step["terms"][name]["points"] <= 0 and step["terms"][name]["points"] < was["terms"][name]["points"]
            lost = was["terms"][name]["points"] - step["terms"][name]["points"]
            assert step["score"] == pytest.approx(max(0, was["score"] - lost), abs=1e-9)
            for same in set(criteria) - {name}:
                assert criteria[same] == old_criteria[same]
                assert step["terms"][same] == was["terms"][same]
            for same in ("metrics", "parameters", "limits", "gantry_angles_deg", "solver", "case"):
                assert step[same] == was[same]
        scores = [step["score"] for step in record["steps"]]
        assert (record["best_score"], record["final_score"]) == (max(scores), scores[-1])
        for same in ("status", "error", "agent_record", "seconds", "versions", "command"):
            assert record[same] == old[same]
        assert Plan.load(after.plan_path(key)).evaluation.score == record["steps"][record["handed_over"]]["score"]
    (note,) = notes.rescorings(list(after.records.values()))
    assert str(tiny_run) in note and "might have done otherwise" in note
    capsys.readouterr()
    assert validation.validate(after.path) == 0  # by its own protocol
    assert "the run's protocol, head_and_neck, is not the package's of that name" in capsys.readouterr().err
    assert after.settings.protocol == strict_protocol


@pytest.mark.slow
def test_a_rescored_run_is_of_no_suite(tiny_run: Path, tmp_path: Path, rescore: Any) -> None:
    """Its agents planned for another protocol."""
    path = shutil.copytree(tiny_run, tmp_path / "run")
    run = json.loads((path / "run.json").read_text())
    run["settings"] |= {"suite": "head-and-neck-v1"}
    (path / "run.json").write_text(json.dumps(run))
    _, after = rescore(path)
    assert after.settings.suite is None


def test_what_cannot_be_replayed_is_left_out_and_said(
    tiny_run: Path, tmp_path: Path, rescore: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path = shutil.copytree(tiny_run, tmp_path / "run")
    (path / "fluences" / "random" / "openkbp-pt_1" / "seed_1.npz").unlink()
    (path / "cases" / "openkbp-pt_2.json").unlink()
    code, after = rescore(path)
    assert code == 1
    assert {key[1] for key in after.records} == {"openkbp/pt_1"}
    assert ("random", "openkbp/pt_1", 1) in after.todo()
    told = capsys.readouterr().err
    assert "left out: random, openkbp/pt_1, seed 1: fluences/random/openkbp-pt_1/seed_1.npz is missing" in told
    assert "left out: openkbp/pt_2: cases/openkbp-pt_2.json cannot be read" in told


def test_nothing_is_written_over(tiny_run: Path) -> None:
    with pytest.raises(RunFolderError, match="holds a run already"):
        rescoring.rescore(tiny_run, tiny_run)
