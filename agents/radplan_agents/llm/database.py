"""SQLite files that several processes write to and that survive their end."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from radplan_agents.llm.errors import ModelError

PATIENCE_S = 60.0
"""How long one process waits for another's transaction."""


@contextmanager
def transaction(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database for one transaction: whole or not at all.

    A connection a transaction: processes, forked ones too, then share nothing but the file. It takes about a
    few milliseconds, which is little beside a model's reply.

    Raises
    ------
    ModelError
        If the file cannot be read or written, or is something else.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, timeout=PATIENCE_S)) as connection, connection:
            yield connection
    except (sqlite3.Error, OSError) as error:
        raise ModelError(f"cannot use {path}: {error}; free some space, delete it, or give another path") from error
