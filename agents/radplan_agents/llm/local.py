"""A model on this machine: llama.cpp serves a GGUF file for as long as it is needed."""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from radplan_agents.llm.endpoint import Endpoint, LocalModel
from radplan_agents.llm.errors import SettingsError
from radplan_env import extras

START_S = 300.0
"""Seconds a model may take to load."""

STOP_S = 10.0
"""Seconds its server may take to end before it is killed."""


def local_name(model: LocalModel) -> str:
    """How cache and records call it: the file's name and a digest of its content, wherever it lies."""
    with model.path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return f"local:{model.path.name}#{digest[:16]}"


@contextmanager
def serve(model: LocalModel, *, threads: int = 1, context_tokens: int = 8192) -> Iterator[Endpoint]:
    """Serve a GGUF file on a free port of this machine's loopback interface, as an OpenAI-compatible service.

    Parameters
    ----------
    model : LocalModel
        The file.
    threads : int
        Threads it computes with. Beside other work on the same cores one is often the fastest.
    context_tokens : int
        Tokens of prompt and reply together; they take memory.

    Yields
    ------
    Endpoint
        Where it answers, until the context ends, in whatever way.

    Raises
    ------
    SettingsError
        If xllamacpp is not installed or cannot serve the file.
    """
    if threads < 1 or context_tokens < 1:
        raise SettingsError(f"threads ({threads}) and context_tokens ({context_tokens}) must be 1 or more")
    if importlib.util.find_spec("xllamacpp") is None:
        raise SettingsError(f"a local model needs the package xllamacpp: {extras.command('local')}")
    script = Path(__file__).with_name("local_server.py")
    # A process of its own: should llama.cpp crash, the run does not crash with it. -P keeps this folder, whose files
    # are not top-level modules, off its path.
    arguments = [sys.executable, "-P", script, model.path.resolve(), model.path.stem, threads, context_tokens]
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(
            [str(argument) for argument in arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,  # Ctrl-C is ours to handle
        ) as process,
    ):
        try:
            url = _address(process, log, model)
            yield Endpoint(model=model.path.stem, base_url=f"{url}/v1", name=local_name(model), free=True)
        finally:
            _stop(process)


def _address(process: subprocess.Popen[str], log: IO[bytes], model: LocalModel) -> str:
    """The URL that the server writes when the model is loaded."""
    assert process.stdout is not None
    timer = threading.Timer(START_S, process.kill)
    timer.start()
    try:
        for line in process.stdout:
            if line.startswith("http://"):
                return line.strip()
    finally:
        timer.cancel()
    log.seek(0)
    said = log.read().decode(errors="replace").strip().splitlines()[-3:]
    raise SettingsError(f"llama.cpp cannot serve {model.path}: {' / '.join(said) or 'it ended without a word'}")


def _stop(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
