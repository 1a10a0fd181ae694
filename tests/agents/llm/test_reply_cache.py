"""Replies on disk: repeated without the model, paid once, shared by processes."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from radplan_agents.llm import (
    Cached,
    CacheMissError,
    Image,
    MockClient,
    ModelError,
    Reply,
    ReplyStore,
    Request,
    ServiceError,
    Usage,
    system,
    user,
)

REQUEST = Request(messages=(system("You plan."), user("What next?")), temperature=0.0)
REPLY = Reply(
    text="Rectum",
    model="scripted-1",
    usage=Usage(prompt_tokens=3, completion_tokens=4),
    cost_usd=0.5,
    adaptations=("seed left out",),
    faults=("timeout",),
)


def cached(path: Path, *script: Any, name: str = "m@http://a/v1") -> tuple[Cached, MockClient]:
    client = MockClient(script)
    return Cached(client, ReplyStore(path), endpoint_name=name), client


def test_a_reply_is_had_again_to_the_last_field(tmp_path: Path) -> None:
    first, _ = cached(tmp_path / "c.sqlite", lambda request: REPLY)
    assert first.complete(REQUEST) == REPLY
    again = Cached(None, ReplyStore(tmp_path / "c.sqlite"), endpoint_name="m@http://a/v1").complete(REQUEST)
    assert again.model_dump() == REPLY.model_dump()
    assert again.from_cache


def test_anything_that_decides_a_reply_makes_another_request(tmp_path: Path, png: bytes) -> None:
    def picture(data: bytes, **details: Any) -> Request:
        return REQUEST.model_copy(update={"messages": (user(Image(png=data, name="dose wash", **details)),)})

    requests = [
        REQUEST,
        REQUEST.model_copy(update={"messages": (system("You plan!"), user("What next?"))}),
        REQUEST.model_copy(update={"messages": (user("You plan."), user("What next?"))}),
        REQUEST.model_copy(update={"temperature": 0.1}),
        REQUEST.model_copy(update={"temperature": None}),
        REQUEST.model_copy(update={"seed": 1}),
        REQUEST.model_copy(update={"max_tokens": 9}),
        REQUEST.model_copy(update={"json_schema": {"type": "object"}}),
        REQUEST.model_copy(update={"json_schema": {"type": "object"}, "format": "text"}),
        picture(png),
        picture(png + b"\0"),
        picture(png, detail="low"),
    ]
    for name in ("m@http://a/v1", "n@http://a/v1", "m@http://b/v1"):
        client, model = cached(tmp_path / "c.sqlite", *map(str, range(len(requests))), name=name)
        for request in requests * 2:
            client.complete(request)
        assert len(model.requests) == len(requests)


def test_without_the_model_a_reply_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    client = Cached(None, ReplyStore(tmp_path / "c.sqlite"), endpoint_name="m@http://a/v1")
    with pytest.raises(CacheMissError, match="read-write"):
        client.complete(REQUEST)


def test_a_failure_is_not_kept(tmp_path: Path) -> None:
    client, model = cached(tmp_path / "c.sqlite", ServiceError("down", fault="server_error"), "Yes.")
    with pytest.raises(ServiceError):
        client.complete(REQUEST)
    assert client.complete(REQUEST).text == "Yes."
    assert client.complete(REQUEST).text == "Yes."
    assert len(model.requests) == 2


def test_of_two_replies_to_one_request_all_get_the_first(tmp_path: Path) -> None:
    store = ReplyStore(tmp_path / "c.sqlite")
    assert store.put("key", REPLY) == REPLY
    assert store.put("key", Reply(text="Bladder")).text == "Rectum"


def test_what_is_no_cache_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "c.sqlite").write_text("not a database, but long enough to be taken for one" * 10)
    with pytest.raises(ModelError, match=r"cannot use .*c\.sqlite"):
        ReplyStore(tmp_path / "c.sqlite")


def _ask(path: Path, worker: int) -> list[str]:
    client, _ = cached(path, *[f"{worker}" for _ in range(20)])
    return [client.complete(REQUEST.model_copy(update={"seed": seed})).text for seed in range(20)]


def test_processes_share_a_cache(tmp_path: Path) -> None:
    """They ask the same at the same time, and all hear the same."""
    with multiprocessing.get_context("fork").Pool(3) as pool:
        answers = pool.starmap(_ask, [(tmp_path / "c.sqlite", worker) for worker in range(3)], chunksize=1)
    assert answers[0] == answers[1] == answers[2]
