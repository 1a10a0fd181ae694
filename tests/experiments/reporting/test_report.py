"""What stands above the tables: whatever a reader must know before comparing."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import pytest

from radplan_env.protocol import read_protocol
from radplan_experiments.recording import failures
from radplan_experiments.recording.records import key_of
from radplan_experiments.recording.run_folder import RunFolder
from radplan_experiments.recording.settings import ModelChoice, Settings
from radplan_experiments.reporting import report

Record = dict[str, Any]


@pytest.fixture
def folder(tmp_path: Path, settings: Settings, records: list[Record]) -> RunFolder:
    return RunFolder(tmp_path, settings, {key_of(record): record for record in records})


def heading(folder: RunFolder, references: dict[str, Any], unplanned: dict[str, str]) -> str:
    return report._heading(folder, list(folder.records.values()), references, unplanned)


def test_nothing_is_said_where_nothing_is_amiss(folder: RunFolder, references: dict[str, Any]) -> None:
    text = heading(folder, references, {})
    assert "synthetic" in text
    assert not any(word in text for word in ("Mixed", "edited", "failed", "Left out", "prescription"))


def test_reference_plan_of_another_prescription_is_pointed_out(folder: RunFolder, references: dict[str, Any]) -> None:
    other = copy.deepcopy(references)
    (case,) = other
    other[case]["scaled_by"] = 70.2 / 58.6
    assert f"reference plan of {case} gives PTV_7020 a D95 of 58.6 Gy" in heading(folder, other, {})


def test_model_instructions_and_unseen_pictures_are_said(folder: RunFolder) -> None:
    model = ModelChoice("gpt-9@https://host/v1", "auto", 0.0, 0, 4096)
    folder.settings = dataclasses.replace(folder.settings, model=model, instructions='spare the "rectum"')
    record = next(iter(folder.records.values()))
    record["agent_record"] = {"calls_with_pictures": 4, "calls_with_pictures_seen": 0}
    text = heading(folder, {}, {"gpt-radplan:vision-only": "sees none"})
    assert "gpt-9@https://host/v1; temperature 0.0; seed 0; no calls made" in text
    assert r'"spare the \"rectum\""' in text
    assert f"saw no pictures of {record['agent']}" in text
    assert "Left out: gpt-radplan:vision-only: sees none" in text


def test_failures_left_out_cases_and_mixed_versions_are_said(folder: RunFolder) -> None:
    first, second, *_ = folder.records.values()
    first |= {"status": "failed", "error": {"message": "RuntimeError: boom"}}
    second["versions"] = {"python": "4"}
    text = heading(folder, {}, {"synthetic/test/1": "CaseError: no target"})
    assert "RuntimeError: boom" in text
    assert "CaseError: no target" in text
    assert "Mixed" in text


def test_failures_say_where_and_what_to_do_and_leave_their_tracebacks(folder: RunFolder) -> None:
    first, second, *_ = folder.records.values()
    error = {"message": "KeyError: 'met'", "at": "nudge.py, line 30", "traceback": "Traceback …\nKeyError: 'met'"}
    for record in (first, second):
        record |= {"status": "failed", "error": error}
    text = heading(folder, {}, {})
    assert text.count("KeyError: 'met' (nudge.py, line 30)") == 2
    assert text.count("Tracebacks in failures.txt") == text.count("--retry-failed") == 1
    failures.write_tracebacks(folder)
    written = (folder.path / "failures.txt").read_text()
    assert written.count("Traceback …") == 2
    assert f"{first['agent']} failed on {first['case']}, seed 0, after 3 solves: KeyError" in written
    assert f"{second['agent']} failed on {second['case']}, seed 0, after 1 solve: KeyError" in written
    for record in (first, second):
        record["status"] = "complete"
    failures.write_tracebacks(folder)
    assert not (folder.path / "failures.txt").exists()


def test_episodes_played_by_other_versions_of_an_agents_code_are_counted(folder: RunFolder) -> None:
    own = [record for record in folder.records.values() if record["agent"] == "coordinate"]
    own[0]["agent_source"] = own[1]["agent_source"] = "before"
    assert "edited between runs" not in heading(folder, {}, {})
    folder.present_digests = {"coordinate": "now"}
    assert "coordinate (2 of 2 episodes played by earlier code)" in heading(folder, {}, {})
    own[1]["agent_source"] = "now"
    assert "coordinate (1 of 2 episodes played by earlier code)" in heading(folder, {}, {})
    folder.present_digests = {}  # as for a reader of the folder
    assert "coordinate (2 episodes by 2 versions of it)" in heading(folder, {}, {})
    own[0]["agent_source"] = "now"
    assert "edited between runs" not in heading(folder, {}, {})


def test_a_single_case_is_said_to_have_no_intervals(folder: RunFolder) -> None:
    assert "One case" not in heading(folder, {}, {})
    folder.settings = dataclasses.replace(folder.settings, cases=folder.settings.cases[:1])
    assert "One case: no interval" in heading(folder, {}, {})


def test_a_protocol_or_scorecard_that_is_not_the_packages_is_pointed_out(folder: RunFolder) -> None:
    assert "protocol is not the package's" not in heading(folder, {}, {})
    settings = folder.settings
    edited = read_protocol(settings.protocol.to_dict() | {"fractions": 39}, "edited")
    folder.settings = dataclasses.replace(settings, protocol=edited)
    assert "protocol is not the package's prostate" in heading(folder, {}, {})
    renamed = read_protocol(edited.to_dict() | {"name": "ours"}, "renamed")
    folder.settings = dataclasses.replace(settings, protocol=renamed)
    assert "protocol is not the package's" not in heading(folder, {}, {})
    assert "scorecard" not in heading(folder, {}, {})
    folder.settings = dataclasses.replace(settings, scorecard=dataclasses.replace(settings.scorecard, digest="0" * 64))
    assert "scorecard v0 has changed" in heading(folder, {}, {})


def test_what_is_no_deliverable_plan_is_said_by_its_stage(folder: RunFolder) -> None:
    assert "before sequencing" in heading(folder, {}, {})
    for record in folder.records.values():
        for step in record["steps"]:
            step["stage"] = "deliverable"
    assert "before sequencing" not in heading(folder, {}, {})


def test_who_begins_with_the_templates_plan_is_said(folder: RunFolder) -> None:
    said = "coordinate begins with the template's plan"
    assert said in heading(folder, {}, {})
    first = next(record for record in folder.records.values() if record["agent"] == "coordinate")["steps"][0]
    first["parameters"] = {name: {**chosen, "weight": 77.0} for name, chosen in first["parameters"].items()}
    assert said not in heading(folder, {}, {})
