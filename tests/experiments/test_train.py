"""Training: killed and continued, the same again from the same seed, never on cases it is judged by."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from stable_baselines3 import PPO

from radplan_agents import make_agent
from radplan_agents.reinforcement import ALGORITHMS, shipped
from radplan_env import Case, RadPlanEnv
from radplan_env.influence import Fidelity
from radplan_env.protocol import load_protocol
from radplan_env.sites import SITES
from radplan_env.sources import synthetic
from radplan_experiments.cohort import UsageError
from radplan_experiments.commands import train
from radplan_experiments.options import TrainOptions
from radplan_experiments.training import curves
from radplan_experiments.training.checkpoint import Progress, resume
from radplan_experiments.training.command import install
from radplan_experiments.training.environments import training_environments
from radplan_experiments.training.hyperparameters import Hyperparameters, load_hyperparameters
from radplan_experiments.training.loop import train as train_policy
from radplan_experiments.training.setup import Setup, setup_of
from radplan_experiments.training.validation import Validation

COARSE = Fidelity("coarse", dose_grid_mm=10.0, bixel_mm=15.0)
ARGUMENTS: dict[str, dict[str, Any]] = {
    "ppo": {"n_steps": 4, "batch_size": 8, "n_epochs": 1},
    "sac": {"buffer_size": 100, "learning_starts": 4, "batch_size": 8},
    "dqn": {"buffer_size": 100, "learning_starts": 4, "batch_size": 8, "train_freq": 1},
}


def setup(case: Case, algorithm: str, **changed: Any) -> Setup:
    environment = {"relative_step": 0.2, "budget": 3, "fidelity": COARSE}
    chosen: dict[str, Any] = {
        "algorithm": algorithm,
        "environment": "RadPlan/Prostate-v0",
        "protocol": load_protocol("prostate"),
        "training": [replace(case, id=f"box/{number}") for number in range(2)],
        "validation": [replace(case, id="box/held out")],
        "cases": "boxes",
        "hyperparameters": Hyperparameters.model_validate(
            {"environment": environment, "network": [8], "arguments": ARGUMENTS[algorithm]}
        ),
        "parallel": 2,
        "evaluated": {"fidelity": COARSE},
    }
    return Setup(**{**chosen, **changed})


def trained(wanted: Setup, folder: Path, solves: int = 16) -> dict[str, Any]:
    return train_policy(wanted, folder, solves=solves, interval=8, command="python experiments/train.py")


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_training_that_was_killed_goes_on(
    algorithm: str, box_case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, evaluate, solves_before = setup(box_case, algorithm), Validation.__call__, []

    def dies_the_second_time(self: Validation, policy: Any) -> Any:
        solves_before.append(policy.model.num_timesteps)
        if len(solves_before) == 2:
            raise MemoryError
        return evaluate(self, policy)

    with monkeypatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr(Validation, "__call__", dies_the_second_time)
        trained(wanted, tmp_path)
    assert solves_before == [8, 16]
    half = json.loads((tmp_path / "policy.json").read_text())
    whole = trained(wanted, tmp_path)

    assert [point["solves"] for point in whole["curve"]] == [8, 16]
    assert whole["curve"][0] == half["curve"][0]
    assert whole["solves_of_the_policy"] == 16
    assert whole["solves"] == 16 + whole["solves_for_start_plans"]
    assert whole["solves_for_validation"] == 2 * 3
    assert whole["best"] == max(whole["curve"], key=lambda point: point["score"])
    if algorithm != "ppo":  # what was learnt from before the kill is still there
        _, progress, model = reopened(wanted, tmp_path)
        assert progress.steps == 16
        assert model.replay_buffer.size() * 2 == 16
    assert whole["resumed_at"] == [8]
    assert trained(wanted, tmp_path) == whole  # nothing left to do

    env = RadPlanEnv(cases=[box_case], fidelity=COARSE, budget=3, progress=False)
    agent = make_agent(algorithm, env, policy=tmp_path / "policy.zip")
    observation, info = env.reset(seed=0)
    agent.reset(observation, info)
    assert agent.act(observation, info) in env.action_space


def reopened(wanted: Setup, folder: Path) -> tuple[Any, Progress, Any]:
    envs, _ = training_environments(wanted)
    model, progress = resume(wanted, envs, folder / "checkpoint.zip", None)
    return envs, progress, model


@pytest.mark.slow
def test_the_same_seed_trains_the_same_policy(box_case: Case, tmp_path: Path) -> None:
    first, again, other = (
        trained(setup(box_case, "ppo", seed=seed), tmp_path / name) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert first["curve"] == again["curve"] and other["curve"]
    weights = [PPO.load(tmp_path / name / "policy.zip").policy.action_net.weight for name in ("a", "b", "c")]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


@pytest.mark.slow
def test_a_folder_belongs_to_one_training(box_case: Case, tmp_path: Path) -> None:
    trained(setup(box_case, "ppo"), tmp_path, solves=8)
    with pytest.raises(UsageError, match="seed"):
        trained(setup(box_case, "ppo", seed=5), tmp_path, solves=8)


def test_cases_to_judge_by_are_not_trained_on(box_case: Case) -> None:
    with pytest.raises(ValueError, match="phantom/pelvis"):
        setup(box_case, "ppo", training=[box_case], validation=[box_case])


def test_synthetic_training_never_meets_a_validation_or_test_case() -> None:
    cases = setup_of(TrainOptions(validation_cases=1)).training
    held_out = [*synthetic.load("validation").ids, *synthetic.load("test").ids]
    assert not any(case_id in cases.ids for case_id in held_out)  # type: ignore[attr-defined]


def test_the_test_split_cannot_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        train.main(["--split", "test"])
    assert stop.value.code == 2
    assert "--split" in capsys.readouterr().err


def test_head_and_neck_asks_for_patients(capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main(["--site", "head-and-neck"]) == 2
    assert "--data" in capsys.readouterr().err


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("site", ["prostate", "head-and-neck"])
def test_there_are_hyperparameters_for_every_site(algorithm: str, site: str) -> None:
    load_hyperparameters(algorithm, SITES[site].environment)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("RadPlan/Prostate-v0: {network: [8], environment: {relative_step: 0.1, budget: 5}, epochs: 3}", "epochs"),
        ("RadPlan/Prostate-v0: {network: [8], environment: {relative_step: 0.1, budget: 1}}", "budget"),
        ("RadPlan/TG119-v0: {}", "no section RadPlan/Prostate-v0"),
        ("[", "not valid YAML"),
    ],
)
def test_wrong_hyperparameters_are_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ValueError, match=message):
        load_hyperparameters("ppo", "RadPlan/Prostate-v0", tmp_path / "mine.yaml")


def test_an_unknown_argument_of_the_algorithm_is_refused(box_case: Case, tmp_path: Path) -> None:
    wanted = setup(box_case, "ppo")
    wrong = wanted.hyperparameters.model_copy(update={"arguments": {"tau": 1}})
    with pytest.raises(ValueError, match="tau"):
        trained(replace(wanted, hyperparameters=wrong), tmp_path)


def test_an_installed_policy_plays_beside_the_packages(
    box_case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platformdirs.user_data_path", lambda *_: tmp_path / "data")
    wanted = setup(box_case, "ppo")
    env = RadPlanEnv(cases=[box_case], fidelity=COARSE, progress=False)
    with pytest.raises(FileNotFoundError, match="ppo:own"):
        make_agent("ppo:own", env)
    before = shipped("ppo", wanted.protocol).read_bytes()
    (tmp_path / "trained").mkdir()
    for suffix in (".zip", ".json"):
        shutil.copyfile(shipped("ppo", wanted.protocol).with_suffix(suffix), tmp_path / "trained" / f"policy{suffix}")
    assert install(wanted, tmp_path / "trained").is_relative_to(tmp_path / "data")
    assert make_agent("ppo:own", env).record() == make_agent("ppo", env).record()
    assert shipped("ppo", wanted.protocol).read_bytes() == before


@pytest.mark.slow
def test_solves_are_whole_rollouts_and_say_so(
    box_case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    account = trained(setup(box_case, "ppo"), tmp_path, solves=3)
    assert account["solves_of_the_policy"] == 8
    told = capsys.readouterr().err
    assert "3 solves become 8" in told
    assert "8/8" in told


def test_wandb_that_is_not_installed_is_asked_for(
    box_case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curves, "find_spec", lambda name: None if name == "wandb" else object())
    wanted = setup(box_case, "ppo")
    with pytest.raises(UsageError, match="pip install wandb"), curves.curves_sent("planner", wanted, tmp_path):
        raise AssertionError("training began without its curves")
