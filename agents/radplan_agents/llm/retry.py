"""Patience: asks again where waiting may help."""

from __future__ import annotations

import time
from collections.abc import Callable

from radplan_agents.llm.chat import ChatClient, Reply, Request
from radplan_agents.llm.errors import ServiceError


class Retrying:
    """Asks again after transient faults, waiting twice as long each time, or as long as the service asks.

    Parameters
    ----------
    client : ChatClient
        Who is asked.
    attempts : int
        How often, at most.
    first_wait_s, longest_wait_s : float
        The waits begin with the one and grow to the other. A service that asks for more than the longest ends the
        run at once.
    sleep : callable
        Waits so many seconds.
    """

    def __init__(
        self,
        client: ChatClient,
        *,
        attempts: int = 6,
        first_wait_s: float = 1.0,
        longest_wait_s: float = 300.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if attempts < 1:
            raise ValueError(f"attempts must be 1 or more, not {attempts}")
        self._client = client
        self._attempts = attempts
        self._first_wait_s = first_wait_s
        self._longest_wait_s = longest_wait_s
        self._sleep = sleep

    def complete(self, request: Request) -> Reply:
        """Return the reply to a request; see `ChatClient`. It names the faults overcome."""
        faults: list[str] = []
        wait_s = self._first_wait_s
        while True:
            try:
                reply = self._client.complete(request)
                return reply.model_copy(update={"faults": (*faults, *reply.faults)})
            except ServiceError as error:
                last = error
            faults += last.faults
            asked_s = last.retry_after_s or 0.0
            if not last.transient or len(faults) >= self._attempts or asked_s > self._longest_wait_s:
                break
            self._sleep(max(min(wait_s, self._longest_wait_s), asked_s))
            wait_s *= 2
        raise ServiceError(
            _advice(last, len(faults)),
            fault=last.fault,
            status=last.status,
            parameter=last.parameter,
            retry_after_s=last.retry_after_s,
            faults=faults,
        )


def _advice(error: ServiceError, attempts: int) -> str:
    """The error's message with the number of attempts and what to do."""
    times = "" if attempts == 1 else f" ({attempts} attempts)"
    what = {
        "no_access": "check the API key",
        "out_of_credit": "top up the account",
        "not_found": "check the model's name and the base URL",
        "rejected": "change the request or the model",
    }.get(error.fault, "try again later")
    if error.retry_after_s:
        what += f", in {error.retry_after_s:.0f} s"
    return f"the model's service failed{times}: {error}; {what}, then repeat the command to go on"
