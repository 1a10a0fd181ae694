"""A scripted service on loopback, and its endpoint."""

from __future__ import annotations

import os
import struct
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import scripted_server
from pydantic import SecretStr

from radplan_agents.llm import Endpoint

KEY = "sk-SENTINEL/0123456789abcdef"


@pytest.fixture
def service() -> Iterator[scripted_server.Service]:
    with scripted_server.running() as service:
        yield service


@pytest.fixture
def endpoint(service: scripted_server.Service) -> Endpoint:
    return Endpoint(model="scripted", base_url=service.url, api_key=SecretStr(KEY))


@pytest.fixture
def key() -> str:
    return KEY


@pytest.fixture
def memory_path(tmp_path: Path) -> Iterator[Path]:
    """An empty folder in memory where there is such a thing: thousands of transactions are slow on a disk."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def png() -> bytes:
    """A white 2 × 1 picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 2, 1, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0\xff\xff"))
        + chunk(b"IEND", b"")
    )
