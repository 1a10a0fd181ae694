"""Episodes: what is recorded is what was planned, and no episode depends on another."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import odd_agents
import pydicom
import pytest
import yaml

import radplan_env
from radplan_env.planning import Plan
from radplan_experiments.auditing.replay import judged_again
from radplan_experiments.cohort import UsageError
from radplan_experiments.commands import export
from radplan_experiments.options import RunOptions
from radplan_experiments.recording import fluences, ranking
from radplan_experiments.recording.run_folder import RunFolder, open_run_folder
from radplan_experiments.recording.settings import Settings
from radplan_experiments.running import own_agents, runner
from radplan_experiments.running.run_settings import settings_of

CASE = "openkbp/pt_1"
PROTOCOLS = Path(radplan_env.__file__).parent / "protocols"


@pytest.fixture(scope="module")
def tiny(tiny_settings: Settings) -> Settings:
    return dataclasses.replace(tiny_settings, agents=("random", "odd_agents:Raises"))


@pytest.fixture(scope="module")
def folder(tiny: Settings, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run on one process, this one."""
    path = tmp_path_factory.mktemp("run")
    with open_run_folder(path, tiny) as folder:
        runner.prepare(tiny, CASE, folder.case_path(CASE))
        for key in folder.todo():
            folder.append(runner.play(folder, key))
    return folder


def without_time(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != "seconds"}


@pytest.mark.slow
def test_an_episode_alone_is_the_same_as_among_others(folder: RunFolder, tiny: Settings, tmp_path: Path) -> None:
    """The order of episodes does not matter: not through seeds, nor through warm starts."""
    runner._environment_of.cache_clear()
    for key in reversed(list(tiny.episodes())):
        again = runner.play(RunFolder(tmp_path, tiny), key)
        recorded = folder.records[key]
        assert again["steps"] == recorded["steps"]
        assert without_time(again).keys() == without_time(recorded).keys()


def test_the_plan_handed_over_is_stored_and_replays_to_the_recorded_numbers(folder: RunFolder, tiny: Settings) -> None:
    record = folder.records["random", CASE, 0]
    plan = Plan.load(folder.plan_path(("random", CASE, 0)))
    assert plan.evaluation.score == record["best_score"] == max(step["score"] for step in record["steps"])
    assert plan.summary() == record["steps"][record["handed_over"]]
    replayed = runner.planning_system(tiny, runner.read_case(tiny, CASE)).replay(plan)
    assert replayed.evaluation.score == pytest.approx(record["best_score"])


def test_every_plan_can_be_had_again_from_its_fluence(folder: RunFolder, tiny: Settings) -> None:
    """Those that were not handed over too, to the last digit."""
    key = ("random", CASE, 0)
    system = runner.planning_system(tiny, runner.read_case(tiny, CASE))
    solved = fluences.load(folder.fluences_path(key))
    steps = folder.records[key]["steps"]
    assert [judged_again(system, step, x).summary() for step, x in zip(steps, solved, strict=True)] == steps


@pytest.mark.slow
def test_a_protocol_of_ones_own_plans_and_judges(tiny: Settings, tiny_openkbp: Path, tmp_path: Path) -> None:
    """Other criteria and other start weights, from the file that --protocol names."""
    own = yaml.safe_load((PROTOCOLS / "head_and_neck.yaml").read_text())
    own["name"] = "our clinic"
    own["targets"][0]["start_weight"] *= 2
    own["criteria"] = own["criteria"][:3]
    file = tmp_path / "ours.yaml"
    file.write_text(yaml.safe_dump(own))
    args = RunOptions(
        site="head-and-neck", protocol=file, data=(tiny_openkbp,), split="test", cases=tiny.cases, agents=("template",)
    )
    settings = settings_of(args)
    assert settings.protocol_digest != tiny.protocol_digest
    (step,) = runner.play(RunFolder(tmp_path / "run", settings), ("template", CASE, 0))["steps"]
    assert len(step["criteria"]) <= 3
    primary = own["targets"][0]
    assert step["parameters"][primary["structure"]]["weight"] == primary["start_weight"]
    with pytest.raises(UsageError, match=r"--protocol: .*missing\.yaml"):
        settings_of(dataclasses.replace(args, protocol=tmp_path / "missing.yaml"))


def test_a_plan_that_meets_the_protocol_is_handed_over_before_one_of_a_better_score() -> None:
    def steps(*judged: tuple[bool, float]) -> list[dict[str, Any]]:
        return [{"met": met, "score": score} for met, score in judged]

    assert ranking.handed_over(steps((False, 90), (False, 95), (False, 80))) == 1
    assert ranking.handed_over(steps((False, 97), (True, 96))) == 1
    assert ranking.handed_over([]) is None


def test_an_agent_that_raises_leaves_the_plans_it_made(folder: RunFolder) -> None:
    key = ("odd_agents:Raises", CASE, 0)
    record = folder.records[key]
    assert record["status"] == "failed"
    assert record["error"]["message"] == "RuntimeError: no idea what to do next"
    assert "odd_agents.py" in record["error"]["traceback"]
    assert place_of(record) == 'raise RuntimeError("no idea what to do next")'
    assert len(record["steps"]) == 1
    assert Plan.load(folder.plan_path(key)).evaluation.score == record["best_score"]


@pytest.mark.slow
def test_what_an_agent_tells_is_recorded_and_must_be_plain_data(tiny: Settings, tmp_path: Path) -> None:
    bare = RunFolder(tmp_path, tiny)
    told = runner.play(bare, ("odd_agents:Tells", CASE, 0))
    assert (told["status"], told["agent_record"]) == ("complete", {"training_solves": 4000, "faults": ["none"]})
    silent = runner.play(bare, ("random", CASE, 0))
    assert silent["agent_record"] is None
    nonsense = runner.play(bare, ("odd_agents:TellsNonsense", CASE, 0))
    assert (nonsense["status"], nonsense["agent_record"]) == ("failed", None)
    assert "JSON" in nonsense["error"]["message"]
    a_list = runner.play(bare, ("odd_agents:TellsAList", CASE, 0))
    assert a_list["error"]["message"] == "TypeError: record() of an agent returns a dict or None, not [1, 2]"


def test_a_failure_says_where_in_the_agents_own_file(tiny: Settings, tmp_path: Path) -> None:
    """Also of an agent that cannot be built; not where it is the environment that refuses."""
    bare = RunFolder(tmp_path, tiny)
    assert place_of(runner.play(bare, ("odd_agents:Unbuildable", CASE, 0))) == 'raise KeyError("weights.npz")'
    refused = runner.play(bare, ("odd_agents:Nonsense", CASE, 0))
    assert (refused["status"], refused["error"]["at"]) == ("failed", None)


def place_of(record: dict[str, Any]) -> str:
    """The line of odd_agents.py that a failed episode's record names."""
    name, number = record["error"]["at"].split(", line ")
    assert name == "odd_agents.py"
    return Path(odd_agents.__file__).read_text().splitlines()[int(number) - 1].strip()


def test_the_code_of_an_agent_of_ones_own_is_recorded(folder: RunFolder) -> None:
    digest = hashlib.sha256(Path(odd_agents.__file__).read_bytes()).hexdigest()
    assert folder.records["odd_agents:Raises", CASE, 0]["agent_source"] == digest
    assert folder.records["random", CASE, 0]["agent_source"] is None
    assert own_agents.present_digests(folder.settings) == {"odd_agents:Raises": digest}


def test_solves_behind_the_environments_back_are_a_failure(tiny: Settings, tmp_path: Path) -> None:
    record = runner.play(RunFolder(tmp_path, tiny), ("odd_agents:BehindTheBack", CASE, 0))
    assert record["status"] == "failed"
    assert "2 solves behind the environment's back" in record["error"]["message"]


def test_seeds_are_stable_and_differ() -> None:
    """Written down once: the same on every machine, Python and process."""
    assert runner.seeds_of(("random", "synthetic/test/0", 0)) == (2803329268, 4205286534)
    keys = [(agent, f"case/{case}", seed) for agent in "ab" for case in range(20) for seed in range(20)]
    assert len({runner.seeds_of(key) for key in keys}) == len(keys)


def test_reference_plan_is_judged_before_anyone_plans(folder: RunFolder) -> None:
    from radplan_experiments.reporting.report import read_references

    reference = read_references(folder)[CASE]
    assert (
        70 <= reference["metrics"]["PTV_7000"]["mean"] < 71.1
    )  # scaled to D95 = 70 Gy; the tiny patients' reference dose
    assert {"score", "met", "metrics", "criteria", "dvh"} <= reference.keys()


def test_a_stored_plan_is_exported_as_dicom(
    folder: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan_path = folder.plan_path(("random", CASE, 0))
    out = tmp_path / "dicom"
    assert export.main([str(plan_path), "--out", str(out)]) == 0
    dose = pydicom.dcmread(out / "RTDOSE.dcm")
    largest = dose.pixel_array.max() * float(dose.DoseGridScaling)
    assert largest == pytest.approx(float(Plan.load(plan_path).dose_gy.max()), rel=1e-5)
    structures = pydicom.dcmread(out / "RTSTRUCT.dcm").StructureSetROISequence
    assert {"PTV_7000", "SpinalCord"} <= {structure.ROIName for structure in structures}
    assert export.main([str(plan_path), "--out", str(out)]) == 2
    assert "is not empty" in capsys.readouterr().err


def test_an_export_that_fails_leaves_nothing(
    folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("radplan_env.export.export_rtdose", full)
    plan_path = folder.plan_path(("random", CASE, 0))
    assert export.main([str(plan_path), "--out", str(tmp_path / "dicom")]) == 1
    assert list(tmp_path.iterdir()) == []


def test_export_refuses_what_is_no_plan_of_a_run(
    folder: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stray = tmp_path / "stray.npz"
    stray.write_bytes(folder.plan_path(("random", CASE, 0)).read_bytes())
    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes(stray.read_bytes()[:500])
    expected = {stray: "no run.json", damaged: "not a whole plan", tmp_path / "missing.npz": "no plan"}
    for path, message in expected.items():
        assert export.main([str(path), "--out", str(tmp_path / "dicom")]) == 2
        assert message in capsys.readouterr().err
