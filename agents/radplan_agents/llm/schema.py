"""JSON Schemas as services enforce them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from radplan_agents.llm.messages import JSONSchema


def strict_schema(model: type[BaseModel]) -> JSONSchema:
    """Return a model's JSON Schema in the form that OpenAI calls strict.

    Every property is required and no other is allowed; defaults are left out, so a field that may be absent must
    admit None. A free mapping (``dict[str, ...]``) cannot be strict: services that insist refuse the schema, and the
    ladder goes on with the next rung.
    """
    strict = _strict(model.model_json_schema())
    assert isinstance(strict, dict)
    return strict


def _strict(node: Any) -> Any:
    if isinstance(node, list):
        return [_strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    # Under "properties" and "$defs" keys are names, which may well be "default" or "properties" themselves.
    strict = {
        key: {name: _strict(item) for name, item in value.items()} if key in ("properties", "$defs") else _strict(value)
        for key, value in node.items()
        if key != "default"
    }
    if isinstance(strict.get("properties"), dict):
        strict["required"] = list(strict["properties"])
        strict["additionalProperties"] = False
    if "$ref" in strict and len(strict) > 1:  # a strict $ref stands alone
        strict["anyOf"] = [{"$ref": strict.pop("$ref")}]
    return strict
