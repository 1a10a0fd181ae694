"""What an agent sees of its model: prose, objects, a record, and runs that can be repeated and continued."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import scripted_server as scripted
from pydantic import BaseModel

from radplan_agents.llm import (
    BudgetExceededError,
    CacheMissError,
    Endpoint,
    Failed,
    Image,
    Limits,
    MockClient,
    ModelError,
    ModelSettings,
    Price,
    Reply,
    Session,
    Transcript,
    Usage,
    connect,
    open_client,
    read_transcript,
    user,
)


class Weight(BaseModel):
    weight: float


def play(
    endpoint: Endpoint, folder: Path, settings: ModelSettings, png: bytes
) -> tuple[list[Any], dict[str, Any], ModelError | None]:
    """A small episode: a picture described and a weight chosen, five times over."""
    client = open_client(endpoint, settings, run_folder=folder, cache_path=folder / "replies.sqlite")
    session = Session(client, settings=settings, transcript=Transcript(folder / "episode"))
    answers: list[Any] = []
    try:
        for step in range(5):
            seen = session.say("vision expert", [user(f"Describe {step}.", Image(png=png, name="dose wash"))])
            answers += [seen, session.ask("planner", [user(f"{seen} What next?")], Weight)]
    except ModelError as error:
        return answers, session.record(), error
    return answers, session.record(), None


SCRIPT = [
    scripted.status(400, "unsupported parameter temperature"),
    scripted.says("Hot."),
    scripted.says('{"weight": 1'),  # malformed
    scripted.says('{"weight": 1}'),
    scripted.says("Cold."),
    scripted.says('{"weight": 2}', finish="length"),  # truncated, three times
    scripted.says('{"weight": 2}', finish="length"),
    scripted.says('{"weight": 2}', finish="length"),
    *[
        step
        for weight in (3, 4, 5)
        for step in (scripted.says(f"Fine {weight}."), scripted.says(f'{{"weight": {weight}}}'))
    ],
]


def test_a_run_is_repeated_without_its_model_to_the_last_number(
    service: scripted.Service, endpoint: Endpoint, tmp_path: Path, png: bytes
) -> None:
    service.script.extend(SCRIPT)
    settings = ModelSettings(price=Price(1, 2))
    answers, record, error = play(endpoint, tmp_path, settings, png)
    assert error is None
    assert answers[:3] == ["Hot.", Weight(weight=1), "Cold."]
    assert isinstance(answers[3], Failed)
    assert record["faults"] == {"no_json": 1, "truncated": 3}
    assert record["cost_usd"] == pytest.approx(13 * (100 + 2 * 20) / 1e6)
    assert (record["calls"], record["failed_questions"], record["models"]) == (13, 1, ["scripted-1"])
    assert record["usage"] == {
        "prompt_tokens": 1300,
        "cached_tokens": 780,
        "completion_tokens": 260,
        "reasoning_tokens": None,
    }
    calls = len(service.requests)
    replay = ModelSettings(price=Price(1, 2), cache="replay-only")
    answers_again, record_again, error = play(endpoint, tmp_path, replay, png)
    assert error is None
    assert answers_again == answers
    assert record_again == record | {"calls_from_cache": 13}
    assert len(service.requests) == calls


def test_a_run_ended_by_its_limit_goes_on_without_paying_twice(
    service: scripted.Service, endpoint: Endpoint, tmp_path: Path, png: bytes
) -> None:
    service.script.extend(SCRIPT)
    answers, _, error = play(endpoint, tmp_path, ModelSettings(limits=Limits(tokens=600)), png)
    assert isinstance(error, BudgetExceededError)
    assert answers == ["Hot.", Weight(weight=1)]
    assert len(service.script) == 8
    answers, record, error = play(endpoint, tmp_path, ModelSettings(limits=Limits(tokens=10_000)), png)
    assert error is None
    assert len(answers) == 10
    assert (record["calls"], record["calls_from_cache"]) == (13, 5)
    assert not service.script


def test_without_the_cache_every_call_is_made(
    service: scripted.Service, endpoint: Endpoint, tmp_path: Path, png: bytes
) -> None:
    service.script.extend([*SCRIPT, *SCRIPT])
    for _ in range(2):
        assert play(endpoint, tmp_path, ModelSettings(cache="off"), png)[2] is None
    assert not (tmp_path / "replies.sqlite").exists()
    assert not service.script


def test_a_replay_of_another_run_is_an_error(
    service: scripted.Service, endpoint: Endpoint, tmp_path: Path, png: bytes
) -> None:
    *_, error = play(endpoint, tmp_path, ModelSettings(cache="replay-only"), png)
    assert isinstance(error, CacheMissError)
    assert not service.requests


@pytest.mark.parametrize("vision", ["auto", True, False])
def test_the_record_says_whether_pictures_were_seen(
    service: scripted.Service, endpoint: Endpoint, tmp_path: Path, png: bytes, vision: Any
) -> None:
    service.script.extend([scripted.status(400, "image_url is not supported"), *SCRIPT[1:]])
    if vision is False:
        service.script.popleft()
    _, record, error = play(endpoint, tmp_path, ModelSettings(vision=vision), png)
    shown = [request for request in service.requests if isinstance(request["messages"][0]["content"], list)]
    if vision is True:
        assert error is not None and "image_url is not supported" in str(error)
        assert record["calls"] == 0
        return
    assert error is None
    assert (record["vision"], record["calls_with_pictures"], record["calls_with_pictures_seen"]) == (
        ("auto", 5, 0) if vision == "auto" else (False, 0, 0)
    )
    assert record["adaptations"].get("pictures left out", 0) == (5 if vision == "auto" else 0)
    assert len(shown) == (1 if vision == "auto" else 0)


def test_pictures_that_are_seen_are_counted(
    service: scripted.Service, endpoint: Endpoint, tmp_path: Path, png: bytes
) -> None:
    service.script.extend(SCRIPT)
    _, record, _ = play(endpoint, tmp_path, ModelSettings(), png)
    assert (record["calls_with_pictures"], record["calls_with_pictures_seen"]) == (5, 5)
    assert record["adaptations"] == {"temperature left out": 13}


def test_settings_reach_every_request() -> None:
    client = MockClient(["Yes.", '{"weight": 1}'])
    session = Session(client, settings=ModelSettings(temperature=0.4, seed=9, max_reply_tokens=77))
    session.say("planner", [user("Well?")])
    session.ask("planner", [user("Well?")], Weight)
    assert [(r.temperature, r.seed, r.max_tokens) for r in client.requests] == [(0.4, 9, 77)] * 2


def test_what_is_not_known_is_null(tmp_path: Path) -> None:
    session = Session(MockClient(["Yes.", lambda request: Reply(text="No.", usage=Usage(prompt_tokens=3))]))
    for _ in range(2):
        session.say("planner", [user("Well?")])
    record = session.record()
    assert record["usage"]["prompt_tokens"] == 3
    assert record["usage"]["completion_tokens"] is None
    assert record["cost_usd"] is None


def test_the_transcript_says_what_was_made_of_a_reply(tmp_path: Path) -> None:
    session = Session(MockClient(["So.", '{"weight": 1}']), transcript=Transcript(tmp_path))
    session.ask("planner", [user("Well?")], Weight)
    assert [entry.get("note") for entry in read_transcript(tmp_path)] == [
        None,
        "no_json: it holds no JSON object that can be read",
        None,
    ]


def test_a_service_needs_no_key_of_its_own() -> None:
    with connect("m@http://127.0.0.1:9/v1", environment={}) as endpoint:
        assert endpoint.name == "m@http://127.0.0.1:9/v1"


def test_a_mock_model_that_runs_out_says_so() -> None:
    with pytest.raises(ModelError, match="queue more"):
        MockClient().complete(MockClient)  # type: ignore[arg-type]
