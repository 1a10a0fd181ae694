"""Services' errors in their many forms: their words reach the user, their meaning the client."""

from __future__ import annotations

from typing import Any

import pytest
import scripted_server as scripted

from radplan_agents.llm import Endpoint, ModelError, OpenAIClient, Request, Retrying, ServiceError, user

SCHEMA = {
    "title": "Proposal",
    "type": "object",
    "properties": {"remark": {"type": "string", "pattern": "^.{1,60}$"}, "n": {"exclusiveMinimum": 0}},
    "required": ["remark", "n"],
    "additionalProperties": False,
}
ASKED = Request(messages=(user("What next?"),), json_schema=SCHEMA, temperature=0.0, seed=7, max_tokens=50)

OF_THE_SCHEMA = {
    "OpenAI": "Invalid schema for response_format: In context=('properties', 'remark'), 'pattern' is not permitted.",
    "OpenAI, a bound": "Invalid schema: In context=('properties', 'n'), 'exclusiveMinimum' is not permitted",
    "OpenAI, nesting": "Invalid schema for response_format 'X': 7 levels of nesting exceeds limit of 5.",
    "OpenAI, enum": "Invalid schema: Expected at most 500 enum values in total within a schema.",
    "the keyword alone": "In context=('properties', 'remark'), 'pattern' is not permitted.",
    "Anthropic": "output_config.format.schema: For 'number' type, properties maximum, minimum are not supported",
    "Anthropic, size": "The compiled grammar is too large, which would cause performance issues.",
    "Gemini": 'Invalid JSON payload received. Unknown name "additionalProperties" at generation_config.response_schema',
    "Gemini, size": "The specified schema produces a constraint that has too many states for serving.",
    "Gemini, bare": "Request contains an invalid argument.",
    "vLLM": "The provided JSON schema contains features not supported by xgrammar.",
    "llama.cpp": "failed to parse grammar: maximum number of repetitions exceeded in this context",
    "Mistral": "Structured output schema exceeds the maximum depth",
    "Azure": "response_format value as json_schema is enabled only for api versions 2024-08-01-preview and later",
}


@pytest.mark.parametrize("message", OF_THE_SCHEMA.values(), ids=OF_THE_SCHEMA)
@pytest.mark.parametrize("status", [400, 422, "200 with code", 200])
def test_a_refused_schema_is_left_out_and_put_in_words(
    service: scripted.Service, endpoint: Endpoint, status: Any, message: str
) -> None:
    body = {"error": {"message": message, "type": "invalid_request_error"}}
    if status == "200 with code":
        body = {"error": {"message": "Provider returned error", "code": 400, "metadata": {"raw": message}}}  # type: ignore[dict-item]
    code = status if isinstance(status, int) else 200
    service.script.extend([scripted.sends_json(body, code), scripted.says("{}"), scripted.says("{}")])
    client = OpenAIClient(endpoint)
    for _ in range(2):
        assert client.complete(ASKED).adaptations == ("response_format json_schema replaced by json_object",)
    assert "JSON Schema" in service.requests[-1]["messages"][-1]["content"]
    assert len(service.requests) == 3


TOO_LONG = {
    "OpenAI": "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens "
    "(8900 in the messages, 100 in the response_format schemas). Please reduce the length of the messages.",
    "vLLM": "The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
    "llama.cpp": "the request exceeds the available context size. try increasing the context size",
    "Anthropic": "prompt is too long: 200001 tokens > 200000 maximum",
    "Gemini": "The input token count (40000) exceeds the maximum number of tokens allowed (32768).",
    "Mistral": "Prompt contains 40000 tokens, too large for model with 32768 maximum context length",
    "LM Studio": "Trying to keep the first 5000 tokens when context overflows. The context length is only 4096 tokens",
}


@pytest.mark.parametrize("message", TOO_LONG.values(), ids=TOO_LONG)
def test_a_prompt_that_is_too_long_is_no_matter_of_the_schema(
    service: scripted.Service, endpoint: Endpoint, message: str
) -> None:
    service.script.append(scripted.status(400, message, code="context_length_exceeded"))
    with pytest.raises(ServiceError) as caught:
        OpenAIClient(endpoint).complete(ASKED)
    assert message in str(caught.value)
    assert (caught.value.fault, len(service.requests)) == ("rejected", 1)


WORDS = "the queue is full of WORDS"

BODIES: dict[str, tuple[Any, str, bool]] = {
    "OpenRouter": ({"error": {"message": WORDS, "code": 429}}, "rate_limited", True),
    "OpenRouter, passed on": (
        {"error": {"message": "Provider returned error", "code": 502, "metadata": {"raw": f'{{"error":"{WORDS}"}}'}}},
        "server_error",
        True,
    ),
    "with empty choices": ({"choices": [], "error": {"message": WORDS, "code": 401}}, "no_access", False),
    "with null choices": ({"choices": None, "error": {"message": WORDS, "code": "429"}}, "rate_limited", True),
    "names": ({"error": {"message": WORDS, "code": "insufficient_quota"}}, "out_of_credit", False),
    "Anthropic": ({"type": "error", "error": {"type": "overloaded_error", "message": WORDS}}, "server_error", True),
    "Gemini": ([{"error": {"code": 429, "message": WORDS, "status": "RESOURCE_EXHAUSTED"}}], "rate_limited", True),
    "Ollama": ({"error": WORDS}, "server_error", True),
    "vLLM": ({"object": "error", "message": WORDS, "type": "NotFoundError", "code": 404}, "not_found", False),
    "FastAPI": ({"detail": WORDS}, "server_error", True),
    "FastAPI, a list": ({"detail": [{"loc": ["body", "top_p"], "msg": WORDS}]}, "server_error", True),
    "Cloudflare": (
        {"success": False, "errors": [{"code": 7003, "message": WORDS}], "result": None},
        "server_error",
        True,
    ),
    "MiniMax": ({"base_resp": {"status_code": 1004, "status_msg": WORDS}, "choices": None}, "server_error", True),
    "SiliconFlow": ({"code": 20012, "message": WORDS, "data": None}, "server_error", True),
    "API management": ({"statusCode": 403, "message": WORDS}, "no_access", False),
}


@pytest.mark.parametrize(("body", "fault", "transient"), BODIES.values(), ids=BODIES)
def test_an_error_with_status_200_keeps_its_words(
    service: scripted.Service, endpoint: Endpoint, body: Any, fault: str, transient: bool
) -> None:
    service.script.append(scripted.sends_json(body))
    with pytest.raises(ServiceError) as caught:
        OpenAIClient(endpoint).complete(ASKED)
    assert WORDS in str(caught.value)
    assert (caught.value.fault, caught.value.transient) == (fault, transient)


@pytest.mark.parametrize("body", [body for body, _, _ in BODIES.values()], ids=BODIES)
def test_so_does_one_with_a_status_of_its_own(service: scripted.Service, endpoint: Endpoint, body: Any) -> None:
    service.script.append(scripted.sends_json(body, 503))
    with pytest.raises(ServiceError, match=f"HTTP 503: .*{WORDS}") as caught:
        OpenAIClient(endpoint).complete(ASKED)
    assert caught.value.transient


def test_a_page_in_place_of_a_reply_is_quoted(service: scripted.Service, endpoint: Endpoint) -> None:
    service.script.append(scripted.sends(200, b"<html><body>upstream connect error</body></html>"))
    with pytest.raises(ModelError, match="upstream connect error"):
        Retrying(OpenAIClient(endpoint), attempts=1).complete(ASKED)


IN_A_CHOICE: dict[str, dict[str, Any]] = {
    "OpenRouter": {"finish_reason": "error", "error": {"code": 502, "message": WORDS}},
    "half an answer": {"message": {"content": '{"remark": "Sp'}, "error": {"code": 503, "message": WORDS}},
    "no reason": {"message": {"content": ""}, "finish_reason": None, "error": WORDS},
    "in the message": {"message": {"content": None, "error": {"message": WORDS}}, "finish_reason": "stop"},
    "SGLang": {"message": {"content": ""}, "finish_reason": {"type": "abort", "message": WORDS}},
}


@pytest.mark.parametrize("choice", IN_A_CHOICE.values(), ids=IN_A_CHOICE)
def test_an_error_in_a_choice_is_the_services(
    service: scripted.Service, endpoint: Endpoint, choice: dict[str, Any]
) -> None:
    service.script.extend([scripted.sends_json({"choices": [choice]}), scripted.says("{}")])
    reply = Retrying(OpenAIClient(endpoint), sleep=lambda s: None).complete(ASKED)
    assert (reply.text, reply.faults) == ("{}", ("server_error",))
    service.script.append(scripted.sends_json({"choices": [choice]}))
    with pytest.raises(ServiceError, match=WORDS):
        OpenAIClient(endpoint).complete(ASKED)


@pytest.mark.parametrize("reason", ["error", "insufficient_system_resource", "network_error", "abort", "cancelled"])
def test_a_reply_broken_off_by_the_service_is_no_answer(
    service: scripted.Service, endpoint: Endpoint, reason: str
) -> None:
    service.script.append(scripted.says("half an ans", finish=reason))
    with pytest.raises(ServiceError, match=reason) as caught:
        OpenAIClient(endpoint).complete(ASKED)
    assert (caught.value.fault, caught.value.transient) == ("server_error", True)


@pytest.mark.parametrize(
    ("reason", "meaning"),
    [
        ("MAX_TOKENS", "length"),
        ("model_context_window_exceeded", "length"),
        ("sensitive", "content_filter"),
        ("SAFETY", "content_filter"),
        ("STOP", "stop"),
        ("end_turn", "end_turn"),
        (None, "stop"),
    ],
)
def test_reasons_to_finish_in_other_words(
    service: scripted.Service, endpoint: Endpoint, reason: str | None, meaning: str
) -> None:
    service.script.append(scripted.says("Yes.", finish=reason))
    assert OpenAIClient(endpoint).complete(ASKED).finish_reason == meaning


def test_what_the_model_did_is_no_failure_of_the_service(service: scripted.Service, endpoint: Endpoint) -> None:
    service.script.extend(
        [
            scripted.status(400, "Failed to generate JSON.", code="json_validate_failed", failed_generation="Sure!"),
            scripted.status(400, "The response was filtered", code="content_filter"),
        ]
    )
    client = OpenAIClient(endpoint)
    assert client.complete(ASKED).text == "Sure!"
    assert client.complete(ASKED).finish_reason == "content_filter"
