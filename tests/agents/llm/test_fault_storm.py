"""A thousand replies of a service that does everything wrong that a service can."""

from __future__ import annotations

import json
import random
import traceback
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import pytest
import scripted_server as scripted
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from radplan_agents.llm import (
    Cached,
    Endpoint,
    Failed,
    Ledger,
    Metered,
    ModelSettings,
    OpenAIClient,
    ReplyStore,
    Retrying,
    ServiceError,
    Session,
    Transcript,
    user,
)

REPLIES = 1000
ATTEMPTS = 3


def _known(name: str, info: ValidationInfo) -> str:
    if name not in (info.context or {})["structures"]:
        raise PydanticCustomError("unknown_structure", "there is no structure {name}", {"name": name})
    return name


class Change(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    structure: Annotated[str, AfterValidator(_known)]
    weight: float = Field(ge=0)


def change(**values: Any) -> scripted.Step:
    return scripted.says(json.dumps({"structure": "Rectum", "weight": 3} | values))


GOOD: dict[str, scripted.Step] = {
    "plain": change(),
    "fenced": scripted.says('Spare it.\n```json\n{"structure": "Rectum", "weight": 3}\n```'),
    "thinking": scripted.says('<think>{"weight": NaN}</think>{"structure": "Bladder", "weight": 0.5}'),
}

OF_THE_MODEL: dict[str, tuple[scripted.Step, str]] = {
    "prose": (scripted.says("I would spare the rectum."), "no_json"),
    "malformed": (scripted.says('{"structure": "Rectum", "weight": }'), "no_json"),
    "wrong schema": (scripted.says('{"organ": "Rectum"}'), "wrong_schema"),
    "unknown structure": (change(structure="Prostate"), "unknown_structure"),
    "NaN": (change(weight=float("nan")), "not_finite"),
    "overflow": (scripted.says('{"structure": "Rectum", "weight": 1e999}'), "not_finite"),
    "negative": (change(weight=-3), "out_of_bounds"),
    "refusal": (scripted.says(None, refusal="I cannot help with that."), "refused"),
    "filter": (scripted.says(None, finish="content_filter"), "content_filter"),
    "truncated": (scripted.says('{"structure": "Rec', finish="length"), "truncated"),
    "empty": (scripted.says(""), "empty"),
    "null": (scripted.says(None), "empty"),
    "no choice": (scripted.sends(200, b'{"choices": []}'), "empty"),
    "huge": (scripted.says("{" * 200_000), "oversized"),
    "echo": (scripted.echoes(200), "no_json"),
}

OF_THE_SERVICE: dict[str, tuple[scripted.Step, str]] = {
    "429": (scripted.status(429, "slow down"), "rate_limited"),
    "429, 2 s": (scripted.status(429, "slow down", {"Retry-After": "2"}), "rate_limited"),
    "500": (scripted.status(500, "oops"), "server_error"),
    "503": (scripted.sends(503, b"<html>busy</html>"), "server_error"),
    "drop": (scripted.drops, "connection"),
    "drop half-way": (scripted.drops_half_way, "connection"),
    "HTML": (scripted.sends(200, b"<html>hello</html>"), "malformed_response"),
    "half": (scripted.sends(200, b'{"choices": [{"mess'), "malformed_response"),
    "flood": (scripted.sends(200, b" " * 4_100_000), "oversized_response"),
    "echo 500": (scripted.echoes(500), "server_error"),
    "echo 401": (scripted.echoes(401), "no_access"),
    "400": (scripted.status(400, "no"), "rejected"),
}

HANG = (scripted.hangs, "timeout")
HANGS = 1  # it takes the whole time-out

Reply = tuple[scripted.Step, str]  # what is served, and the fault it is; "" if none


def storm() -> list[Reply]:
    """Good and faulty replies in a random order, every kind of fault many times."""
    rng = random.Random(4)
    faulty = [*OF_THE_MODEL.values(), *OF_THE_SERVICE.values()] * 20
    replies: list[Reply] = [*faulty, *[HANG] * HANGS]
    replies += [(rng.choice(list(GOOD.values())), "") for _ in range(REPLIES - len(replies))]
    rng.shuffle(replies)
    return replies


@pytest.mark.slow
def test_every_call_ends_and_every_fault_is_counted(
    service: scripted.Service, endpoint: Endpoint, memory_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "openai")
    replies = storm()
    assert len(replies) == REPLIES
    service.script.extend(step for step, _ in replies)
    service.script.extend([change()] * 9)  # for the last question, should it need them
    waits: list[float] = []
    patient = Retrying(OpenAIClient(endpoint, timeout_s=2), attempts=ATTEMPTS, sleep=waits.append)
    client = Cached(
        Metered(patient, Ledger(memory_path / "calls.sqlite")),
        ReplyStore(memory_path / "replies.sqlite"),
        endpoint_name=endpoint.name,
    )
    session = Session(client, settings=ModelSettings(temperature=None), transcript=Transcript(memory_path / "episode"))
    seen = [repr(session), repr(client), repr(endpoint)]
    ends: Counter[str] = Counter()
    served = 0
    of_the_model = {fault for _, fault in OF_THE_MODEL.values()}
    while served < REPLIES:
        try:
            answer: Any = session.ask(
                "planner", [user(f"Step {served}")], Change, context={"structures": {"Rectum", "Bladder"}}
            )
        except ServiceError as error:
            answer = error
            seen += ["".join(traceback.format_exception(error)), str(vars(error))]
        before, served = served, REPLIES + 9 - len(service.script)
        *faults, last = [*(fault for _, fault in replies[before:served]), *[""] * max(0, served - REPLIES)]
        named = [fault for fault in (*faults, last) if fault]
        if isinstance(answer, Change):
            assert last == "" and "" not in faults
        elif isinstance(answer, Failed):
            assert [fault.name for fault in answer.faults] == [fault for fault in named if fault in of_the_model]
            assert len(answer.faults) == 3 and last in of_the_model
            seen.append(str(answer))
        else:
            assert answer.fault == last and answer.fault not in of_the_model
        ends[type(answer).__name__] += 1

    expected = Counter(fault for _, fault in replies if fault)
    record = session.record()
    assert record["faults"] == dict(sorted(expected.items()))
    assert record["failed_questions"] == ends["Failed"]
    assert min(ends["Change"], ends["Failed"], ends["ServiceError"]) > 20, ends
    assert waits.count(2.0) >= 20
    # Every completion was paid for once and is in the ledger, useful or not.
    assert record["calls"] == Ledger(memory_path / "calls.sqlite").spent().calls
    assert record["calls_from_cache"] == 0

    seen += [json.dumps(record), *(entry.getMessage() for entry in caplog.records if entry.name.startswith("openai"))]
    files = [path.read_bytes() for path in memory_path.rglob("*") if path.is_file()]
    assert len(files) >= 4
    for text in [*(text.encode() for text in seen), *files]:
        assert b"SENTINEL" not in text and b"0123456789abcdef" not in text
    assert any(b"[API key]" in text for text in files)
