"""Takes a JSON object out of a model's prose."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from radplan_agents.llm.thoughts import without_thoughts

_FENCED = re.compile(r"```[A-Za-z0-9]*\s*\n(.*?)```", re.DOTALL)
_DECODER = json.JSONDecoder()


class FaultyReplyError(Exception):
    """A reply that is of no use.

    Parameters
    ----------
    fault : str
        Its name in the record.
    detail : str
        What the model is told.
    """

    def __init__(self, fault: str, detail: str) -> None:
        super().__init__(fault, detail)
        self.fault = fault
        self.detail = detail


def extract_json(text: str) -> dict[str, Any]:
    """Return the JSON object that a reply gives.

    The whole text is read if it is one object; else the last object in a Markdown code block; else the last one
    anywhere outside others, as models think, quote and give examples before they answer. Nothing is repaired.

    Raises
    ------
    FaultyReplyError
        "no_json" where there is no object; "not_finite" where it holds NaN, Infinity or a number too large for
        one; "duplicate_key" where it names a thing twice.
    """
    text = without_thoughts(text)
    if _end_of_object(text, 0) == len(text):
        return _read(text)
    blocks = [block.strip() for block in _FENCED.findall(text)]
    objects = [block for block in blocks if _end_of_object(block, 0) == len(block)] or _objects(text)
    if not objects:
        raise FaultyReplyError("no_json", "it holds no JSON object that can be read")
    return _read(objects[-1])


def _objects(text: str) -> list[str]:
    """Every JSON object in a text that is not inside another."""
    found, start = [], text.find("{")
    while start >= 0:
        end = _end_of_object(text, start)
        if end is not None:
            found.append(text[start:end])
        start = text.find("{", start + 1 if end is None else end)
    return found


def _end_of_object(text: str, start: int) -> int | None:
    """Where the JSON object that begins at `start` ends, None if none begins there."""
    if not text.startswith("{", start):
        return None
    try:
        return _DECODER.raw_decode(text, start)[1]
    except ValueError:
        return None
    except RecursionError:  # and so would each object inside it be
        raise FaultyReplyError("no_json", "it is nested too deeply") from None


def _read(text: str) -> dict[str, Any]:
    """An object that is known to be JSON in the wide sense of Python's decoder, held to the strict one."""
    value: dict[str, Any] = json.loads(
        text, parse_constant=_not_finite, parse_float=_finite, object_pairs_hook=_without_duplicates
    )
    return value


def _not_finite(text: str) -> NoReturn:
    raise FaultyReplyError("not_finite", f"it holds {text}, which is no number")


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _not_finite(text)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise FaultyReplyError("duplicate_key", f"it gives {twice!r} twice")
    return value
