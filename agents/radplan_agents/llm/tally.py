"""Counts what calls used, cost and met with, for the record of an episode."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from radplan_agents.llm.chat import ChatClient, Reply, Request, Usage
from radplan_agents.llm.errors import ServiceError
from radplan_agents.llm.thoughts import without_thoughts
from radplan_agents.llm.wire import Adaptation

THOUGHTS = "thoughts in the reply left out"
"""What is counted where a model thinks aloud in its answer."""


class Tally:
    """A client that counts. The numbers are the same whether replies are new or come from the cache.

    Parameters
    ----------
    client : ChatClient
        Who is asked.
    """

    def __init__(self, client: ChatClient) -> None:
        self._client = client
        self._replies: list[Reply] = []
        self._with_images = 0
        self._failed = 0
        self._faults: Counter[str] = Counter()

    def complete(self, request: Request) -> Reply:
        """Return the reply to a request; see `ChatClient`."""
        try:
            reply = self._client.complete(request)
        except ServiceError as error:
            self._faults.update(error.faults)
            raise
        self._replies.append(reply)
        self._with_images += request.has_images
        self._faults.update(reply.faults)
        return reply

    @property
    def refused_pictures(self) -> bool:
        """Whether the service has refused pictures."""
        return any(Adaptation.NO_IMAGES in reply.adaptations for reply in self._replies)

    def fault(self, name: str) -> None:
        """Count a reply that is of no use."""
        self._faults[name] += 1

    def failed(self) -> None:
        """Count a question that got no usable reply."""
        self._failed += 1

    def record(self) -> dict[str, Any]:
        """Everything counted so far, as plain JSON data; see `Session.record`."""
        adaptations = Counter(name for reply in self._replies for name in reply.adaptations)
        adaptations[THOUGHTS] = sum(without_thoughts(reply.text) != reply.text.strip() for reply in self._replies)
        costs = [reply.cost_usd for reply in self._replies]
        return {
            "models": sorted({reply.model for reply in self._replies if reply.model}),
            "calls": len(self._replies),
            "calls_from_cache": sum(reply.from_cache for reply in self._replies),
            "calls_with_pictures": self._with_images,
            "calls_with_pictures_seen": self._with_images - adaptations[Adaptation.NO_IMAGES],
            "failed_questions": self._failed,
            "faults": dict(sorted(self._faults.items())),
            "adaptations": {name: count for name, count in sorted(adaptations.items()) if count},
            "usage": {
                name: _sum_known(getattr(reply.usage, name) for reply in self._replies) for name in Usage.model_fields
            },
            "cost_usd": None if None in costs else sum(cost for cost in costs if cost is not None),
        }


def _sum_known(values: Iterable[int | None]) -> int | None:
    """The sum of what is known, None where nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None
