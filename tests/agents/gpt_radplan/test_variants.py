"""The arms of the ablation: each leaves out what its name says, and nothing else."""

from __future__ import annotations

from itertools import repeat
from typing import Any

import numpy as np
import pytest
from scripted_planner import answer
from small_env import small_env

from radplan_agents import REGISTRY, load_agent, make_agent
from radplan_agents.gpt_radplan import Options
from radplan_agents.gpt_radplan.variants import Variant
from radplan_agents.llm import MockClient, Request, Session
from radplan_env import Case, RadPlanEnv
from radplan_env.render.views import View, plan_views

VARIANTS = [name for name in REGISTRY if name.startswith("gpt-radplan:")]

CALLS = {
    "gpt-radplan": ["vision expert", "DVH expert", "evaluator", "planner"],
    "gpt-radplan:no-feedback": ["planner"],
    "gpt-radplan:dvh-only": ["DVH expert", "evaluator", "planner"],
    "gpt-radplan:vision-only": ["vision expert", "evaluator", "planner"],
    "gpt-radplan:joint": ["evaluator", "planner"],
    "gpt-radplan:no-memory": ["vision expert", "DVH expert", "evaluator", "planner"],
    "gpt-radplan:fixed-references": ["vision expert", "DVH expert", "evaluator", "planner"],
    "gpt-radplan:small": ["vision expert", "DVH expert", "evaluator", "planner"],
    "gpt-radplan:no-references": ["vision expert", "DVH expert", "evaluator", "planner"],
}

SEE = {"gpt-radplan:small": ["vision expert"], "gpt-radplan:dvh-only": []}
"""Who is shown pictures, where it is not all but the DVH expert."""


class Listening(Session):
    """A session that notes who asks."""

    def __init__(self, client: MockClient) -> None:
        super().__init__(client)
        self.names: list[str] = []

    def say(self, name: str, messages: Any) -> Any:
        self.names.append(name)
        return super().say(name, messages)

    def ask(self, name: str, messages: Any, model: Any, *, context: Any = None) -> Any:
        self.names.append(name)
        return super().ask(name, messages, model, context=context)


def reply(request: Request) -> str:
    return answer(request.json_schema, "".join(message.text for message in request.messages))


@pytest.fixture(scope="module")
def env(box_case: Case) -> RadPlanEnv:
    return small_env(box_case, budget=3)


@pytest.fixture(scope="module")
def views(box_case: Case) -> list[View]:
    """Pictures of any dose will do, drawn once."""
    return plan_views(box_case, np.zeros(box_case.grid.shape, np.float32), prescription_gy=70.2)


@pytest.mark.parametrize("name", CALLS)
def test_each_step_asks_those_that_the_name_says(
    name: str, env: RadPlanEnv, views: list[View], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("radplan_agents.gpt_radplan.agent.plan_pictures", lambda *_, **__: views)
    client = MockClient(repeat(reply, 99))
    session = Listening(client)
    agent = make_agent(name, env, session=session)
    observation, info = env.reset(seed=0)
    agent.reset(observation, info)
    action = agent.act(observation, info)
    assert action is not None and session.names == []  # the first plan is the template
    observation, _, _, _, info = env.step(action)
    agent.act(observation, info)
    assert session.names == CALLS[name]
    pictures = [who for who, request in zip(session.names, client.requests, strict=True) if request.has_images]
    assert pictures == SEE.get(name, [who for who in CALLS[name] if who != "DVH expert"])


def test_all_variants_differ_from_the_whole_agent_and_from_each_other() -> None:
    options = [load_agent(name).options for name in VARIANTS]  # type: ignore[attr-defined]
    assert len({Options(), *options}) == len(VARIANTS) + 1
    assert set(VARIANTS) | {"gpt-radplan"} == CALLS.keys()


def test_those_that_need_pictures_say_so() -> None:
    """Of them the run leaves out what the model cannot do."""
    for name in VARIANTS:
        variant = load_agent(name)
        assert issubclass(variant, Variant)
        assert variant.needs_pictures == (variant.options.evaluator == "vision")


def test_unknown_variants_are_refused() -> None:
    with pytest.raises(ValueError, match="gpt-radplan:dvh-only"):
        load_agent("gpt-radplan:telepathy")
