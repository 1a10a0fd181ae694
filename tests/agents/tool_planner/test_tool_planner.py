"""A model at the console, played by a service that does what a script says: no fault of it loses an episode."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import scripted_server as scripted

import radplan_agents
from radplan_agents import make_agent
from radplan_agents.llm import Endpoint, ModelSettings, OpenAIClient, Session, ToolCall, system, tool_result, user
from radplan_agents.tool_planner.agent import LOOKS, STUBBORN, TOGETHER
from radplan_agents.tool_planner.conversation import LEFT_OUT, Conversation
from radplan_env import Case, RadPlanEnv
from radplan_env.console import TOOLS
from radplan_env.influence import Fidelity

BUDGET = 3
COARSE = Fidelity("coarse", dose_grid_mm=5.0, bixel_mm=10.0)


@pytest.fixture(scope="module")
def env(box_case: Case) -> Iterator[RadPlanEnv]:
    beams = range(0, 360, 72)
    env = RadPlanEnv(cases=[box_case], budget=BUDGET, fidelity=COARSE, gantry_angles_deg=beams, progress=False)
    yield env
    env.close()


@pytest.fixture
def service() -> Iterator[scripted.Service]:
    with scripted.running() as service:
        yield service


Play = Callable[..., tuple[list[dict[str, Any]], dict[str, Any]]]


@pytest.fixture
def play(env: RadPlanEnv, service: scripted.Service) -> Play:
    def play(*script: scripted.Step, vision: bool = True, instructions: str = "", name: str = "tool-planner") -> Any:
        """Play an episode with these replies; return its plans and the agent's record."""
        service.script.extend(script)
        client = OpenAIClient(Endpoint(model="scripted", base_url=service.url), timeout_s=10)
        session = Session(client, settings=ModelSettings(vision=vision))
        agent = make_agent(name, env, session=session, instructions=instructions)
        plans = [info["plan"] for info in radplan_agents.play(agent, env)]
        assert not service.script, "the whole script is played"
        return plans, json.loads(json.dumps(agent.record(), allow_nan=False))

    return play


def calls(*wanted: tuple[str, Any], text: str | None = None, **fields: Any) -> scripted.Step:
    """A reply that calls tools; arguments that are no dict are sent as they are."""
    made = [
        {
            "id": f"id{number}",
            "type": "function",
            "function": {"name": name, "arguments": given if isinstance(given, str) else json.dumps(given)},
        }
        for number, (name, given) in enumerate(wanted)
    ]
    return scripted.says(text, finish="tool_calls", tool_calls=made, **fields)


def in_words(name: str, **arguments: Any) -> scripted.Step:
    return scripted.says(json.dumps({"tool": name, "arguments": arguments}))


FINISH = calls(("finish", {}))


def results(service: scripted.Service) -> list[str]:
    """What the model was told of its calls, as the last request has it."""
    return [message["content"] for message in service.requests[-1]["messages"] if message["role"] == "tool"]


def test_an_episode_is_planned_by_tool_calls(play: Play, service: scripted.Service, env: RadPlanEnv) -> None:
    limit = {"structure": "Rectum", "metric": "mean", "at_most": 25}
    plans, record = play(
        calls(("plan", {})),
        calls(("terms", {}), ("worst_points", {"criterion": "Rectum D0.03cc"}), text="What costs most?"),
        calls(("plan", {"weights": {"Rectum": 50}, "limits": [limit]})),
        FINISH,
        instructions="Spare the rectum.",
    )
    assert [plan["parameters"]["Rectum"]["weight"] for plan in plans] == [5, 50] and plans[1]["limits"] == [limit]
    first = service.requests[0]
    assert {tool["function"]["name"] for tool in first["tools"]} == set(TOOLS)
    assert "Spare the rectum." in first["messages"][1]["content"] and env.system.case.id not in json.dumps(first)
    told = [json.loads(result) for result in results(service)]
    assert told[0]["plan"] == 1 and told[0]["score"] == pytest.approx(plans[0]["score"], abs=0.01)
    assert [answer["looks_left"] for answer in told[1:3]] == [LOOKS - 1, LOOKS - 2]
    assert record["stopped"] == "finished" and record["plan_chosen"] in (1, 2) and record["faults"] == {}
    assert record["conversation"] == {"calls_with_text": 1, "looks": 3, "parallel_calls": 1}
    assert [call["tool"] for call in record["console_calls"]][1:] == ["plan", "terms", "worst_points", "plan", "finish"]


@pytest.mark.slow
def test_a_trained_policy_advises(play: Play, service: scripted.Service, env: RadPlanEnv) -> None:
    """What it proposes after the template's plan is what `ppo` tries next."""
    pytest.importorskip("stable_baselines3")
    plans, record = play(calls(("plan", {})), calls(("terms", {})), FINISH, name="tool-planner:rl-guided")
    plan, terms = map(json.loads, results(service))
    proposed = plan["policy_proposes"]
    assert proposed["base"] == 1 and "policy_proposes" not in terms
    assert "policy_proposes" in service.requests[0]["messages"][0]["content"]
    ppo = make_agent("ppo", env)
    observation, info = env.reset(seed=0)
    observation, *_, info = env.step(ppo.act(observation, info))  # type: ignore[arg-type]
    action = ppo.act(observation, info)
    assert isinstance(action, np.ndarray)
    theirs = env.action_map.to_parameters(action, plans[0]["parameters"]).structures
    assert proposed["weights"] == {
        name: pytest.approx(own.weight, rel=0.01)
        for name, own in theirs.items()
        if name in proposed["weights"] or own.weight != pytest.approx(plans[0]["parameters"][name]["weight"], rel=0.01)
    }
    assert proposed["weights"] and record["training_solves"] > 0


FAULTS: dict[str, tuple[scripted.Step, str]] = {
    "unknown tool": (calls(("irradiate", {})), "unknown_tool"),
    "unknown argument": (calls(("plan", {"weight": 3})), "wrong_arguments"),
    "no JSON": (calls(("plan", '{"weights": ')), "malformed_arguments"),
    "no object": (calls(("plan", "[1]")), "malformed_arguments"),
    "unknown structure": (calls(("plan", {"weights": {"Moon": 3}})), "unknown_structure"),
    "limits that exclude each other": (
        calls(
            (
                "plan",
                {
                    "limits": [
                        {"structure": "Rectum", "metric": "max", "at_most": 20},
                        {"structure": "Rectum", "metric": "mean", "at_least": 30},
                    ]
                },
            )
        ),
        "excluding_limits",
    ),
    "too large a batch": (calls(("what_if", {"changes": [{}] * 4})), "no_solves_left"),
    "too many calls": (calls(*[("task", {})] * (TOGETHER + 1)), "too_many_calls"),
}


@pytest.mark.parametrize(("step", "fault"), FAULTS.values(), ids=FAULTS)
def test_a_wrong_call_is_told_counted_and_costs_nothing(
    play: Play, service: scripted.Service, step: scripted.Step, fault: str
) -> None:
    plans, record = play(step, calls(("plan", {})), FINISH)
    assert len(plans) == 1 and record["conversation"][fault] == 1
    assert any(result.startswith("Not done: ") for result in results(service))


UNUSABLE: dict[str, tuple[scripted.Step, str]] = {
    "prose": (scripted.says("I would spare the rectum."), "no_tool_call"),
    "refusal": (scripted.says(None, refusal="I cannot help with that."), "refused"),
    "truncated": (scripted.says('{"tool": "pl', finish="length"), "truncated"),
    "truncated call": (
        scripted.says(None, finish="length", tool_calls=[{"id": "a", "function": {"name": "plan", "arguments": "{"}}]),
        "truncated",
    ),
    "filter": (scripted.says(None, finish="content_filter"), "content_filter"),
    "empty": (scripted.says(""), "empty"),
}


@pytest.mark.parametrize(("step", "fault"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_reply_of_no_use_is_corrected(play: Play, step: scripted.Step, fault: str) -> None:
    plans, record = play(step, calls(("plan", {})), FINISH)
    assert len(plans) == 1 and record["faults"] == {fault: 1} and record["failed_questions"] == 0


@pytest.mark.parametrize(("step", "fault"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_model_that_is_never_of_use_leaves_the_template(play: Play, step: scripted.Step, fault: str) -> None:
    plans, record = play(*[step] * 6)
    assert len(plans) == 1 and plans[0]["parameters"]["Rectum"]["weight"] == 5
    assert record["faults"] == {fault: 6} and record["stopped"] == f"no usable reply: {fault}"
    assert record["conversation"] == {"failed_questions": 2, "template_planned_instead": 1}


def test_looking_on_and_on_is_refused_and_ends(play: Play, service: scripted.Service) -> None:
    look = calls(("criteria", {}))
    plans, record = play(calls(("plan", {})), *[look] * (LOOKS + STUBBORN + 1))
    assert len(plans) == 1 and record["stopped"] == "endless looking"
    assert record["conversation"] == {"endless_looking": STUBBORN + 1, "looks": LOOKS}
    assert "plan, or finish" in results(service)[-1]


def test_a_model_that_goes_round_ends(play: Play) -> None:
    wrong, other = calls(("plan", {"weights": {"Moon": 1}})), calls(("plan", {"weights": {"Mars": 1}}))
    plans, record = play(calls(("plan", {})), wrong, other, wrong, calls(("task", {})), wrong)
    assert len(plans) == 1 and record["conversation"]["unknown_structure"] == 4
    assert record["stopped"] == "one refused call again and again"


def test_planning_gives_new_looks(play: Play) -> None:
    looks = calls(*[("criteria", {})] * 5)
    plans, record = play(calls(("plan", {})), looks, looks, calls(("plan", {})), looks, looks, FINISH)
    assert len(plans) == 2 and record["conversation"]["looks"] == 21 and "endless_looking" not in record["conversation"]


def test_parallel_plans_and_batches_are_solved_in_order(play: Play) -> None:
    batch = {"changes": [{"weights": {"Rectum": 10}}, {"weights": {"Rectum": 20}, "base": "start"}]}
    plans, record = play(calls(("plan", {}), ("what_if", batch), ("plan", {})))
    assert [plan["parameters"]["Rectum"]["weight"] for plan in plans] == [5, 10, 20]
    assert record["stopped"] is None and record["conversation"] == {"parallel_calls": 1}


def test_a_service_without_tools_is_told_in_words(play: Play, service: scripted.Service) -> None:
    no_tools = scripted.status(400, "registry.ollama.ai/library/x does not support tools")
    plans, record = play(no_tools, in_words("plan"), in_words("plan", weights={"Rectum": 50}), in_words("finish"))
    assert [plan["parameters"]["Rectum"]["weight"] for plan in plans] == [5, 50]
    assert record["adaptations"] == {"tools told in words": 3} and record["stopped"] == "finished"
    last = service.requests[-1]
    assert "tools" not in last and {message["role"] for message in last["messages"]} == {"system", "user", "assistant"}
    assert all(one["role"] != other["role"] for one, other in pairwise(last["messages"]))
    assert "worst_points" in last["messages"][0]["content"]


def test_pictures_are_shown_to_models_that_see(play: Play, service: scripted.Service) -> None:
    look = calls(("slice_image", {"criterion": "Rectum D0.03cc"}))
    play(calls(("plan", {})), look, look, FINISH)
    shown = [m for m in service.requests[-1]["messages"] if isinstance(m["content"], list)]
    assert len(shown) == 1 and shown[0]["role"] == "user", "the same picture is sent once"
    play(calls(("plan", {})), look, FINISH, vision=False)
    assert not [m for m in service.requests[-1]["messages"] if isinstance(m["content"], list)]
    assert "no pictures" in results(service)[-1]


def test_old_looks_are_left_out_of_the_conversation() -> None:
    look, plan = (ToolCall(id=name, name=name, arguments="{}") for name in ("terms", "plan"))
    conversation = Conversation(system("…"), user("task"))
    conversation.add(tool_result(plan, "plan 1"), 1)
    conversation.add_look(look, "long ago", 1)
    conversation.add_look(look, "lately", 2)
    texts = [[message.text for message in conversation.messages(plans)][3:] for plans in (2, 3, 4)]
    assert texts == [["long ago", "lately"], [LEFT_OUT, "lately"], [LEFT_OUT, LEFT_OUT]]
    assert [message.text for message in conversation.messages(9)][2] == "plan 1"
