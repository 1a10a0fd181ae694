"""Something in the place of GPT-RadPlan's model: prose for experts, valid objects for evaluator and planner."""

from __future__ import annotations

import json
from typing import Any

import scripted_server as scripted


def answers(handler: scripted.Handler) -> None:
    """The step of a scripted service that answers a question."""
    form = handler.body.get("response_format")
    schema = None if form is None else form["json_schema"]["schema"]
    scripted.says(answer(schema, json.dumps(handler.body["messages"])))(handler)


def answer(schema: dict[str, Any] | None, said: str) -> str:
    """Answers by what is asked, so that the same question gets the same answer, whoever asks first."""
    if schema is None:
        return "The dose is where it should be, but for the rectum."
    return json.dumps(_filled(schema, schema, sum(said.encode())))


def _filled(node: dict[str, Any], schema: dict[str, Any], digest: int) -> Any:
    """Something that a schema allows: of an enumeration any value, but never to stop; lists of one, or null."""
    if "$ref" in node:
        return _filled(schema["$defs"][node["$ref"].rpartition("/")[2]], schema, digest)
    if "anyOf" in node:
        first = node["anyOf"][0]
        return None if first.get("type") == "array" else _filled(first, schema, digest)
    if "enum" in node:
        choices = [value for value in node["enum"] if value != "stop"]
        return choices[digest % len(choices)]
    match node["type"]:
        case "object":
            return {name: _filled(part, schema, digest // 3) for name, part in node["properties"].items()}
        case "array":
            return [_filled(node["items"], schema, digest)] if node.get("maxItems", 1) else []
        case "integer":
            return node.get("minimum", 1)
        case "number":
            return 1.1 + digest % 3000 / 1000
    return "because it is too hot"
