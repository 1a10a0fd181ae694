"""Requests and replies as OpenAI's chat completions API writes them, and what to do where a service takes less."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ValidationError

from radplan_agents.llm.chat import Format, Reply, Request, Usage
from radplan_agents.llm.errors import ServiceError
from radplan_agents.llm.messages import Image, JSONSchema, Message, Text


class Adaptation(StrEnum):
    """What is changed in requests to a service that refuses part of them, in the words of the record."""

    NO_TEMPERATURE = "temperature left out"
    NO_SEED = "seed left out"
    MAX_COMPLETION_TOKENS = "max_tokens sent as max_completion_tokens"
    JSON_OBJECT = "response_format json_schema replaced by json_object"
    NO_FORMAT = "response_format left out"
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
    messages = [_message(message) for message in request.messages]
    body: dict[str, Any] = {"model": model, "messages": messages}
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


def _message(message: Message) -> dict[str, Any]:
    if not message.images:  # a plain string: older services know no parts
        return {"role": message.role, "content": message.text}
    return {"role": message.role, "content": [_part(part) for part in message.parts]}


def _part(part: Text | Image) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    url = "data:image/png;base64," + base64.b64encode(part.png).decode()
    return {"type": "image_url", "image_url": {"url": url, "detail": part.detail}}


# ------------------------------------------------------------------------------------------------------------ refusals

_SIZE = re.compile(r"too (large|long|many|big)|at most (?!0 )|exceed|maximum|context", re.IGNORECASE)
_FORMAT = re.compile(r"response.?format|json.?schema|json.?object|structured.?output|grammar|schema", re.IGNORECASE)
_MAX_TOKENS = re.compile(r"\bmax_tokens\b")
_TEMPERATURE = re.compile(r"\btemperature\b", re.IGNORECASE)
_SEED = re.compile(r"\bseed\b", re.IGNORECASE)
_IMAGES = re.compile(r"image|vision|multi-?modal|mmproj|content must be a string", re.IGNORECASE)


def adaptation_to(error: ServiceError, body: Mapping[str, Any]) -> Adaptation | None:
    """What to change in a request body that was refused, or None if the refusal names nothing we can do without.

    Services tell what they refuse only in words, and in many. A complaint of size is none of the parameter.
    """
    sends_images = any(isinstance(message["content"], list) for message in body["messages"])
    form = body.get("response_format", {}).get("type")
    offers = [
        (_FORMAT, form == "json_schema", Adaptation.JSON_OBJECT),
        (_FORMAT, form == "json_object", Adaptation.NO_FORMAT),
        (_MAX_TOKENS, "max_tokens" in body, Adaptation.MAX_COMPLETION_TOKENS),
        (_TEMPERATURE, "temperature" in body, Adaptation.NO_TEMPERATURE),
        (_SEED, "seed" in body, Adaptation.NO_SEED),
        (_IMAGES, sends_images, Adaptation.NO_IMAGES),
    ]
    if error.status == 500:  # llama.cpp's answer to pictures; of anything else a 500 says nothing
        offers = [offer for offer in offers if offer[2] is Adaptation.NO_IMAGES]
    elif error.status not in (400, 404, 415, 422, 501):
        return None
    if _SIZE.search(str(error)):
        return None
    for complaint in (error.parameter or "", str(error)):
        for pattern, possible, adaptation in offers:
            if possible and pattern.search(complaint):
                return adaptation
    return None


# ------------------------------------------------------------------------------------------------------------- replies


class _Part(BaseModel):
    text: str = ""  # parts of other types, such as thoughts, have none


class _Message(BaseModel):
    content: str | list[_Part] | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Completion(BaseModel):
    """What we need of a chat completion; services differ in the rest."""

    choices: list[_Choice]
    model: str | None = None
    usage: dict[str, Any] | None = None


def to_reply(completion: object) -> Reply:
    """Return what the API's response says.

    Raises
    ------
    ValueError
        If it is no chat completion.
    """
    parsed = _Completion.model_validate(completion)
    choice = parsed.choices[0] if parsed.choices else _Choice(message=_Message())
    said = choice.message.content
    return Reply(
        text=said if isinstance(said, str) else "".join(part.text for part in said or ()),
        refusal=choice.message.refusal or None,
        finish_reason=choice.finish_reason or "stop",
        model=parsed.model or "",
        usage=_usage(parsed.usage or {}),
    )


def _usage(usage: Mapping[str, Any]) -> Usage:
    prompt_details = usage.get("prompt_tokens_details") or {}
    completion_details = usage.get("completion_tokens_details") or {}
    try:
        return Usage(
            prompt_tokens=usage.get("prompt_tokens"),
            cached_tokens=prompt_details.get("cached_tokens"),
            completion_tokens=usage.get("completion_tokens"),
            reasoning_tokens=completion_details.get("reasoning_tokens"),
        )
    except (ValidationError, AttributeError):
        return Usage()  # not known, rather than wrong
