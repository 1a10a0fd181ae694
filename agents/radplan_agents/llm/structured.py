"""Replies held to a form: asked for, judged, asked for again, and in the end given or named as failed.

The ladder: the service enforces the JSON Schema; failing that, any JSON object; failing that, the object is taken out
of what it says. Pydantic judges on every rung. A reply that is of no use is shown to the model with what is wrong
with it, twice at most. What then is still of no use is a `Failed`; nothing is ever made up in its place.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import core_schema

from radplan_agents.llm.chat import ChatClient, Format, Reply, Request
from radplan_agents.llm.extraction import FaultyReplyError, extract_json
from radplan_agents.llm.messages import ToolCall, assistant, user
from radplan_agents.llm.thoughts import without_thoughts
from radplan_agents.llm.wire import HOW_TO_CALL

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

RE_ASKS = 2
"""How often a model may correct itself."""

LONGEST_REPLY = 100_000
"""Characters; a longer reply is not read."""

LONGEST_QUOTE = 4_000
"""Characters of a faulty reply that the model is shown again."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with a reply: its name in the record, and what the model was told."""

    name: str
    detail: str


@dataclass(frozen=True)
class Failed:
    """No usable reply was had. `faults` holds what was wrong with each, in order."""

    faults: tuple[Fault, ...]

    def __str__(self) -> str:
        return "; then ".join(f"{fault.name} ({fault.detail})" for fault in self.faults)


def ask(
    client: ChatClient,
    request: Request,
    judge: Callable[[Reply], T],
    *,
    re_asks: int = RE_ASKS,
    note: Callable[[Fault], None] = lambda fault: None,
) -> T | Failed:
    """Ask until a reply is of use, or `re_asks` corrections are spent.

    Parameters
    ----------
    client : ChatClient
        Who is asked.
    request : Request
        What for. A correction goes on from it with the faulty reply and what is wrong with it.
    judge : callable
        Takes what is wanted out of a reply or raises `FaultyReplyError`; see `json_judge` and `text_judge`.
    re_asks : int
        How many corrections are asked for at most.
    note : callable
        Called with every fault, also those that are overcome.

    Returns
    -------
    What `judge` returned, or `Failed`.

    Raises
    ------
    ModelError
        If there is no reply at all.
    """
    faults: list[Fault] = []
    asked = request
    while True:
        reply = client.complete(asked)
        try:
            return judge(reply)
        except FaultyReplyError as error:
            faults.append(Fault(error.fault, error.detail))
        note(faults[-1])
        if len(faults) > re_asks:
            return Failed(tuple(faults))
        asked = _correction(asked, _next_format(asked.format, faults[-1]), reply, faults[-1])


def text_judge(reply: Reply) -> str:
    """Return a reply's answer: its text without what the model thought aloud.

    Raises
    ------
    FaultyReplyError
        "refused", "content_filter", "truncated", "oversized" or "empty".
    """
    _check_whole(reply)
    answer = without_thoughts(reply.text)
    if not answer:
        only_thoughts = "it holds thoughts and no answer; answer after them"
        raise FaultyReplyError("empty", only_thoughts if reply.text.strip() else "it is empty")
    return answer


def _check_whole(reply: Reply) -> None:
    """Raise FaultyReplyError where a reply was withheld, refused, cut short or is too long."""
    if reply.finish_reason == "content_filter":
        raise FaultyReplyError("content_filter", "the service's filter withheld it")
    if reply.refusal:
        raise FaultyReplyError("refused", f"it refuses: {reply.refusal[:LONGEST_QUOTE]}")
    if reply.finish_reason == "length":
        raise FaultyReplyError("truncated", "it was cut off at the greatest length allowed; be briefer")
    if len(reply.text) > LONGEST_REPLY:
        raise FaultyReplyError("oversized", f"it is longer than {LONGEST_REPLY} characters; be briefer")


@dataclass(frozen=True)
class Called:
    """A reply that calls tools: the calls in order, at least one, and what was said beside them."""

    calls: tuple[ToolCall, ...]
    text: str


def calls_judge(reply: Reply) -> Called:
    """Return the tools that a reply calls: natively, or by a JSON object with "tool" and "arguments" in its text.

    Raises
    ------
    FaultyReplyError
        As `text_judge`, or "no_tool_call".
    """
    _check_whole(reply)
    if reply.tool_calls:
        return Called(reply.tool_calls, without_thoughts(reply.text))
    try:
        text = text_judge(reply)
    except FaultyReplyError as error:
        if error.fault != "empty":
            raise
        raise FaultyReplyError("empty", f"{error.detail}. {HOW_TO_CALL}") from None  # it may have lost the thread
    try:
        found = extract_json(text)
    except FaultyReplyError:
        found = {}
    name = found.get("tool", found.get("name"))
    if not isinstance(name, str):
        raise FaultyReplyError("no_tool_call", f"it calls no tool. {HOW_TO_CALL}")
    arguments = found.get("arguments", found.get("parameters", {}))
    return Called((ToolCall(id="call_1", name=name, arguments=json.dumps(arguments)),), "")


def json_judge(model: type[M], context: Mapping[str, Any] | None = None) -> Callable[[Reply], M]:
    """Return a judge that takes a validated object out of a reply.

    The judge raises `FaultyReplyError` as `text_judge` and `extract_json` do and, where `model` rejects the object,
    with the name of the first error: "out_of_bounds", "not_finite", "unknown_value" (of a Literal or Enum),
    "invalid_value" (a validator's ValueError), "wrong_schema" (anything else of pydantic's), or the type that a
    validator gave its ``PydanticCustomError``, such as "unknown_structure".

    Parameters
    ----------
    model : type
        The Pydantic model of what is wanted.
    context : mapping, optional
        What its validators need to know, as ``info.context``.
    """

    def judge(reply: Reply) -> M:
        found = extract_json(text_judge(reply))
        try:
            value = _strings_without_thoughts(found)
            # Through JSON, so that strict models take a list for a tuple.
            return model.model_validate_json(json.dumps(value), context=context)
        except ValidationError as error:
            raise FaultyReplyError(*_described(error)) from None
        except RecursionError:
            raise FaultyReplyError("wrong_schema", "it is nested too deeply") from None

    return judge


def _strings_without_thoughts(value: Any) -> Any:
    """JSON data; where a model thinks inside its strings, the thoughts are left out."""
    if isinstance(value, str):
        answer = without_thoughts(value)
        return value if answer == value.strip() else answer
    if isinstance(value, list):
        return [_strings_without_thoughts(item) for item in value]
    if isinstance(value, dict):
        return {key: _strings_without_thoughts(item) for key, item in value.items()}
    return value


_BUILT_IN = frozenset(get_args(core_schema.ErrorType))

_NAMES = {
    "finite_number": "not_finite",
    "greater_than": "out_of_bounds",
    "greater_than_equal": "out_of_bounds",
    "less_than": "out_of_bounds",
    "less_than_equal": "out_of_bounds",
    "literal_error": "unknown_value",
    "enum": "unknown_value",
    "value_error": "invalid_value",
    "assertion_error": "invalid_value",
}


def _described(error: ValidationError) -> tuple[str, str]:
    """The fault's name, and what is wrong where, for the model to read."""
    errors = error.errors(include_url=False, include_context=False)
    first = errors[0]["type"]
    name = _NAMES.get(first, "wrong_schema" if first in _BUILT_IN else first)
    lines = []
    for each in errors[:8]:
        place = ".".join(map(str, each["loc"])) or "the object"
        found = "" if each["type"] == "missing" else f" (found {json.dumps(each['input'], default=str)[:80]})"
        lines.append(f"{place}: {each['msg']}{found}")
    return name, "; ".join(lines)


_RULED_OUT = {"no_json", "not_finite", "duplicate_key", "empty", "wrong_schema", "unknown_value"}
"""Faults that a service which enforces the schema does not let happen."""

_LOOSER: dict[Format, Format] = {"json_schema": "json_object", "json_object": "text", "text": "text"}


def _next_format(form: Format, fault: Fault) -> Format:
    """One rung down where the service turns out not to enforce the format: words may help where it does not."""
    return _LOOSER[form] if fault.name in _RULED_OUT else form


def _correction(request: Request, form: Format, reply: Reply, fault: Fault) -> Request:
    # The faulty reply keeps its turn even if empty: many chat templates insist on alternating roles.
    answer = without_thoughts(reply.text)
    said = answer if len(answer) <= LONGEST_QUOTE else answer[:LONGEST_QUOTE] + " …"
    again = f"Your reply cannot be used: {fault.detail.removesuffix('.')}. Please answer again, in full."
    messages = (*request.messages, assistant(said or "(no reply)"), user(again))
    return request.model_copy(update={"messages": messages, "format": form})
