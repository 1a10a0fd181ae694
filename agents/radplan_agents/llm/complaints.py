"""What a service says when it fails, whatever the form of its error and whatever status it comes with."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from radplan_agents.llm.errors import ServiceError

LONGEST_WORDS = 1000
"""Characters of a service's words that an error repeats."""

_DEPTH = 8
"""Errors within errors, as gateways pass them on, that are looked into."""

_WORDS = (
    "message", "msg", "error_msg", "error_message", "status_msg", "errorMessage", "faultstring", "description", "title",
)  # fmt: skip
_INNER = ("error", "errors", "Error", "detail", "details", "fault", "base_resp", "metadata", "raw", "cause")
_STATUS = ("code", "status", "status_code", "statusCode", "error_code", "http_status")
_NAMES = ("code", "type", "status", "error_type", "errorcode")

_OUT_OF_CREDIT = re.compile(
    r"insufficient.?(quota|balance|funds|credit)|billing|payment|out.?of.?credit", re.IGNORECASE
)
_MEANINGS = (
    (_OUT_OF_CREDIT, 402),
    (re.compile(r"rate.?limit|too.?many.?requests|exhausted|throttl|quota", re.IGNORECASE), 429),
    (re.compile(r"auth|api.?key|permission|forbidden|access", re.IGNORECASE), 401),
    (re.compile(r"not.?found|no.?such", re.IGNORECASE), 404),
    (re.compile(r"overload|unavailable|server|internal|time.?out|deadline|busy|capacity", re.IGNORECASE), 503),
    (re.compile(r"invalid|bad.?request|validation|context|unsupported|not.?supported", re.IGNORECASE), 400),
)
"""HTTP statuses that the names of errors stand for; the first that fits counts."""


@dataclass(frozen=True)
class Complaint:
    """An error as a service reports it.

    Parameters
    ----------
    words : str
        What it says, the words of a service behind it included.
    names : str
        Its codes and types, such as "insufficient_quota invalid_request_error".
    status : int, optional
        The HTTP status that the body gives or its names stand for; None where they tell nothing.
    parameter : str, optional
        The request's parameter that it complains of.
    generated : str, optional
        What the model had written, where the complaint is of that.
    """

    words: str
    names: str = ""
    status: int | None = None
    parameter: str | None = None
    generated: str | None = None


def complaint_in(body: object) -> Complaint | None:
    """Return the complaint that a response's body holds, None where it holds no words.

    Read are OpenAI's ``{"error": {"message": ...}}``, its relatives with a plain text, a list or the fields at the top,
    FastAPI's ``detail``, and the bodies of other services that gateways pass on as ``metadata.raw``.
    """
    objects = list(_objects(body, _DEPTH))
    words = list(dict.fromkeys(text for text in map(_words, objects) if text))
    if not words:
        return None
    fields = [item for item in objects if isinstance(item, Mapping)]
    names = " ".join(value for item in fields for name in _NAMES if isinstance(value := item.get(name), str))
    numbers = (_http_status(item.get(name)) for item in fields for name in _STATUS)
    parameters = (item[name] for item in fields for name in ("param", "parameter") if isinstance(item.get(name), str))
    generated = (item["failed_generation"] for item in fields if isinstance(item.get("failed_generation"), str))
    return Complaint(
        words="; ".join(words)[:LONGEST_WORDS],
        names=names,
        status=next((number for number in numbers if number), None) or _meaning(names),
        parameter=next(parameters, None),
        generated=next(generated, None),
    )


def service_error(complaint: Complaint, http_status: int, *, retry_after_s: float | None = None) -> ServiceError:
    """Return the error that a complaint is, with the words of the service.

    Parameters
    ----------
    complaint : Complaint
        What the service says.
    http_status : int
        The status it came with. Below 400 the complaint's own counts; one that tells none may pass.
    retry_after_s : float, optional
        How long the service asks to be left alone.
    """
    told = http_status >= 400
    status = http_status if told else complaint.status or http_status
    fault, transient = _fault_of(status, complaint.names)
    with_status = f"HTTP {status}" if told or status == http_status else f"error {status}, sent with HTTP {http_status}"
    return ServiceError(
        f"{with_status}: {complaint.words}",
        fault=fault,
        transient=transient,
        status=status,
        parameter=complaint.parameter,
        retry_after_s=retry_after_s,
    )


def _fault_of(status: int, names: str) -> tuple[str, bool]:
    """The name of a status, and whether asking again may help."""
    if status == 429:  # OpenAI answers 429 to an empty purse too, which no patience fills
        return ("out_of_credit", False) if _OUT_OF_CREDIT.search(names) else ("rate_limited", True)
    if status >= 500 or status < 400 or status in (408, 409, 425):
        return "server_error", True
    known = {401: "no_access", 402: "out_of_credit", 403: "no_access", 404: "not_found"}
    return known.get(status, "rejected"), False


def _objects(body: object, depth: int) -> Iterator[object]:
    """An error's body and the errors inside it, the outermost first."""
    if depth == 0:
        return
    if isinstance(body, str):
        if (inner := _json_in(body)) is not None:
            yield from _objects(inner, depth - 1)
        else:
            yield body
    elif isinstance(body, list):
        for item in body[:8]:
            yield from _objects(item, depth - 1)
    elif isinstance(body, Mapping):
        yield body
        for name in _INNER:
            if body.get(name):
                yield from _objects(body[name], depth - 1)
        for name in _WORDS:  # LiteLLM and others write the error they got into their message
            if isinstance(value := body.get(name), Mapping) or _json_in(value) is not None:
                yield from _objects(value, depth - 1)


def _json_in(text: object) -> object | None:
    """The JSON object or list that a text is, None if it is none."""
    if not isinstance(text, str) or not text.lstrip().startswith(("{", "[")):
        return None
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value


def _words(item: object) -> str:
    """What an object says itself, without those inside it."""
    if isinstance(item, str):
        return " ".join(item.split())
    if not isinstance(item, Mapping):
        return ""
    texts = [
        " ".join(text.split()) for name in _WORDS if isinstance(text := item.get(name), str) and not _json_in(text)
    ]
    place = item.get("loc")  # FastAPI says where
    where = ".".join(map(str, place)) + ": " if isinstance(place, list) and texts else ""
    return where + " ".join(texts)


def _http_status(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | str) or not str(value).isdecimal():
        return None
    return int(value) if len(str(value)) == 3 and 400 <= int(value) <= 599 else None


def _meaning(names: str) -> int | None:
    return next((status for pattern, status in _MEANINGS if pattern.search(names)), None)
