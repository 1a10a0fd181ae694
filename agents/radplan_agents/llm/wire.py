"""Requests as OpenAI's chat completions API writes them, and what to do where a service takes less."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection, Iterator, Mapping
from enum import StrEnum
from typing import Any

from radplan_agents.llm.chat import Format, Request, ToolSpec
from radplan_agents.llm.errors import ServiceError
from radplan_agents.llm.messages import Image, JSONSchema, Message, Text


class Adaptation(StrEnum):
    """What is changed in requests to a service that refuses part of them, in the words of the record."""

    NO_TEMPERATURE = "temperature left out"
    NO_SEED = "seed left out"
    MAX_COMPLETION_TOKENS = "max_tokens sent as max_completion_tokens"
    JSON_OBJECT = "response_format json_schema replaced by json_object"
    NO_FORMAT = "response_format left out"
    NO_TOOLS = "tools told in words"
    NO_IMAGES = "pictures left out"


# ------------------------------------------------------------------------------------------------------------ requests


def from_request(
    request: Request, model: str, adaptations: Collection[Adaptation] = ()
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the API's request body, and which of the adaptations made a difference to it."""
    applied: list[Adaptation] = []

    def adapted(adaptation: Adaptation) -> bool:
        if adaptation in adaptations:
            applied.append(adaptation)
        return adaptation in adaptations

    if request.has_images and adapted(Adaptation.NO_IMAGES):
        request = request.without_images()
    if request.tools and adapted(Adaptation.NO_TOOLS):
        request = in_words(request)
    messages = [_message(message) for message in request.messages]
    body: dict[str, Any] = {"model": model, "messages": messages}
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    if request.json_schema is not None:
        form = _allowed(request.format, adaptations)
        if form != request.format:
            applied.append(Adaptation.JSON_OBJECT if form == "json_object" else Adaptation.NO_FORMAT)
        if form != "json_schema":
            messages[-1] = _message(_with_instruction(request.messages[-1], request.json_schema))
        if form != "text":
            body["response_format"] = _response_format(form, request.json_schema)
    if request.temperature is not None and not adapted(Adaptation.NO_TEMPERATURE):
        body["temperature"] = request.temperature
    if request.seed is not None and not adapted(Adaptation.NO_SEED):
        body["seed"] = request.seed
    if request.max_tokens is not None:
        renamed = adapted(Adaptation.MAX_COMPLETION_TOKENS)
        body["max_completion_tokens" if renamed else "max_tokens"] = request.max_tokens
    return body, tuple(applied)


def _allowed(form: Format, adaptations: Collection[Adaptation]) -> Format:
    """The strictest format, no stricter than `form`, that was not refused. LM Studio takes the strictest alone."""
    if form == "json_schema" and Adaptation.JSON_OBJECT in adaptations:
        form = "json_object"
    return "text" if form == "json_object" and Adaptation.NO_FORMAT in adaptations else form


def _response_format(form: Format, schema: JSONSchema) -> dict[str, Any]:
    if form == "json_object":
        return {"type": "json_object"}
    # The API's names are letters, digits, _ and -, 64 at most.
    name = re.sub(r"[^\w-]+", "_", schema.get("title", "reply"), flags=re.ASCII)[:64]
    return {"type": "json_schema", "json_schema": {"name": name, "strict": True, "schema": schema}}


def _with_instruction(message: Message, schema: JSONSchema) -> Message:
    """The last message, and in words what a service that enforces a schema would do."""
    text = "Reply with one JSON object and nothing else. It must follow this JSON Schema:\n" + json.dumps(schema)
    return Message(role=message.role, parts=(*message.parts, Text(text=text)))


def _tool(tool: ToolSpec) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.schema_of_arguments}
    return {"type": "function", "function": function}


def in_words(request: Request) -> Request:
    """Return a request that tells of its tools, their calls and results in plain turns, for a service without tools."""
    tools = "\n\n".join(
        f"{tool.name}: {tool.description}\nArguments: {json.dumps(tool.schema_of_arguments, ensure_ascii=False)}"
        for tool in request.tools
    )
    first, *rest = request.messages
    told = first.model_copy(update={"parts": (*first.parts, Text(text=f"{HOW_TO_CALL}\n\nTools:\n\n{tools}"))})
    turns = [told]
    for turn in map(_turn_in_words, rest):
        if turn.role == turns[-1].role:  # many chat templates insist on alternating roles
            turns[-1] = turns[-1].model_copy(update={"parts": (*turns[-1].parts, *turn.parts)})
        else:
            turns.append(turn)
    return request.model_copy(update={"messages": tuple(turns), "tools": ()})


HOW_TO_CALL = (
    'Call a tool by replying with one JSON object, {"tool": NAME, "arguments": {…}}, and nothing else. '
    "Its result is the next message."
)


def _turn_in_words(message: Message) -> Message:
    if message.role == "tool":
        return Message(role="user", parts=(Text(text="Result:"), *message.parts))
    if not message.calls:
        return message
    calls = [f'{{"tool": {json.dumps(call.name)}, "arguments": {call.arguments or "{}"}}}' for call in message.calls]
    return Message(role=message.role, parts=(*message.parts, *(Text(text=call) for call in calls)))


def _message(message: Message) -> dict[str, Any]:
    if message.role == "tool":
        return {"role": "tool", "tool_call_id": message.call_id, "content": message.text}
    if message.calls:
        calls = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.calls
        ]
        return {"role": message.role, "content": message.text or None, "tool_calls": calls}
    if not message.images:  # a plain string: older services know no parts
        return {"role": message.role, "content": message.text}
    return {"role": message.role, "content": [_part(part) for part in message.parts]}


def _part(part: Text | Image) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    url = "data:image/png;base64," + base64.b64encode(part.png).decode()
    return {"type": "image_url", "image_url": {"url": url, "detail": part.detail}}


# ------------------------------------------------------------------------------------------------------------ refusals

_PROMPT_TOO_LONG = re.compile(
    r"context.?(length|window|size)|maximum (context|model length)|exceed_context|n_ctx"
    r"|(prompt|input|request|messages?|conversation) (is |are )?too (long|large|big)|reduce the length"
    r"|tokens? .{0,60}(exceed|too (many|large)|maximum)|(exceed|too many|maximum) .{0,60}\btokens?\b",
    re.IGNORECASE,
)
_SIZE = re.compile(r"too (large|long|many|big)|at most (?!0 )|exceed|maximum", re.IGNORECASE)
_FORMAT = re.compile(
    r"response.?(format|schema|mime)|json.?(schema|object|mode)|structured.?output|guided|grammar|schema|output_config"
    r"|text\.format|nesting|invalid argument",  # the last is all that Gemini says
    re.IGNORECASE,
)
_MAX_TOKENS = re.compile(r"\bmax_tokens\b")
_TEMPERATURE = re.compile(r"\btemperature\b", re.IGNORECASE)
_SEED = re.compile(r"\bseed\b", re.IGNORECASE)
_TOOLS = re.compile(r"\btools?\b|tool[_ -]?(use|call|choice)|function[_ -]?call", re.IGNORECASE)
_IMAGES = re.compile(r"image|vision|multi-?modal|mmproj|content must be a string", re.IGNORECASE)
_QUOTED = re.compile(r"""['"`“‘]([$\w]+)['"`”’]""")

_ORDINARY = {"type", "title", "description", "name", "object", "string", "array", "number"}
"""Keywords of a schema that complaints of something else quote as well."""


def adaptation_to(error: ServiceError, body: Mapping[str, Any]) -> Adaptation | None:
    """What to change in a request body that was refused, or None if the refusal names nothing we can do without.

    Services tell what they refuse only in words, and in many. A prompt that is too long stays so whatever is left out.
    A schema that is too large can be left out; of another parameter a complaint of size is none of the parameter.
    """
    said, parameter = str(error), error.parameter or ""
    sends_images = any(isinstance(message["content"], list) for message in body["messages"])
    form = body.get("response_format", {}).get("type")
    offers = [
        (_MAX_TOKENS, "max_tokens" in body, Adaptation.MAX_COMPLETION_TOKENS),
        (_TEMPERATURE, "temperature" in body, Adaptation.NO_TEMPERATURE),
        (_SEED, "seed" in body, Adaptation.NO_SEED),
        (_TOOLS, "tools" in body, Adaptation.NO_TOOLS),
        (_IMAGES, sends_images, Adaptation.NO_IMAGES),
    ]
    if error.status == 500:  # llama.cpp's answer to tools, pictures and grammars; of anything else a 500 says nothing
        offers = offers[-2:]
    elif error.status not in (200, 400, 404, 415, 422, 501):
        return None
    looser = {"json_schema": Adaptation.JSON_OBJECT, "json_object": Adaptation.NO_FORMAT}.get(form)
    if looser is not None and _FORMAT.search(parameter):
        return looser
    if _PROMPT_TOO_LONG.search(said):
        return None
    for pattern, possible, adaptation in offers:
        if possible and pattern.search(parameter) and not _SIZE.search(said):
            return adaptation
    if looser is not None and (_FORMAT.search(said) or _names_keyword(said, body)):
        return looser
    if _SIZE.search(said):
        return None
    return next((adaptation for pattern, possible, adaptation in offers if possible and pattern.search(said)), None)


def _names_keyword(said: str, body: Mapping[str, Any]) -> bool:
    """Whether a complaint quotes a keyword of the JSON Schema that was sent."""
    schema = body["response_format"].get("json_schema")
    return bool(set(_QUOTED.findall(said)) & (set(_keys(schema)) - _ORDINARY))


def _keys(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        yield from node
    for item in node.values() if isinstance(node, Mapping) else node if isinstance(node, list) else ():
        yield from _keys(item)
