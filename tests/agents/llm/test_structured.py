"""The ladder: what is of no use is named, shown to the model, and never replaced."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from radplan_agents.llm import (
    Failed,
    Image,
    MockClient,
    Reply,
    Request,
    ask,
    json_judge,
    strict_schema,
    text_judge,
    user,
)


class Change(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    structure: str
    weight: float = Field(ge=0)
    factor: float = Field(ge=0.1, le=10)
    direction: Literal["up", "down"] = "up"

    @field_validator("structure")
    @classmethod
    def is_known(cls, value: str, info: ValidationInfo) -> str:
        if value not in (info.context or {}).get("structures", ()):
            raise PydanticCustomError("unknown_structure", "there is no structure {name}", {"name": value})
        return value


CONTEXT = {"structures": ("Rectum", "Bladder")}
GOOD: dict[str, Any] = {"structure": "Rectum", "weight": 30, "factor": 2.5, "direction": "up"}
REQUEST = Request(messages=(user("What next?"),), json_schema=strict_schema(Change))
JUDGE = json_judge(Change, CONTEXT)


def changed(**values: Any) -> str:
    return json.dumps(GOOD | values)


FAULTY: dict[str, tuple[Reply | str, str]] = {
    "prose": ("I would raise the rectum's weight.", "no_json"),
    "empty": ("  \n", "empty"),
    "cut short": (Reply(text=changed()[:20], finish_reason="length"), "truncated"),
    "whole, but at the limit": (Reply(text=changed(), finish_reason="length"), "truncated"),
    "refused": (Reply(text="", refusal="I cannot give medical advice."), "refused"),
    "filtered": (Reply(text="", finish_reason="content_filter"), "content_filter"),
    "huge": (changed() + " " * 100_000, "oversized"),
    "NaN": (changed(weight=float("nan")), "not_finite"),
    "negative weight": (changed(weight=-1), "out_of_bounds"),
    "factor": (changed(factor=10.5), "out_of_bounds"),
    "unknown structure": (changed(structure="Prostate"), "unknown_structure"),
    "direction": (changed(direction="sideways"), "unknown_value"),
    "missing": ('{"structure": "Rectum"}', "wrong_schema"),
    "extra": (changed(comment="more"), "wrong_schema"),
    "word for a number": (changed(weight="high"), "wrong_schema"),
    "nested": ('{"structure":' * 900 + "1" + "}" * 900, "wrong_schema"),
}


@pytest.mark.parametrize(("said", "fault"), FAULTY.values(), ids=FAULTY)
def test_each_fault_has_its_name_and_can_be_corrected(said: Reply | str, fault: str) -> None:
    client = MockClient([said, changed()])
    noted: list[str] = []
    answer = ask(client, REQUEST, JUDGE, note=lambda f: noted.append(f.name))
    assert answer == Change.model_validate(GOOD, context=CONTEXT)
    assert noted == [fault]


@pytest.mark.parametrize(("said", "fault"), FAULTY.values(), ids=FAULTY)
def test_three_times_of_no_use_is_a_failure_that_says_so(said: Reply | str, fault: str) -> None:
    client = MockClient([said] * 4)
    answer = ask(client, REQUEST, JUDGE)
    assert isinstance(answer, Failed)
    assert [f.name for f in answer.faults] == [fault] * 3
    assert fault in str(answer)
    assert len(client.requests) == 3


def test_a_correction_quotes_the_reply_and_the_error() -> None:
    client = MockClient([changed(structure="Prostate"), changed(factor=99), changed()])
    ask(client, REQUEST, JUDGE)
    for request, value, error in zip(
        client.requests[1:], ["Prostate", "99"], ["no structure Prostate", "less than or equal to 10"], strict=True
    ):
        *_, said, correction = request.messages
        assert (request.messages[0], said.role, correction.role) == (REQUEST.messages[0], "assistant", "user")
        assert value in said.text
        assert error in correction.text


def test_no_two_requests_are_the_same() -> None:
    """Or a cache, or a model at temperature 0, would only repeat its fault."""
    client = MockClient(["no JSON"] * 3)
    ask(client, REQUEST.model_copy(update={"format": "text"}), JUDGE)
    assert len({request.model_dump_json() for request in client.requests}) == 3


def test_a_huge_reply_is_not_quoted_in_full() -> None:
    client = MockClient(["Rectum! " * 50_000, changed()])
    ask(client, REQUEST, JUDGE)
    assert len(client.requests[1].messages[1].text) < 5_000


@pytest.mark.parametrize(
    ("said", "formats"),
    [
        ("no JSON", ["json_schema", "json_object", "text"]),  # the service does not enforce what it was asked to
        (changed(factor=99), ["json_schema"] * 3),  # a bound that schemas need not enforce
    ],
)
def test_the_format_is_loosened_where_it_turns_out_not_to_be_enforced(said: str, formats: list[str]) -> None:
    client = MockClient([said] * 3)
    ask(client, REQUEST, JUDGE)
    assert [request.format for request in client.requests] == formats


def test_prose_is_held_to_being_there() -> None:
    client = MockClient(["", Reply(text="The PTV is", finish_reason="length"), "The PTV is covered."])
    assert ask(client, Request(messages=(user("Describe it."),)), text_judge) == "The PTV is covered."
    assert isinstance(ask(MockClient([""] * 3), Request(messages=(user("Describe it."),)), text_judge), Failed)


def test_a_strict_schema_requires_everything_and_allows_nothing_else() -> None:
    class Inner(BaseModel):
        default: int = 3  # a name that is a keyword elsewhere
        note: str | None = None

    class Outer(BaseModel):
        properties: list[Inner]
        only: Inner = Field(description="one alone")

    schema = strict_schema(Outer)

    def walk(node: Any, visit: Callable[[dict[str, Any]], None]) -> None:
        if isinstance(node, dict):
            visit(node)
            for value in node.values():
                walk(value, visit)
        elif isinstance(node, list):
            for value in node:
                walk(value, visit)

    objects: list[dict[str, Any]] = []
    walk(schema, lambda node: objects.append(node) if node.get("type") == "object" else None)
    assert [sorted(node["required"]) for node in objects] == [sorted(node["properties"]) for node in objects]
    assert len(objects) == 2 and all(node["additionalProperties"] is False for node in objects)
    assert schema["properties"]["only"]["anyOf"] == [{"$ref": "#/$defs/Inner"}]
    assert set(schema["$defs"]["Inner"]["properties"]) == {"default", "note"}
    assert "default" not in schema["$defs"]["Inner"]["properties"]["note"]


def test_a_picture_must_be_one() -> None:
    with pytest.raises(ValueError, match="PNG"):
        Image(png=b"GIF89a", name="dose wash")
