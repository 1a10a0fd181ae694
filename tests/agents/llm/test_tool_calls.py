"""Tool calls on the wire: as services write them, and how they refuse them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from radplan_agents.llm import (
    FaultyReplyError,
    Reply,
    Request,
    ServiceError,
    ToolCall,
    ToolSpec,
    assistant,
    calls_judge,
    system,
    tool_result,
    user,
)
from radplan_agents.llm.replies import to_reply
from radplan_agents.llm.wire import Adaptation, adaptation_to, from_request

SPEC = ToolSpec(name="plan", description="Makes a plan.", schema_of_arguments={"type": "object", "properties": {}})
CALL = ToolCall(id="call_7", name="plan", arguments='{"base": 1}')
REQUEST = Request(
    messages=(system("Plan."), user("Begin."), assistant("", (CALL,)), tool_result(CALL, "done"), user("[picture]")),
    tools=(SPEC,),
)


def test_a_conversation_with_tools_is_written_as_the_api_has_it() -> None:
    body, applied = from_request(REQUEST, "model")
    assert applied == () and [message["role"] for message in body["messages"]] == [
        *("system", "user", "assistant", "tool", "user")
    ]
    (call,) = body["messages"][2]["tool_calls"]
    assert call["id"] == body["messages"][3]["tool_call_id"] and json.loads(call["function"]["arguments"]) == {
        "base": 1
    }
    assert body["tools"][0]["function"]["name"] == "plan"


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (400, "registry.ollama.ai/library/x:latest does not support tools"),
        (400, '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'),
        (404, "No endpoints found that support tool use. To learn more about provider routing, visit …"),
        (500, "tools param requires --jinja flag"),
        (422, "Unrecognized request argument supplied: tools"),
    ],
)
def test_a_service_that_takes_no_tools_is_told_in_words(status: int, said: str) -> None:
    body, _ = from_request(REQUEST, "model")
    assert adaptation_to(ServiceError(said, status=status), body) is Adaptation.NO_TOOLS
    plain, applied = from_request(REQUEST, "model", {Adaptation.NO_TOOLS})
    assert applied == (Adaptation.NO_TOOLS,) and "tools" not in plain
    assert [message["role"] for message in plain["messages"]] == ["system", "user", "assistant", "user"]
    assert json.loads(plain["messages"][2]["content"]) == {"tool": "plan", "arguments": {"base": 1}}
    assert adaptation_to(ServiceError(said, status=status), plain) is None


MESSAGES: dict[str, dict[str, Any]] = {
    "as documented": {"tool_calls": [{"id": "a", "function": {"name": "plan", "arguments": '{"base": 1}'}}]},
    "an object": {"tool_calls": [{"id": "a", "function": {"name": "plan", "arguments": {"base": 1}}}]},
    "no id": {"tool_calls": [{"function": {"name": "plan", "arguments": '{"base": 1}'}}]},
    "as it was once": {"function_call": {"name": "plan", "arguments": '{"base": 1}'}},
    "in words": {"content": 'Let me see. {"tool": "plan", "arguments": {"base": 1}}'},
    "in tags": {"content": '<tool_call>\n{"name": "plan", "arguments": {"base": 1}}\n</tool_call>'},
}


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
def test_a_call_is_read_however_it_is_written(message: dict[str, Any]) -> None:
    reply = to_reply({"choices": [{"message": {"role": "assistant", "content": None, **message}}]})
    (call,) = calls_judge(reply).calls
    assert call.name == "plan" and json.loads(call.arguments) == {"base": 1} and call.id


@pytest.mark.parametrize("calls", [None, "plan", [], [None], [{}], [{"function": "plan"}]])
def test_what_is_no_call_is_none(calls: Any) -> None:
    reply = to_reply({"choices": [{"message": {"role": "assistant", "content": "Hm.", "tool_calls": calls}}]})
    with pytest.raises(FaultyReplyError, match="no_tool_call"):
        calls_judge(reply)


def test_what_is_said_beside_a_call_is_kept_without_thoughts() -> None:
    called = calls_judge(Reply(text="<think>hm</think>The template first.", tool_calls=(CALL,)))
    assert called.text == "The template first." and called.calls == (CALL,)
