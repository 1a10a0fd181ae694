"""A run whose plans are delivered: recorded, replayed, merged and reported as it was delivered."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from radplan_env.delivery.machine import machine_named
from radplan_env.delivery.optimise import Effort
from radplan_env.delivery.techniques import TECHNIQUES, Technique
from radplan_env.planning import DeliverySettings, Plan, delivering
from radplan_env.protocol import load_protocol
from radplan_experiments.auditing import merge, rescoring, validation
from radplan_experiments.cohort import UsageError
from radplan_experiments.options import CompareOptions
from radplan_experiments.recording import apertures
from radplan_experiments.recording.records import plan_handed_over, plans_that_count
from radplan_experiments.recording.run_folder import RunFolder, RunFolderError, open_run_folder, read_run_folder
from radplan_experiments.recording.settings import Settings, different_settings
from radplan_experiments.reporting import frames, report
from radplan_experiments.reporting.html_report.command import command
from radplan_experiments.running import runner
from radplan_experiments.running.run_settings import settings_of

CASE = "openkbp/pt_1"
KEY = ("template", CASE, 0)


@pytest.fixture(scope="module", autouse=True)
def little_effort() -> Iterator[None]:
    """Apertures that are hardly optimised: what is recorded of them is the matter here."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("COLD", "WARM"):
            patch.setattr(delivering, name, Effort(rounds=1, covered=1, steps=3, covered_steps=3))
        yield


@pytest.fixture(scope="module")
def play(tiny_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Plays a tiny patient, once for each way of delivering; copies may be changed."""
    played: dict[str, Path] = {}

    def play(when: Any) -> Path:
        if when not in played:
            chosen = replace(
                tiny_settings,
                agents=("template", "random"),
                deterministic=("template",),
                gantry_angles_deg=(0.0, 130.0),
                delivery=DeliverySettings("step-and-shoot", when=when),
            )
            played[when] = tmp_path_factory.mktemp("delivered") / when
            with open_run_folder(played[when], chosen) as folder:
                runner.prepare(chosen, CASE, folder.case_path(CASE))
                for key in folder.todo():
                    folder.append({**runner.play(folder, key), "command": "python compare.py"})
        return shutil.copytree(played[when], tmp_path_factory.mktemp("copy") / when)

    return play


@pytest.fixture(params=[pytest.param("each", marks=pytest.mark.slow), "final"])
def folder(request: pytest.FixtureRequest, play: Callable[..., Path]) -> RunFolder:
    return read_run_folder(play(request.param))


def test_records_hold_what_is_handed_over_as_it_is_delivered(folder: RunFolder) -> None:
    each = folder.settings.solves_count
    for key, record in folder.records.items():
        assert record["status"] == "complete"
        assert {step["stage"] for step in record["steps"]} == {"deliverable" if each else "ideal"}
        delivered, stored = record["delivered"], Plan.load(folder.plan_path(key))
        assert stored.delivery is not None
        assert stored.delivery.parts == 2
        assert delivered == stored.summary()["delivered"] == plan_handed_over(record)["delivered"]
        assert delivered is not None
        assert delivered["violations"] == 0
        assert delivered["robustness"] is not None
        assert len(delivered["robustness"]["scores"]) == 11
        within = [step["delivered"] for step in record["steps"][:-1]]  # the budget's last is judged as one handed over
        assert all(each is None or each["robustness"] is None for each in within)
        assert delivered["score"] == stored.evaluation.score == plan_handed_over(record)["score"]
        assert delivered["mu"] == pytest.approx(stored.delivery.monitor_units)
        assert [plan_handed_over(record)] == list(plans_that_count(record))
        assert folder.apertures_path(key).exists() == each
    scores = frames.plan_scores(folder.records.values()).set_index("method")["score"]
    delivered = folder.records[KEY]["delivered"]
    assert delivered is not None
    assert scores["template"] == (0 if delivered["screened"] is False else delivered["score"])


@pytest.mark.slow
def test_every_plan_is_confirmed_and_tampered_apertures_are_not(
    folder: RunFolder, in_this_process: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert validation.validate(folder.path) == 0, capsys.readouterr().out
    path = folder.plan_path(KEY)
    plan = Plan.load(path)
    assert plan.delivery is not None
    more = replace(plan.delivery, apertures=plan.delivery.apertures.scaled(1.01))
    replace(plan, delivery=more).save(path)
    assert validation.validate(folder.path) == 1
    assert "seed 0, solve 1: plan handed over: " in capsys.readouterr().out
    fewer = replace(plan.delivery, fractions=2 * plan.delivery.fractions)
    replace(plan, delivery=fewer).save(path)
    assert validation.validate(folder.path) == 1
    assert "fractions do not fit" in capsys.readouterr().out


@pytest.mark.slow
def test_apertures_of_solves_are_replayed(
    play: Callable[..., Path], in_this_process: None, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = read_run_folder(play("each"))
    path = folder.apertures_path(KEY)
    (held,) = apertures.load(path)
    wide = replace(held.apertures, right_mm=held.apertures.right_mm + 1.0)
    apertures.save(path, [replace(held, apertures=wide)])
    assert validation.validate(folder.path) == 1
    assert "its apertures are not those of the solve" in capsys.readouterr().out
    other = replace(held, machine=replace(held.machine, leaf_speed_mm_per_s=100.0))
    apertures.save(path, [other])
    assert validation.validate(folder.path) == 1
    assert "its machine is another millennium120 than the run's" in capsys.readouterr().out
    path.unlink()
    assert validation.validate(folder.path) == 1
    assert "seed_0.npz is missing" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["final"], indirect=True)
def test_the_report_leads_with_what_is_delivered(folder: RunFolder) -> None:
    text = report.write(folder, {})
    assert text.index("Delivered plans: step-and-shoot, machine millennium120") < text.index("Overview")
    assert "delivered score (IQM)" in text
    assert "no machine" not in text
    html = (folder.path / "report.html").read_text(encoding="utf-8")
    assert 'id="table-delivery"' in html
    assert "Fluences are ideal" not in html
    assert "--technique step-and-shoot" in html


@pytest.mark.parametrize("folder", ["final"], indirect=True)
def test_a_run_is_continued_and_another_technique_refused(folder: RunFolder) -> None:
    settings = folder.settings
    assert Settings.from_json(settings.to_json(), settings.protocol, machine_named("millennium120")) == settings
    with open_run_folder(folder.path, settings) as again:
        assert not again.todo()
    assert settings.delivery is not None
    slower = replace(settings.delivery.chosen_machine, leaf_speed_mm_per_s=20.0)
    for other in (None, DeliverySettings("vmat"), replace(settings.delivery, machine=slower)):
        with (
            pytest.raises(RunFolderError, match="delivery"),
            open_run_folder(folder.path, replace(settings, delivery=other)),
        ):
            pass


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["each"], indirect=True)
def test_a_machine_that_was_exchanged_is_refused(folder: RunFolder) -> None:
    machine = machine_named("millennium120")
    (folder.path / "machine.yaml").write_text(replace(machine, leaf_span_mm=200.0).to_yaml())
    with pytest.raises(RunFolderError, match="not the machine"):
        read_run_folder(folder.path)


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["each"], indirect=True)
def test_parts_are_merged_with_their_apertures(
    folder: RunFolder, tmp_path: Path, in_this_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merge.report, "write", lambda folder, left_out, *, draw: "")
    parts = []
    for agent in folder.settings.agents:
        path = shutil.copytree(folder.path, tmp_path / agent)
        for name in ("run.json", "episodes.jsonl"):
            (path / name).unlink()
        once = ("template",) if agent == "template" else ()
        with open_run_folder(path, replace(folder.settings, agents=(agent,), deterministic=once)) as part:
            for key in part.settings.episodes():
                part.append(folder.records[key])
        parts.append(path)
    assert merge.merge(parts, tmp_path / "whole") == 0
    assert validation.validate(tmp_path / "whole") == 0


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["final"], indirect=True)
def test_delivered_plans_are_scored_anew_as_they_are(
    folder: RunFolder, tmp_path: Path, in_this_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rescoring.report, "write", lambda folder, left_out: "")
    assert rescoring.rescore(folder.path, tmp_path / "anew", scorecard="v1") == 0
    anew = read_run_folder(tmp_path / "anew")
    assert validation.validate(anew.path) == 0
    found, was = anew.records[KEY]["delivered"], folder.records[KEY]["delivered"]
    assert found is not None
    assert was is not None
    assert found["mu"] == was["mu"]
    with pytest.raises(RunFolderError, match="70 Gy in 35 fractions"):
        rescoring.rescore(folder.path, tmp_path / "other", protocol=load_protocol("prostate"))


def test_what_is_asked_for_is_recorded_and_repeated(tmp_path: Path) -> None:
    assert get_args(Technique) == ("none", *TECHNIQUES)
    own = tmp_path / "own.yaml"
    own.write_text(replace(machine_named("millennium120"), name="own", leaf_speed_mm_per_s=20.0).to_yaml())
    options = CompareOptions(agents=("template",), cases=("1",), technique="vmat", arcs=2, machine=str(own))
    asked = settings_of(options)
    assert asked.delivery is not None
    assert asked.to_json()["delivery"] == {
        "technique": "vmat",
        "machine": "own",
        "digest": asked.delivery.chosen_machine.digest,
        "arcs": 2,
        "deliver": "each",
    }
    assert "--technique vmat --deliver each --machine DIR/machine.yaml --arcs 2" in command(asked)
    assert settings_of(replace(options, technique="none", arcs=1, machine="millennium120")).delivery is None
    assert different_settings(asked.to_json(), settings_of(replace(options, arcs=1)).to_json()) == [
        "delivery.arcs was 2, now 1"
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"arcs": 2}, "--arcs: without effect with --technique none"),
        ({"technique": "step-and-shoot", "arcs": 2}, "--arcs: without effect with --technique step-and-shoot"),
        ({"technique": "vmat", "arcs": 3}, "collimator angles for 1 to 2, got 3"),
        ({"technique": "vmat", "machine": "halcyon"}, "--machine: unknown machine 'halcyon'"),
    ],
)
def test_what_does_not_go_together_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        settings_of(replace(CompareOptions(agents=("template",), cases=("1",)), **changes))


def test_a_target_that_does_not_fit_is_left_out_before_anyone_plans(play: Callable[..., Path], tmp_path: Path) -> None:
    settings = read_run_folder(play("final")).settings
    assert settings.delivery is not None
    small = replace(settings.delivery.chosen_machine, leaf_span_mm=5.0)
    with pytest.raises(ValueError, match="uncover 10 mm at most"):
        runner.prepare(replace(settings, delivery=replace(settings.delivery, machine=small)), CASE, tmp_path / "x.json")


@pytest.mark.slow
def test_an_arc_is_delivered_in_the_end(play: Callable[..., Path], tmp_path: Path, in_this_process: None) -> None:
    settings = replace(read_run_folder(play("final")).settings, agents=("template",), deterministic=("template",))
    settings = replace(settings, delivery=DeliverySettings("vmat", when="final"))
    with open_run_folder(tmp_path / "arc", settings) as folder:
        runner.prepare(settings, CASE, folder.case_path(CASE))
        folder.append({**runner.play(folder, KEY), "command": "python compare.py"})
    (record,) = folder.records.values()
    assert json.loads(json.dumps(record["delivered"]))["arcs"] == 1
    assert validation.validate(folder.path) == 0
    assert np.isfinite(plan_handed_over(record)["score"])
