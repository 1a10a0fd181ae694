"""Patience with a service: how long, how often, and when not."""

from __future__ import annotations

import pickle

import pytest

from radplan_agents.llm import MockClient, Reply, Request, Retrying, ServiceError, user

REQUEST = Request(messages=(user("What next?"),))


def busy(retry_after_s: float | None = None) -> ServiceError:
    return ServiceError("slow down", fault="rate_limited", transient=True, retry_after_s=retry_after_s)


def test_waits_double_up_to_the_longest() -> None:
    waits: list[float] = []
    client = Retrying(
        MockClient([*[busy() for _ in range(5)], "Yes."]), first_wait_s=1, longest_wait_s=6, sleep=waits.append
    )
    reply = client.complete(REQUEST)
    assert waits == [1, 2, 4, 6, 6]
    assert (reply.text, reply.faults) == ("Yes.", ("rate_limited",) * 5)


def test_a_service_is_left_alone_for_as_long_as_it_asks() -> None:
    waits: list[float] = []
    client = Retrying(MockClient([busy(30), busy(0), busy(), "Yes."]), first_wait_s=1, sleep=waits.append)
    client.complete(REQUEST)
    assert waits == [30, 2, 4]


def test_a_service_that_asks_for_too_long_ends_the_run() -> None:
    waits: list[float] = []
    client = Retrying(MockClient([busy(86400)]), longest_wait_s=300, sleep=waits.append)
    with pytest.raises(ServiceError, match=r"in 86400 s, then repeat the command to go on"):
        client.complete(REQUEST)
    assert waits == []


def test_patience_ends() -> None:
    down = ServiceError("oops", fault="server_error", transient=True)
    client = Retrying(MockClient([busy(), down, down]), attempts=3, sleep=lambda seconds: None)
    with pytest.raises(ServiceError, match=r"3 attempts\): oops") as caught:
        client.complete(REQUEST)
    assert caught.value.faults == ("rate_limited", "server_error", "server_error")


def test_what_waiting_does_not_mend_is_not_waited_for() -> None:
    waits: list[float] = []
    client = Retrying(MockClient([ServiceError("who?", fault="no_access")]), sleep=waits.append)
    with pytest.raises(ServiceError, match="check the API key") as caught:
        client.complete(REQUEST)
    assert waits == []
    assert caught.value.faults == ("no_access",)


def test_a_reply_at_once_is_passed_on() -> None:
    assert Retrying(MockClient(["Yes."])).complete(REQUEST) == Reply(text="Yes.", model="mock")


def test_an_error_crosses_processes_whole() -> None:
    error = ServiceError(
        "oops", fault="timeout", transient=True, status=504, retry_after_s=3.0, faults=["x", "timeout"]
    )
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), vars(copy)) == (str(error), vars(error))
