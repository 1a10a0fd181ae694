"""Replies kept on disk, so that a run can be repeated without its model and continued without paying twice."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Literal

from radplan_agents.llm.chat import ChatClient, Reply, Request
from radplan_agents.llm.database import transaction
from radplan_agents.llm.errors import CacheMissError

CacheMode = Literal["off", "read-write", "replay-only"]

_FORMAT = 1  # of keys and replies; part of every key


def request_key(request: Request, endpoint_name: str) -> str:
    """A digest of everything that decides a reply: model, service, and the whole request, pictures included."""
    content = [_FORMAT, endpoint_name, request.model_dump(mode="json")]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class ReplyStore:
    """Replies by key in one SQLite file that any number of processes may use at once.

    Parameters
    ----------
    path : Path
        The file, made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with transaction(self.path) as database:
            database.execute("CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, reply TEXT NOT NULL)")

    def get(self, key: str) -> Reply | None:
        """The reply kept under a key, if there is one."""
        with transaction(self.path) as database:
            row = database.execute("SELECT reply FROM replies WHERE key = ?", (key,)).fetchone()
        return None if row is None else Reply.model_validate_json(row[0])

    def put(self, key: str, reply: Reply) -> Reply:
        """Keep a reply, and return the one that is kept: another process may have been first."""
        with transaction(self.path) as database:
            database.execute("INSERT OR IGNORE INTO replies VALUES (?, ?)", (key, reply.model_dump_json()))
            (kept,) = database.execute("SELECT reply FROM replies WHERE key = ?", (key,)).fetchone()
        return Reply.model_validate_json(kept)

    def add_all(self, other: ReplyStore) -> None:
        """Keep every reply of another store; where both have one to a request, this one's stays."""
        with transaction(other.path) as database:
            rows = database.execute("SELECT key, reply FROM replies").fetchall()
        with transaction(self.path) as database:
            database.executemany("INSERT OR IGNORE INTO replies VALUES (?, ?)", rows)


class Cached:
    """Answers from the store what it can.

    A request that failed leaves nothing in the store. A reply that came but is of no use, cut short or no JSON,
    is kept: it was paid for, and a run repeated from the store must meet it again.

    Parameters
    ----------
    client : ChatClient, optional
        Who is asked for the rest; without it only the store answers ("replay-only").
    store : ReplyStore
        The replies.
    endpoint_name : str
        Which model at which service; see `Endpoint.name`.
    """

    def __init__(self, client: ChatClient | None, store: ReplyStore, *, endpoint_name: str) -> None:
        self._client = client
        self._store = store
        self._endpoint_name = endpoint_name

    def complete(self, request: Request) -> Reply:
        """Return the reply to a request; see `ChatClient`.

        Raises
        ------
        CacheMissError
            If only the store may answer and does not have it.
        """
        key = request_key(request, self._endpoint_name)
        kept = self._store.get(key)
        if kept is not None:
            return kept.model_copy(update={"from_cache": True})
        if self._client is None:
            raise CacheMissError(
                f"{self._store.path} has no reply of {self._endpoint_name} to this request ({key[:12]}); "
                "use the cache in read-write mode to ask the model"
            )
        return self._store.put(key, self._client.complete(request))
