"""A model that says what it was told to: for tests, and for trying an agent out without a model."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from pydantic import BaseModel

from radplan_agents.llm.chat import Reply, Request
from radplan_agents.llm.errors import ModelError

Script = str | BaseModel | Exception | Callable[[Request], "Reply | str | BaseModel"]


class MockClient:
    """Gives its queued replies one by one, and keeps the requests it got in `requests`.

    Parameters
    ----------
    script : iterable
        Each a `Reply`; a text; a Pydantic object, given as its JSON; an exception, which is raised; or a function
        of the request that returns one of the first three.

    Examples
    --------
    >>> from radplan_agents.llm import user
    >>> client = MockClient(["Raise the weight of the rectum."])
    >>> client.complete(Request(messages=(user("What next?"),))).text
    'Raise the weight of the rectum.'
    """

    def __init__(self, script: Iterable[Script] = ()) -> None:
        self._script = deque(script)
        self.requests: list[Request] = []

    def queue(self, *script: Script) -> None:
        """Add replies after those that are left."""
        self._script.extend(script)

    def complete(self, request: Request) -> Reply:
        """Return the next reply; see `ChatClient`.

        Raises
        ------
        ModelError
            If none is left.
        """
        self.requests.append(request)
        if not self._script:
            raise ModelError(f"the mock model has no reply left for request {len(self.requests)}; queue more")
        step = self._script.popleft()
        if isinstance(step, Exception):
            raise step
        said = step if isinstance(step, str | BaseModel) else step(request)
        if isinstance(said, Reply):
            return said
        return Reply(text=said if isinstance(said, str) else said.model_dump_json(), model="mock")
