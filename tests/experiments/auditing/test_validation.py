"""A results folder is confirmed as it was written, and every kind of tampering is found and named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from radplan_env.case import Case
from radplan_env.planning import Plan, PlanningSystem
from radplan_experiments.auditing import replay, validation
from radplan_experiments.recording import fluences
from radplan_experiments.recording.run_folder import RunFolderError
from radplan_experiments.recording.settings import Settings
from radplan_experiments.running import runner

read_case = lru_cache(runner.read_case)

Record = dict[str, Any]
Validate = Callable[..., str]

KEY = ("random", "openkbp/pt_1", 1)
PLANS = 1 + 2 * 2 + 1 + 1
"""Template, two episodes of random search, the failed agent's one plan, the reference plan."""


@pytest.fixture
def folder(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy of the first patient's episodes, to tamper with."""
    folder = shutil.copytree(tiny_run, tmp_path / "run")
    lines = (folder / "episodes.jsonl").read_text().splitlines(keepends=True)
    (folder / "episodes.jsonl").write_text("".join(line for line in lines if KEY[1] in line))
    return folder


@pytest.fixture(scope="module")
def planning_system() -> Callable[[Settings, Case], PlanningSystem]:
    """`runner.planning_system`, that makes the system of a case once."""
    systems: dict[str, PlanningSystem] = {}

    def planning_system(settings: Settings, case: Case) -> PlanningSystem:
        if case.digest() not in systems:
            systems[case.digest()] = runner.planning_system(settings, case)
        return systems[case.digest()]

    return planning_system


@pytest.fixture(scope="module")
def judged_again() -> Callable[..., Plan]:
    """`replay.judged_again`, that judges what no test has changed once."""
    plans: dict[tuple[str, bytes], Plan] = {}

    def judged_again(system: PlanningSystem, step: Record, fluence: Any, delivery: Any) -> Plan:
        asked = json.dumps(step), fluence.tobytes()
        if asked not in plans:
            plans[asked] = genuine(system, step, fluence, delivery)
        return plans[asked]

    genuine = replay.judged_again
    return judged_again


@pytest.fixture
def validate(
    folder: Path,
    planning_system: Callable[..., PlanningSystem],
    judged_again: Callable[..., Plan],
    in_this_process: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Validate:
    """What is found; exit code and last line are held against how many plans should be confirmed."""
    monkeypatch.setattr(replay, "planning_system", planning_system)
    monkeypatch.setattr(replay, "read_case", read_case)
    monkeypatch.setattr(replay, "judged_again", judged_again)

    def validate(confirmed: int, plans: int = PLANS) -> str:
        capsys.readouterr()
        code = validation.validate(folder)
        *findings, last = capsys.readouterr().out.splitlines()
        assert last == f"validated: {confirmed} of {plans} plans confirmed"
        assert code == (0 if confirmed == plans else 1)
        return "\n".join(findings)

    return validate


def edit(folder: Path, change: Callable[[Record], None], key: tuple[str, str, int] = KEY) -> None:
    """Change an episode's record."""
    file = folder / "episodes.jsonl"
    records = [json.loads(line) for line in file.read_text().splitlines()]
    (record,) = [r for r in records if (r["agent"], r["case"], r["seed"]) == key]
    change(record)
    file.write_text("".join(json.dumps(record) + "\n" for record in records))


def path_of(folder: Path, kind: str) -> Path:
    return folder / kind / "random" / "openkbp-pt_1" / "seed_1.npz"


@pytest.mark.slow
def test_a_run_is_confirmed_as_it_was_written(validate: Validate, folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert validate(PLANS) == ""
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_a_run_is_confirmed_on_several_processes(tiny_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert validation.validate(tiny_run, jobs=2) == 0
    assert capsys.readouterr().out == f"validated: {2 * PLANS} of {2 * PLANS} plans confirmed\n"


def test_the_least_change_of_a_score_is_found(validate: Validate, folder: Path) -> None:
    def change(record: Record) -> None:
        worst = min(record["steps"], key=lambda step: step["score"])
        worst["score"] -= 0.001
        record.update(runner.outcome(record["steps"]))

    edit(folder, change)
    found = validate(PLANS - 1)
    assert "random, openkbp/pt_1, seed 1, solve " in found and ": score was " in found


def test_a_better_score_does_not_agree_with_the_episode_either(validate: Validate, folder: Path) -> None:
    edit(folder, lambda record: record["steps"][0].update(score=99.0))
    found = validate(PLANS - 2)
    assert "seed 1, solve 1: score was 99, is " in found
    assert "seed 1: best_score was " in found


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda r: r["steps"][0]["metrics"]["SpinalCord"].update(mean=1.0), "metrics.SpinalCord.mean was 1, is "),
        (lambda r: r["steps"][0]["criteria"][0].update(passed=None), ".passed was None, is "),
        (lambda r: r["steps"][0]["criteria"].pop(), ".limit was absent, is "),
        (lambda r: r["steps"][0]["terms"].update(Beauty={"points": 5.0}), "terms.Beauty.points was 5, is absent"),
        (lambda r: r["steps"][0]["parameters"]["PTV_7000"].update(weight=3.0), "objective was "),
        (lambda r: r["steps"][0]["parameters"].pop("PTV_7000"), "cannot be replayed"),
        (lambda r: r["steps"][0].update(case="openkbp/pt_2"), "does not fit openkbp/pt_1"),
        (
            lambda r: r["steps"][0].update(gantry_angles_deg=[0.0], collimator_angles_deg=[0.0]),
            "give 9 gantry angles, as many as there are beams, not 1",
        ),
        (lambda r: r["steps"][0].update(collimator_angles_deg=[0.0] * 3), "3 collimator angles for 9 beams"),
        (lambda r: r["steps"][0].update(own_rows_score=99.0), "own_rows_score was 99, is "),
        (lambda r: r["steps"][0].update(scaled_by=1.0), "scaled_by was 1, is "),
        (lambda r: r["steps"][0].update(verdict="sampled"), "verdict was sampled, is full"),
        (lambda r: r["steps"][0].update(reasons=["cold"]), "reasons"),
    ],
)
def test_what_is_said_of_a_plan_is_held_against_its_fluence(
    validate: Validate, folder: Path, change: Callable[[Record], None], found: str
) -> None:
    edit(folder, change)
    text = validate(PLANS - 1)
    assert text.startswith("random, openkbp/pt_1, seed 1, solve 1: ") and found in text


@pytest.mark.parametrize(
    ("change", "plans", "found"),
    [
        (lambda r: r.update(best_score=99.0), 2, "best_score was 99, is "),
        (lambda r: r.update(final_score=99.0), 2, "final_score was 99, is "),
        (lambda r: r.update(handed_over=1 - r["handed_over"]), 2, "handed_over was "),
        (lambda r: r.update(budget=3), 2, "budget was 3, is 2"),
        (lambda r: r.update(error={"message": "boom"}), 2, "complete, but with an error"),
        (lambda r: r.update(steps=[*r["steps"], r["steps"][0]]), 3, "3 solves, of a budget of 2"),
        (lambda r: r.update(steps=[]), 1, "complete, but with an error or without a plan"),
        (lambda r: r.update(steps="none"), 1, "the record is damaged"),
        (lambda r: r.pop("best_score"), 2, "the record is damaged"),
        (lambda r: r.update(versions="none", handed_over="best"), 2, "handed_over was best"),
    ],
)
def test_what_is_said_of_an_episode_follows_from_its_plans(
    validate: Validate, folder: Path, change: Callable[[Record], None], plans: int, found: str
) -> None:
    """One that does not leaves none of the episode's plans confirmed."""
    edit(folder, change)
    assert found in validate(PLANS - 2, PLANS - 2 + plans)


@pytest.mark.parametrize(
    ("change", "wrong", "found"),
    [
        (lambda solved: [solved[0] * np.linspace(0.5, 1.5, solved[0].size), solved[1]], 1, "solve 1: score was "),
        (lambda solved: [solved[0] * 1.01, solved[1]], 1, "scaled_by was "),
        (lambda solved: [solved[1], solved[0]], 2, "solve 2: "),
        (lambda solved: [solved[0], -solved[1]], 1, "nowhere negative"),
        (lambda solved: [solved[0], np.full_like(solved[1], np.nan)], 1, "must be finite"),
        (lambda solved: [solved[0][1:], solved[1]], 1, "does not fit"),
        (lambda solved: solved[:1], 2, "holds 1 fluences, the record 2 solves"),
    ],
)
def test_another_fluence_is_found(
    validate: Validate, folder: Path, change: Callable[[list[Any]], list[Any]], wrong: int, found: str
) -> None:
    path = path_of(folder, "fluences")
    fluences.save(path, change(fluences.load(path)))
    assert found in validate(PLANS - wrong)


def damage_plan(path: Path) -> None:
    """The dose of the plan is no longer that of its fluence, as if a cold spot had been painted over."""
    with np.load(path) as file:
        content = dict(file)
    content["ideal_dose_gy"] = np.maximum(content["ideal_dose_gy"], 1.0)
    np.savez_compressed(path, **content)


@pytest.mark.parametrize(
    ("kind", "damage", "wrong", "found"),
    [
        ("plans", Path.unlink, 1, "seed_1.npz is missing"),
        ("plans", lambda path: path.write_bytes(path.read_bytes()[:-100]), 1, "seed_1.npz is damaged"),
        ("plans", damage_plan, 1, "its dose is not that of its fluence"),
        ("fluences", Path.unlink, 2, "seed_1.npz is missing"),
        ("fluences", lambda path: path.write_bytes(path.read_bytes()[:-100]), 2, "seed_1.npz is damaged"),
        ("fluences", lambda path: path.write_bytes(b""), 2, "seed_1.npz is damaged"),
    ],
)
def test_missing_and_damaged_files_are_named(
    validate: Validate, folder: Path, kind: str, damage: Callable[[Path], Any], wrong: int, found: str
) -> None:
    damage(path_of(folder, kind))
    assert found in validate(PLANS - wrong)


def test_another_plan_under_the_name_is_found(validate: Validate, folder: Path) -> None:
    shutil.copyfile(path_of(folder, "plans").with_name("seed_0.npz"), path_of(folder, "plans"))
    assert "plan handed over: " in validate(PLANS - 1)


def test_another_comparison_with_the_reference_plan_is_found(validate: Validate, folder: Path) -> None:
    edit(folder, lambda record: record["against_reference"]["ours"].update({"SpinalCord mean": 1.0}))
    assert "against_reference.ours.SpinalCord mean was 1, is " in validate(PLANS - 1)


def test_another_patient_is_found(validate: Validate, folder: Path) -> None:
    path = folder / "cases" / "openkbp-pt_1.json"
    path.write_text(path.read_text().replace('"digest": "', '"digest": "0'))
    found = validate(0, PLANS - 1)  # what is another case has no reference plan to confirm
    assert "openkbp/pt_1: the case is not the one that was planned" in found


def test_another_reference_plan_is_found(validate: Validate, folder: Path) -> None:
    path = folder / "cases" / "openkbp-pt_1.json"
    facts = json.loads(path.read_text())
    facts["reference"]["score"] -= 1
    path.write_text(json.dumps(facts))
    assert "openkbp/pt_1, reference plan: reference.score was " in validate(PLANS - 1)


def test_a_case_without_its_file_is_not_confirmed(validate: Validate, folder: Path) -> None:
    (folder / "cases" / "openkbp-pt_1.json").unlink()
    assert "openkbp-pt_1.json cannot be read" in validate(0, PLANS - 1)


def test_data_may_have_moved(validate: Validate, folder: Path, tiny_openkbp: Path, tmp_path: Path) -> None:
    run = json.loads((folder / "run.json").read_text())
    run["settings"]["data"] = [str(tmp_path / "moved")]
    (folder / "run.json").write_text(json.dumps(run))
    assert "there is no" in validate(0, PLANS - 1)
    assert validation.validate(folder, data=[tiny_openkbp]) == 0


def test_lines_that_are_no_episodes_count_as_not_confirmed(validate: Validate, folder: Path) -> None:
    with (folder / "episodes.jsonl").open("ab") as file:
        file.write(b'{"schema": 1, "agent": "rand')
    assert "1 lines are no episodes of this run" in validate(PLANS, PLANS + 1)


def test_nothing_recorded_is_nothing_confirmed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "episodes.jsonl").unlink()
    assert validation.validate(folder) == 1
    assert capsys.readouterr().out == "validated: 0 of 0 plans confirmed\n"


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="run.json"):
        validation.validate(tmp_path)


def test_numbers_may_differ_in_their_last_digits_only() -> None:
    assert validation.differences({"a": [70.2, True]}, {"a": [70.20001, True]}) == []
    assert validation.differences({"a": [70.2, True]}, {"a": [70.201, 1]}) == [
        "a.0 was 70.2, is 70.201",
        "a.1 was True, is 1",
    ]
    assert validation.differences({"V31Gy": 0.0}, {"V31Gy": 1e-7}) == []
    assert validation.differences({"error": None, "a": 1}, {"a": 1, "b": {}}) == [
        "error was None, is absent",
        "b was absent, is {}",
    ]
