"""Policies that come with the package: they load, play in the box, draw nothing, and refuse what they do not fit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from radplan_agents import make_agent, play
from radplan_agents.reinforcement import Policy, load_policy, save_policy, shipped
from radplan_agents.reinforcement.features import PlanFeatures, spans
from radplan_agents.reinforcement.policy import SHIPPED
from radplan_env import Case, RadPlanEnv
from radplan_env.actions import ActionMap
from radplan_env.influence import Fidelity
from radplan_env.observations import ObservationMap
from radplan_env.protocol import load_protocol
from radplan_experiments.cohort import UsageError
from radplan_experiments.options import CompareOptions
from radplan_experiments.running.run_settings import settings_of
from radplan_experiments.running.runner import episode

POLICIES = sorted(path.stem for path in SHIPPED.glob("*.zip"))


@pytest.fixture
def env(box_case: Case) -> RadPlanEnv:
    return make_env(box_case)


def make_env(case: Case, **settings: Any) -> RadPlanEnv:
    fidelity = Fidelity("coarse", dose_grid_mm=10.0, bixel_mm=15.0)
    chosen = {"budget": 4, "gantry_angles_deg": (0, 120, 240), **settings}
    return RadPlanEnv(cases=[case], fidelity=fidelity, progress=False, **chosen)


@pytest.mark.parametrize(
    "algorithm", [name.removesuffix("-prostate") for name in POLICIES if name.endswith("-prostate")]
)
def test_prostate_policies_play(algorithm: str, env: RadPlanEnv, box_case: Case) -> None:
    trained = load_policy(algorithm, shipped(algorithm, env.protocol)).training
    agent = make_agent(algorithm, env)
    plans, again = (list(episode(env, agent, box_case.id, seed)) for seed in (0, 1))
    parameters = [plan.parameters for plan in plans]
    assert parameters == [plan.parameters for plan in again]
    assert parameters[0] == env.protocol.bind(box_case).start_parameters()
    assert parameters[1] != parameters[0]
    changes = np.diff([env.action_map.to_action(values) for values in parameters], axis=0)
    assert (np.abs(changes) <= trained["relative_step"] + 1e-4).all()  # parameters are rounded
    if algorithm == "dqn":
        assert (np.count_nonzero(np.abs(changes) > 1e-4, axis=1) <= 1).all()
    assert agent.record()["training_solves"] == trained["solves"] > 0  # type: ignore[attr-defined]


def test_a_policy_for_prostate_comes_with_the_package() -> None:
    assert "ppo-prostate" in POLICIES


@pytest.mark.parametrize("name", POLICIES)
def test_shipped_policies_are_small_and_say_how_they_were_made(name: str) -> None:
    account = json.loads((SHIPPED / f"{name}.json").read_text())
    assert (SHIPPED / f"{name}.zip").stat().st_size < 500_000
    assert name == shipped(account["algorithm"], load_protocol(account["protocol"])).stem
    assert f"--algorithm {account['algorithm']}" in account["command"]
    assert account["solves"] == account["solves_of_the_policy"] + account["solves_for_start_plans"]
    assert not any("test" in case for case in account["setup"]["validation"])


def test_where_there_is_no_policy_the_command_to_train_one_is_told(box_case: Case, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"train\.py --algorithm ppo --site prostate"):
        make_agent("ppo", make_env(box_case), policy=tmp_path / "mine.zip")


def test_a_missing_policy_is_told_before_anything_is_planned(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("radplan_agents.reinforcement.policy.SHIPPED", tmp_path)
    with pytest.raises(UsageError, match=r"--agents sac: no sac policy .* --algorithm sac --site prostate --install"):
        settings_of(CompareOptions(agents=("template", "sac"), out=tmp_path / "run"))


def test_without_a_policy_nobody_is_advised_by_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("radplan_agents.reinforcement.policy.SHIPPED", tmp_path)
    guided, model = "tool-planner:rl-guided", "model@http://127.0.0.1:9/v1"
    with pytest.raises(UsageError, match=rf"--agents {guided}: no ppo policy .* --algorithm ppo --site prostate"):
        settings_of(CompareOptions(agents=("template", guided), llm=model, out=tmp_path / "run"))


def test_a_policy_goes_on_from_the_smoothness_of_the_plan(env: RadPlanEnv, box_case: Case) -> None:
    unmoved = np.zeros(env.action_map.space.shape, np.float32)
    model: Any = SimpleNamespace(
        observation_space=SimpleNamespace(spaces={}), predict=lambda observation, deterministic: (unmoved, None)
    )
    agent = make_agent("ppo", env, policy=Policy(model, {"protocol": "prostate", "relative_step": 0.2}))
    observation, info = env.reset(seed=0)
    agent.reset(observation, info)
    chosen = replace(env.protocol.bind(box_case).start_parameters(), smoothness=20.0)
    observation, *_, info = env.step(chosen)  # type: ignore[arg-type]  # parameters will do
    action = agent.act(observation, info)
    assert action is not None
    assert env.action_map.to_parameters(action, chosen.structures) == chosen


def test_a_policy_of_another_protocol_or_algorithm_is_refused(
    env: RadPlanEnv, head_and_neck_case: Case, box_case: Case
) -> None:
    path = shipped("ppo", env.protocol)
    with pytest.raises(ValueError, match="trained by ppo, not by sac"):
        make_agent("sac", env, policy=path)
    other = make_env(head_and_neck_case, protocol="head_and_neck")
    with pytest.raises(ValueError, match="'prostate', not 'head_and_neck'"):
        make_agent("ppo", other, policy=path)


def test_a_damaged_policy_is_refused(env: RadPlanEnv, tmp_path: Path) -> None:
    source = shipped("ppo", env.protocol)
    (tmp_path / "policy.json").write_bytes(source.with_suffix(".json").read_bytes())
    (tmp_path / "policy.zip").write_bytes(source.read_bytes()[:1000])
    with pytest.raises(ValueError, match="not a whole ppo policy"):
        make_agent("ppo", env, policy=tmp_path / "policy.zip")


def test_a_policy_that_a_script_saved_plays_as_it_was(env: RadPlanEnv, tmp_path: Path) -> None:
    known = load_policy("ppo", shipped("ppo", env.protocol))
    path = save_policy(tmp_path / "new" / "mine.zip", known.model, env.protocol.name, known.training["relative_step"])
    plans = [
        [info["plan"]["parameters"] for info in play(make_agent("ppo", env, policy=policy), env)]
        for policy in (path, shipped("ppo", env.protocol))
    ]
    assert plans[0] == plans[1]
    with pytest.raises(ValueError, match=r"end in \.zip"):
        save_policy(tmp_path / "mine", known.model, "prostate", 0.2)


def test_relative_environments_are_refused(box_case: Case) -> None:
    with pytest.raises(ValueError, match="absolute"):
        make_agent("ppo", make_env(box_case, relative_step=0.1))


@pytest.mark.parametrize("name", ["prostate", "head_and_neck"])
def test_features_are_excesses_in_units_of_the_way_from_ideal_to_unacceptable(name: str) -> None:
    protocol = load_protocol(name)
    count, coordinates = len(protocol.criteria), len(ActionMap(protocol).names)
    features = PlanFeatures(ObservationMap(protocol, budget=5).space, spans(protocol))

    def excess(values: list[float], present: float = 1) -> Any:
        ratios = [value / criterion.limit for value, criterion in zip(values, protocol.criteria, strict=True)]
        found = features(
            {
                "criteria": torch.tensor([ratios]),
                "criteria_present": torch.full((1, count), present),
                "planning_parameters": torch.full((1, coordinates), 0.5),
            }
        )
        assert found.shape == (1, features.features_dim)
        assert (found[0, count:] == 0.5).all()
        return found[0, :count].numpy()

    ideal, bad = (excess([getattr(c, end) for c in protocol.criteria]) for end in ("ideal", "unacceptable"))
    np.testing.assert_allclose(bad - ideal, 1, atol=1e-5)
    assert (ideal < 1e-5).all() and (bad > 0).all()
    np.testing.assert_allclose(excess([c.limit for c in protocol.criteria]), 0, atol=1e-5)
    np.testing.assert_array_equal(excess([0.0] * count, present=0), -1)
