"""What goes over the wire, and what comes of a service's answers and refusals."""

from __future__ import annotations

import base64
import json
import re
import sys
import traceback
from typing import Any

import pytest
import scripted_server as scripted

from radplan_agents.llm import (
    Endpoint,
    Image,
    ModelError,
    OpenAIClient,
    Request,
    Retrying,
    ServiceError,
    SettingsError,
    Usage,
    assistant,
    system,
    user,
)

SCHEMA = {"title": "Next step", "type": "object", "properties": {}}
FULL = Request(
    messages=(system("You plan."), user("What next?")), json_schema=SCHEMA, temperature=0.0, seed=7, max_tokens=50
)


def test_a_request_as_the_api_has_it(service: scripted.Service, endpoint: Endpoint, key: str, png: bytes) -> None:
    service.script.extend([scripted.says("{}"), scripted.says("It is hot.")])
    client = OpenAIClient(endpoint)
    client.complete(FULL)
    assert service.requests[0] == {
        "model": "scripted",
        "messages": [{"role": "system", "content": "You plan."}, {"role": "user", "content": "What next?"}],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "Next_step", "strict": True, "schema": SCHEMA},
        },
        "temperature": 0.0,
        "seed": 7,
        "max_tokens": 50,
    }
    reply = client.complete(
        Request(
            messages=(user("Before:", Image(png=png, name="dose wash", detail="high"), "Describe."), assistant("So"))
        )
    )
    text, picture, _ = service.requests[1]["messages"][0]["content"]
    assert text == {"type": "text", "text": "Before:"}
    assert picture["image_url"]["detail"] == "high"
    assert base64.b64decode(picture["image_url"]["url"].removeprefix("data:image/png;base64,")) == png
    assert (reply.text, reply.model, reply.finish_reason) == ("It is hot.", "scripted-1", "stop")
    assert reply.usage == Usage(prompt_tokens=100, cached_tokens=60, completion_tokens=20)


def test_a_reply_in_parts(service: scripted.Service, endpoint: Endpoint) -> None:
    """As Mistral's reasoning models give it."""
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": "Yes."}]
    service.script.append(scripted.says(parts))
    assert OpenAIClient(endpoint).complete(FULL).text == "Yes."


def test_usage_that_is_not_told_is_not_known(service: scripted.Service, endpoint: Endpoint) -> None:
    client = OpenAIClient(endpoint)
    for usage in (None, {}, {"prompt_tokens": "many"}, {"prompt_tokens_details": 3}):
        service.script.append(scripted.says("Yes.", usage=usage))
        assert client.complete(FULL).usage == Usage()


REFUSALS = {
    "OpenAI, reasoning model": (
        400,
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        "max_tokens",
        "max_tokens sent as max_completion_tokens",
    ),
    "OpenAI, temperature": (
        400,
        "Unsupported value: 'temperature' does not support 0.0 with this model. Only the default (1) is supported.",
        "temperature",
        "temperature left out",
    ),
    "seed": (422, "Extra inputs are not permitted: seed", None, "seed left out"),
    "schema": (
        400,
        "Invalid schema for response_format 'Next_step': 'additionalProperties' is required to be false.",
        "response_format",
        "response_format json_schema replaced by json_object",
    ),
    "llama.cpp, schema": (
        400,
        "Unable to generate parser for this template. JSON schema error at #: cannot resolve $ref",
        None,
        "response_format json_schema replaced by json_object",
    ),
}


@pytest.mark.parametrize(("code", "message", "parameter", "adaptation"), REFUSALS.values(), ids=REFUSALS)
def test_what_is_refused_is_left_out_recorded_and_remembered(
    service: scripted.Service, endpoint: Endpoint, code: int, message: str, parameter: str | None, adaptation: str
) -> None:
    service.script.extend([scripted.status(code, message, param=parameter), scripted.says("{}"), scripted.says("{}")])
    client = OpenAIClient(endpoint)
    replies = [client.complete(FULL), client.complete(FULL)]
    assert [reply.adaptations for reply in replies] == [(adaptation,)] * 2
    assert len(service.requests) == 3
    first, second, third = service.requests
    assert second == third != first
    assert second.get("max_tokens", second.get("max_completion_tokens")) == 50


def test_a_format_is_loosened_step_by_step_and_put_in_words(service: scripted.Service, endpoint: Endpoint) -> None:
    refusal = scripted.status(400, "response_format is not supported")
    service.script.extend([refusal, refusal, scripted.says("{}")])
    reply = OpenAIClient(endpoint).complete(FULL)
    assert [request.get("response_format", {}).get("type") for request in service.requests] == [
        "json_schema",
        "json_object",
        None,
    ]
    assert reply.adaptations == ("response_format left out",)
    for request in service.requests[1:]:  # OpenAI's json_object insists on the word JSON, too
        assert "JSON Schema" in request["messages"][-1]["content"]
        assert json.dumps(SCHEMA) in request["messages"][-1]["content"]


def test_a_service_that_takes_a_schema_but_no_json_object(service: scripted.Service, endpoint: Endpoint) -> None:
    refusal = scripted.status(400, "'response_format.type' must be 'json_schema' or 'text'")
    service.script.extend([scripted.says("{}"), refusal, scripted.says("{}"), scripted.says("{}")])
    client = OpenAIClient(endpoint)
    replies = [client.complete(FULL.model_copy(update={"format": form})) for form in ("json_schema", "json_object")]
    replies.append(client.complete(FULL))
    assert [reply.adaptations for reply in replies] == [(), ("response_format left out",), ()]
    assert service.requests[-1]["response_format"]["type"] == "json_schema"


def test_everything_refused_one_after_another(service: scripted.Service, endpoint: Endpoint, png: bytes) -> None:
    for word in ("json_schema", "json_object", "max_tokens", "temperature", "seed", "image_url"):
        service.script.append(scripted.status(400, f"unknown field {word}"))
    service.script.append(scripted.says("{}"))
    request = FULL.model_copy(update={"messages": (user("See", Image(png=png, name="dose wash")),)})
    reply = OpenAIClient(endpoint).complete(request)
    assert len(reply.adaptations) == 5
    assert set(service.requests[-1]) == {"model", "messages", "max_completion_tokens"}


NO_VISION = {
    "llama.cpp": (500, "image input is not supported - hint: you may need to provide the mmproj"),
    "vLLM": (400, "scripted is not a multimodal model"),
    "DeepSeek": (422, "unknown variant `image_url`, expected `text`"),
    "vLLM, limited": (400, "At most 0 image(s) may be provided in one prompt."),
    "Groq": (400, "messages[0].content must be a string"),
    "OpenRouter": (404, "No endpoints found that support image input"),
}


@pytest.mark.parametrize(("code", "message"), NO_VISION.values(), ids=NO_VISION)
def test_a_model_without_vision_goes_on_without_pictures(
    service: scripted.Service, endpoint: Endpoint, png: bytes, code: int, message: str
) -> None:
    request = Request(messages=(user("What do you see?", Image(png=png, name="dose wash")),))
    service.script.extend([scripted.status(code, message), scripted.says("Nothing."), scripted.says("Nothing.")])
    client = OpenAIClient(endpoint)
    assert client.complete(request).adaptations == ("pictures left out",)
    assert client.complete(request).adaptations == ("pictures left out",)
    assert len(service.requests) == 3
    assert "this model sees none: dose wash" in service.requests[1]["messages"][0]["content"]

    service.script.append(scripted.status(code, message))
    with pytest.raises(ServiceError) as caught:
        OpenAIClient(endpoint, must_see=True).complete(request)
    assert not caught.value.transient


@pytest.mark.parametrize(
    "message",
    [
        "max_tokens is too large: 50",
        "this model's maximum context length is 8",
        "image exceeds 20 MB",
        "At most 1 image(s)",
    ],
)
def test_too_much_is_not_taken_for_not_at_all(
    service: scripted.Service, endpoint: Endpoint, png: bytes, message: str
) -> None:
    service.script.append(scripted.status(400, message))
    request = FULL.model_copy(update={"messages": (user("See", Image(png=png, name="dose wash")),)})
    with pytest.raises(ServiceError, match=re.escape(message)) as caught:
        OpenAIClient(endpoint).complete(request)
    assert caught.value.fault == "rejected"
    assert len(service.requests) == 1


FAULTS: dict[str, tuple[scripted.Step, str, bool]] = {
    "429": (scripted.status(429, "slow down"), "rate_limited", True),
    "429, no credit": (scripted.status(429, "no quota", code="insufficient_quota"), "out_of_credit", False),
    "500": (scripted.status(500, "oops"), "server_error", True),
    "503, HTML": (scripted.sends(503, b"<html>busy</html>"), "server_error", True),
    "401": (scripted.status(401, "who are you?"), "no_access", False),
    "404": (scripted.status(404, "no such model"), "not_found", False),
    "400": (scripted.status(400, "no"), "rejected", False),
    "hang": (scripted.hangs, "timeout", True),
    "drip": (scripted.drips, "timeout", True),
    "drop": (scripted.drops, "connection", True),
    "drop half-way": (scripted.drops_half_way, "connection", True),
    "bad gzip": (scripted.sends(200, b"no gzip", {"Content-Encoding": "gzip"}), "connection", True),
    "no JSON": (scripted.sends(200, b"<html>hello</html>"), "malformed_response", True),
    "half JSON": (scripted.sends(200, b'{"choices": ['), "malformed_response", True),
    "no completion": (scripted.sends(200, b'{"choices": 3}'), "malformed_response", True),
    "a list": (scripted.sends(200, b"[]"), "malformed_response", True),
    "deep": (scripted.sends(200, b"[" * 100_000), "malformed_response", True),
    "huge": (scripted.sends(200, b" " * 5_000_000), "oversized_response", True),
}


@pytest.mark.parametrize(("step", "fault", "transient"), FAULTS.values(), ids=FAULTS)
def test_every_fault_of_a_service_has_its_name(
    service: scripted.Service, endpoint: Endpoint, step: scripted.Step, fault: str, transient: bool
) -> None:
    service.script.append(step)
    with pytest.raises(ServiceError) as caught:
        OpenAIClient(endpoint, timeout_s=0.3 if fault == "timeout" else 20).complete(FULL)
    assert (caught.value.fault, caught.value.transient) == (fault, transient)


def test_no_service_at_all() -> None:
    with pytest.raises(ServiceError) as caught:
        OpenAIClient(Endpoint(model="m", base_url="http://127.0.0.1:9/v1")).complete(FULL)
    assert (caught.value.fault, caught.value.transient) == ("connection", True)


@pytest.mark.parametrize(
    ("header", "low", "high"),
    [
        ("7", 7, 7),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
        ("Fri, 31 Dec 2100 23:59:59 GMT", 1e9, 1e10),
        ("soon", None, None),
        ("nan", None, None),
    ],
)
def test_how_long_a_service_asks_to_be_left_alone(
    service: scripted.Service, endpoint: Endpoint, header: str, low: float | None, high: float | None
) -> None:
    service.script.append(scripted.status(429, "slow down", {"Retry-After": header}))
    with pytest.raises(ServiceError) as caught:
        OpenAIClient(endpoint).complete(FULL)
    asked = caught.value.retry_after_s
    assert asked is None if low is None or high is None else asked is not None and low <= asked <= high


@pytest.mark.parametrize("code", [200, 400, 401, 429, 500])
def test_a_service_that_says_the_key_back(
    service: scripted.Service, endpoint: Endpoint, key: str, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "openai")
    service.script.append(scripted.echoes(code))
    client = OpenAIClient(endpoint)
    seen: list[Any] = [repr(endpoint), repr(client)]
    try:
        seen.append(Retrying(client, attempts=1).complete(FULL).model_dump_json())
    except ModelError as error:
        seen += ["".join(traceback.format_exception(error)), repr(error), vars(error), repr(error.__context__)]
    seen += [record.getMessage() for record in caplog.records]
    text = str(seen)
    assert "SENTINEL" not in text and key[:16] not in text
    assert "[API key]" in text or code != 200


def test_without_the_package_it_says_which(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(SettingsError, match=r"pip install -e '\.\[llm\]'"):
        OpenAIClient(endpoint)
