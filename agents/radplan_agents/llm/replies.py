"""Replies as OpenAI's chat completions API writes them, and as services that only resemble it do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

from pydantic import ValidationError

from radplan_agents.llm.chat import Reply, Usage
from radplan_agents.llm.complaints import Complaint, complaint_in, service_error
from radplan_agents.llm.messages import ToolCall


class Oddity(StrEnum):
    """Where a reply departs from the API and is read all the same, in the words of the record."""

    IN_REASONING = "answer read from {field}"
    PART_WITHOUT_TEXT = "content part without text left out"


_REASONING = ("reasoning_content", "reasoning", "thinking")
"""Where services put thoughts, and some of them, set up to show none, the answer."""

_THOUGHTS = {"thinking", "reasoning", "thought", "redacted_thinking", "reasoning_text", "reasoning.text"}
"""Types of content parts that are no part of the answer."""

_THOUGHT_TEXTS = ("text", "thinking", "reasoning", "summary")
"""Fields of such parts; one without any is odd."""

_LENGTH = {"max_tokens", "max_output_tokens", "model_length", "model_context_window_exceeded", "token_limit"}
_FILTERED = {"content_filtered", "sensitive", "safety", "recitation", "prohibited_content", "blocklist", "spii"}
_BROKEN_OFF = re.compile(
    r"error|\w+_error|abort(ed)?|cancell?ed|fail(ed|ure)|insufficient_system_resource|unavailable|time_?out"
)
"""Reasons to finish that are the service's failure and not the model's."""


def to_reply(completion: object) -> Reply:
    """Return what the API's response says.

    Raises
    ------
    ServiceError
        If it reports an error, of the whole or of its choice.
    ValueError
        If it is no chat completion.
    """
    body: Mapping[str, Any] = completion if isinstance(completion, Mapping) else {}
    choices = body.get("choices")
    if not isinstance(choices, list):
        if (complaint := complaint_in(completion)) is None:
            raise ValueError("no choices")
        return _reply_or_error(complaint)
    choice = choices[0] if choices else {}
    if not isinstance(choice, Mapping):
        raise ValueError("no choice")
    message = choice.get("message") or {}
    if not isinstance(message, Mapping):
        raise ValueError("no message")
    finish = _finish_reason(choice, message)
    text, oddities = _answer(message, finish)
    refusal = message.get("refusal")
    if not (text or refusal) and body.get("error") and (complaint := complaint_in(body["error"])):
        return _reply_or_error(complaint)
    if choices and not message:
        raise ValueError("no message")
    model, usage = body.get("model"), body.get("usage")
    return Reply(
        text=text,
        tool_calls=tuple(_tool_calls(message)),
        refusal=refusal if isinstance(refusal, str) and refusal else None,
        finish_reason=finish,
        model=model if isinstance(model, str) else "",
        usage=_usage(usage if isinstance(usage, Mapping) else {}),
        adaptations=oddities,
    )


def reply_to(complaint: Complaint) -> Reply | None:
    """Return the reply that a complaint is about, None where it is about none.

    Azure answers what its filter withholds with an error, Groq what the model wrote and is not JSON: neither is a
    failure of the service.
    """
    if "content_filter" in complaint.names.split():
        return Reply(text="", finish_reason="content_filter")
    if "json_validate_failed" in complaint.names.split():
        return Reply(text=complaint.generated or "")
    return None


def _reply_or_error(complaint: Complaint) -> Reply:
    if (reply := reply_to(complaint)) is None:
        raise service_error(complaint, 200)
    return reply


def _finish_reason(choice: Mapping[str, Any], message: Mapping[str, Any]) -> str:
    """Why the reply ended, in OpenAI's words.

    Raises
    ------
    ServiceError
        If it ended because the service failed.
    """
    reason = choice.get("finish_reason")
    details = reason if isinstance(reason, Mapping) else {}  # as SGLang's {"type": "abort", "message": …}
    name = str(details.get("type") or "stop") if details else str(reason or "stop")
    error = choice.get("error") or message.get("error")
    if error or _BROKEN_OFF.fullmatch(name.lower()):
        words = f'the reply was broken off with finish_reason "{name}"'
        raise service_error(complaint_in(error) or complaint_in(details) or Complaint(words), 200)
    plain = name.lower().replace("-", "_")
    if plain in _LENGTH:
        return "length"
    return "content_filter" if plain in _FILTERED else plain


def _answer(message: Mapping[str, Any], finish: str) -> tuple[str, tuple[str, ...]]:
    """What a message says, and what was odd about it."""
    texts, odd = [], False
    for text in _texts(message.get("content")):
        texts.append(text or "")
        odd = odd or text is None
    oddities: tuple[str, ...] = (Oddity.PART_WITHOUT_TEXT.value,) if odd else ()
    answer = "".join(texts)
    if answer.strip() or finish != "stop" or message.get("refusal") or any(_tool_calls(message)):
        return answer, oddities
    for field in _REASONING:
        found = "".join(text or "" for text in _texts(message.get(field), thoughts=True))
        if found.strip():
            return found, (*oddities, Oddity.IN_REASONING.format(field=field))
    return answer, oddities


def _tool_calls(message: Mapping[str, Any]) -> Iterator[ToolCall]:
    """What a message calls, also where a service leaves out ids or writes arguments as an object."""
    calls = message.get("tool_calls")
    functions = [call for call in calls if isinstance(call, Mapping)] if isinstance(calls, list) else []
    if isinstance(message.get("function_call"), Mapping):  # as it was before there were several
        functions.append({"function": message["function_call"]})
    for number, call in enumerate(functions, 1):
        function = call.get("function")
        if not isinstance(function, Mapping):
            continue
        arguments, identity = function.get("arguments"), call.get("id")
        yield ToolCall(
            id=identity if isinstance(identity, str) and identity else f"call_{number}",
            name=str(function.get("name") or ""),
            arguments=arguments if isinstance(arguments, str) else json.dumps(arguments or {}),
        )


def _texts(content: object, *, thoughts: bool = False) -> Iterator[str | None]:
    """The texts of a message's content: one, or one a part; None stands for a part without any."""
    if content is None:
        return
    for part in content if isinstance(content, list) else [content]:
        if thoughts or not _is_thought(part):
            yield _text(part)
        elif isinstance(part, Mapping) and not any(map(part.get, _THOUGHT_TEXTS)):
            yield None


def _is_thought(part: object) -> bool:
    return isinstance(part, Mapping) and (part.get("type") in _THOUGHTS or part.get("thought") is True)


def _text(part: object) -> str | None:
    if isinstance(part, str):
        return part
    if isinstance(part, Mapping):
        for name in ("text", "value", "content", "output_text"):
            if part.get(name) is not None:
                return _text(part[name])
    return None


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
