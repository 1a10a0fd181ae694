"""The console as TRL's trainer takes it: tools by introspection, a reward that tells plans apart."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from typing import get_type_hints

import numpy as np
import pytest

from radplan_env import Case, RadPlanEnv
from radplan_env.console import TOOLS, ToolError
from radplan_env.influence import Fidelity
from radplan_env.integrations.trl import NO_PLAN, PlanningEnvironment

COARSE = Fidelity("coarse", dose_grid_mm=10.0, bixel_mm=15.0)


@pytest.fixture(scope="module")
def env(box_case: Case) -> Iterator[RadPlanEnv]:
    env = RadPlanEnv(cases=[box_case], budget=1, fidelity=COARSE, gantry_angles_deg=(0, 120, 240), progress=False)
    yield env
    env.close()


def test_every_tool_has_a_signature_and_a_docstring_that_names_its_arguments() -> None:
    members = inspect.getmembers(PlanningEnvironment, predicate=inspect.isfunction)
    tools = {name: member for name, member in members if not name.startswith("_")}
    assert {*tools} - {"reset", "get_reward"} == {*TOOLS} - {"task", "slice_image"}
    for name in {*tools} & {*TOOLS}:
        parameters = list(inspect.signature(tools[name]).parameters)[1:]
        assert parameters == list(TOOLS[name].arguments.model_fields)
        assert {*get_type_hints(tools[name])} == {*parameters, "return"}
        for parameter in parameters:
            assert f"\n    {parameter}: " in (tools[name].__doc__ or "")


@pytest.mark.slow
def test_eight_naive_proposals_never_tie(env: RadPlanEnv, box_case: Case) -> None:
    rng, rewards = np.random.default_rng(0), []
    for _ in range(8):
        rollout = PlanningEnvironment(env.sibling())
        told = json.loads(rollout.reset(prompt="Plan.", case=box_case.id if rewards else None, seed=0))
        assert rollout.get_reward() == NO_PLAN
        weights = {
            name: float(low * (high / low) ** rng.uniform())
            for name, each in told["structures"].items()
            for low, high in [each["weight_range"]]
        }
        answer = json.loads(rollout.plan(weights=weights))  # type: ignore[attr-defined]
        assert answer["solves_left"] == 0
        rewards.append(rollout.get_reward())
    assert len({round(reward, 6) for reward in rewards}) == 8 and min(rewards) > NO_PLAN


def test_what_cannot_be_done_is_raised_for_the_model_to_read(env: RadPlanEnv) -> None:
    rollout = PlanningEnvironment(env.sibling())
    rollout.reset(seed=0)
    with pytest.raises(ToolError, match="Moon"):
        rollout.plan(weights={"Moon": 1.0})  # type: ignore[attr-defined]


def test_transformers_reads_the_tools(env: RadPlanEnv) -> None:
    utils = pytest.importorskip("transformers.utils")
    rollout = PlanningEnvironment(env.sibling())
    for name in {*TOOLS} - {"task", "slice_image"}:
        schema = utils.get_json_schema(getattr(rollout, name))["function"]["parameters"]
        assert set(schema["properties"]) == set(TOOLS[name].arguments.model_fields)
