"""A physicist's conversation: what is said reaches the model, and the plan kept is the one that was asked for."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import scripted_server as scripted
from scripted_planner import answers

from radplan_agents.llm import read_transcript
from radplan_env.planning import Plan
from radplan_experiments.auditing.validation import validate
from radplan_experiments.commands.converse import main
from radplan_experiments.recording.run_folder import read_run_folder
from radplan_experiments.running.step_text import first_text, step_text


@pytest.fixture
def service() -> Iterator[scripted.Service]:
    with scripted.running() as service:
        service.script.extend([answers] * 50)
        yield service


def converse(service: scripted.Service, out: Path, monkeypatch: pytest.MonkeyPatch, said: str, *more: str) -> int:
    """Runs converse.py on the TG-119 phantom with this on its standard input."""
    monkeypatch.setattr("sys.stdin", io.StringIO(said))
    task = ["--site", "tg119", "--out", str(out), "--llm", f"m@{service.url}", "--model.vision", "no"]
    return main([*task, *more])


def test_a_step_is_told_by_what_has_changed(plan_summary: Callable[..., Any]) -> None:
    before, after = plan_summary(70, rectum_mean=30), plan_summary(72.5, rectum_mean=26, rectum_weight=10.0)
    for plan, points in ((before, 3.0), (after, 5.5)):
        plan["terms"] = {"Rectum V31Gy": {"points": points, "available": 10.0}}
    assert step_text(before, after).splitlines() == [
        "+2.5: score 72.5 of 100, 0 of 1 criteria met",
        "changed  Rectum weight 5 → 10",
        "better   Rectum V31Gy -4.0 %",
        "points   Rectum V31Gy +2.5, 5.5 of 10.0",
        "fails    Rectum V31Gy ≤ 34.0 %: 26.0 %",
    ]
    assert first_text(before).splitlines()[-1] == "loses most  Rectum V31Gy: 7.0 of 10.0 points"


@pytest.mark.slow
def test_comment_undo_and_accept(
    service: scripted.Service,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    in_this_process: None,
) -> None:
    said = "\nspare the core, stop at nothing\n\nundo\ntable\n\naccept 2\n"
    more = ["--agent", "gpt-radplan:small", "--budget", "5", "--instructions", "be bold"]
    assert converse(service, tmp_path, monkeypatch, said, *more) == 0
    shown = capsys.readouterr().out
    made = re.findall(r"^Plan (\d) of 5(?:, against plan (\d))?$", shown, re.MULTILINE)
    assert made[0] == ("1", "") and [number for number, _ in made] == ["1", "2", "3", "4"]
    assert "Back to plan 2" in shown and "objective dose [Gy]" in shown
    folder = tmp_path / "matrad-TG119" / "1"
    assert {path.name for path in folder.glob("*.png")} >= {
        "plan_1.png",
        "plan_4.png",
        f"plan_4_against_{made[3][1]}.png",
    }
    plans = [
        re.findall(r"score (\d+\.\d) of 100,", part)[0]
        for part in re.split(r"^Plan \d of 5", shown, flags=re.MULTILINE)[1:]
    ]
    kept = Plan.load(folder / "plan.npz")
    assert f"{kept.evaluation.score:.1f}" == plans[1]
    transcript = folder / "transcripts" / "conversation" / folder.parent.name / "seed_0"
    told = [json.dumps(entry["request"]) for entry in read_transcript(transcript) if "request" in entry]
    assert all("be bold" in text for text in told)
    first = next(i for i, text in enumerate(told) if "spare the core, stop at nothing" in text)
    assert all("After plan 2: spare the core" in text for text in told[first:])
    assert "Plan 3 was rejected in favour of plan 2" in told[-1]
    assert "Propose step 4." in told[-1] or "Propose step 5." in told[-1]
    written = (folder / "conversation.md").read_text()
    assert "> **physicist**: spare the core, stop at nothing" in written
    (record,) = read_run_folder(folder).records.values()
    assert len(record["steps"]) == 4 and record["agent_record"]["plan_chosen"] == 2
    assert validate(folder, jobs=1) == 0


@pytest.mark.slow
def test_end_of_piped_input_keeps_the_best_plan(
    service: scripted.Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = "undo\naccept 9\n\n"
    assert converse(service, tmp_path, monkeypatch, said) == 0
    shown = capsys.readouterr().out
    assert "there is no plan before this one" in shown
    assert "there are plans 1 to 1" in shown
    scores = [float(score) for score in re.findall(r"score (\d+\.\d) of 100,", shown)]
    kept = Plan.load(tmp_path / "matrad-TG119" / "1" / "plan.npz")
    assert round(kept.evaluation.score, 1) == max(scores)


@pytest.mark.slow
def test_when_the_service_fails_the_best_plan_so_far_is_kept(
    service: scripted.Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    service.script.clear()
    service.script.append(scripted.status(401, "no"))
    assert converse(service, tmp_path, monkeypatch, "\n") == 1
    assert "check the API key" in capsys.readouterr().err
    assert Plan.load(tmp_path / "matrad-TG119" / "1" / "plan.npz").parameters.structures


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--agent", "coordinate"], "cannot be talked to"),
        (["--agent", "gpt-radplan:x"], "gpt-radplan:dvh-only"),
        (["--budget", "0"], "at least 1"),
        (["--site", "prostate", "--cases", "2"], "one case, not 2"),
        (["--library", "/nowhere"], "--library"),
        (["--llm", "local:nowhere.gguf"], "no GGUF file"),
    ],
)
def test_bad_requests_are_refused_in_one_line(
    service: scripted.Service,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    assert converse(service, tmp_path / "out", monkeypatch, "", *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("converse.py: error: ") and error.count("\n") == 1
    assert message in error


def test_without_a_model_it_says_how_to_name_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("OPENAI_MODEL", raising=False)
    assert main(["--site", "tg119"]) == 2
    assert "give --llm MODEL" in capsys.readouterr().err
