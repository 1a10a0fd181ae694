"""A process that is served the planner's console over its standard input and output.

It is a client of the Model Context Protocol on the far side of two pipes: what it writes to its standard output are
requests, what it reads from its standard input are answers. Its standard error is kept for the record.
"""

from __future__ import annotations

import io
import os
import queue
import signal
import subprocess
import tempfile
import threading
import time
import weakref
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Any, cast

from radplan_env.console import Answer, ToolError
from radplan_env.integrations.mcp_server import server_of

LONGEST_LINE = 1_000_000
"""Bytes of a request; a longer line is none."""

MOST_NONSENSE = 100
"""Lines that are no messages of the protocol; with one more the process is heard no longer."""

LAST_WORDS = 2000
"""Bytes of standard error that are kept."""


WITHHELD = ("PYTHONPATH", "PWD", "OLDPWD")
"""Variables that say where our packages, data and results are; so do those that begin with `OURS`."""

OURS = "RADPLAN_"


def environment_for(ours: Mapping[str, str]) -> dict[str, str]:
    """Return what of our environment a process is given: nothing that leads to patients, results or our packages."""
    return {name: value for name, value in ours.items() if name not in WITHHELD and not name.startswith(OURS)}


@dataclass(frozen=True, eq=False)
class Call:
    """A call that the process waits for."""

    name: str
    arguments: Mapping[str, Any]
    answer: Future[Answer] = field(default_factory=Future)


class Child:
    """The process, and the server that it talks to.

    Parameters
    ----------
    command : sequence of str
        What is run, in a folder of its own that is gone when it has ended.
    environment : Mapping[str, str]
        What its environment has beside what is left of ours: see `environment_for`.
    instructions : str
        What the server says a planner should know.
    pictures : bool
        Whether it is shown any.

    Raises
    ------
    OSError
        If it cannot be started.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], instructions: str, *, pictures: bool
    ) -> None:
        self.nonsense = 0
        """Lines that were no messages of the protocol."""
        self.exit_code: int | None = None
        """Once it has ended; minus the signal that ended it. None where it had to be stopped."""
        self.cpu_seconds: float | None = None
        """Of it and the processes that it waited for, once it has ended; None where the system does not say."""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115, closed in `end`
        self._folder = tempfile.TemporaryDirectory(prefix="radplan-agent-", ignore_cleanup_errors=True)
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command,
            stdin=pipe,
            stdout=pipe,
            stderr=self._errors,
            cwd=self._folder.name,
            env={**environment_for(os.environ), **environment},
            start_new_session=True,  # it ends with all that it has started
        )
        self._answers = io.TextIOWrapper(cast(IO[bytes], self._process.stdin), encoding="utf-8")
        self._output = cast(IO[bytes], self._process.stdout)
        self._kill = weakref.finalize(self, _kill, self._process.pid)
        self._calls: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._server = server_of(self._ask, instructions, pictures=pictures)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def next_call(self, patience_s: float) -> Call | None:
        """Return the next call to answer, None when the process says no more.

        Raises
        ------
        TimeoutError
            If it is silent for longer than `patience_s`.
        """
        try:
            return self._calls.get(timeout=patience_s)
        except queue.Empty:
            raise TimeoutError from None

    def end(self, grace_s: float) -> None:
        """Hang up, give the process time to end by itself, and stop it if it does not."""
        if not self._kill.alive:
            return
        with suppress(OSError, ValueError):  # it may be written to, or have gone
            self._answers.close()
        ended = self._reaped(grace_s)
        self._kill()
        status, usage = ended or os.wait4(self._process.pid, 0)[1:]
        self._process.returncode = os.waitstatus_to_exitcode(status)  # Popen is not to wait for it again
        self.exit_code = self._process.returncode if ended else None
        self.cpu_seconds = round(usage.ru_utime + usage.ru_stime, 2)
        while self._thread.is_alive():  # it may still ask
            self._refuse_calls()
            self._thread.join(0.02)
        self._output.close()
        self._folder.cleanup()

    def last_words(self) -> str:
        """Return the end of what the process wrote to its standard error."""
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(size - LAST_WORDS, 0))
        return self._errors.read().decode(errors="replace").strip()

    def _reaped(self, within_s: float) -> tuple[int, Any] | None:
        """Exit status and resources used, None where it still runs after so long."""
        until = time.monotonic() + within_s
        while True:
            pid, status, usage = os.wait4(self._process.pid, os.WNOHANG)
            if pid:
                return status, usage
            if time.monotonic() >= until:
                return None
            self._refuse_calls()
            time.sleep(0.02)

    def _refuse_calls(self) -> None:
        with suppress(queue.Empty):
            while True:
                if (call := self._calls.get_nowait()) is not None:
                    call.answer.set_exception(ToolError("episode_over", "the episode is over"))

    # ------------------------------------------------------------------------------------------ on the server's thread

    def _ask(self, name: str, arguments: Mapping[str, Any]) -> Answer:
        call = Call(name, arguments)
        self._calls.put(call)
        return call.answer.result()

    def _serve(self) -> None:
        import anyio

        try:
            anyio.run(self._served)
        except* (OSError, ValueError):  # the process has gone, or its pipe was closed, while it was answered
            pass
        finally:
            self._calls.put(None)

    async def _served(self) -> None:
        import anyio
        from mcp.server.stdio import stdio_server

        requests = cast("anyio.AsyncFile[str]", self._messages())
        async with stdio_server(requests, anyio.wrap_file(self._answers)) as (read, write):
            await self._server.run(read, write, self._server.create_initialization_options())

    async def _messages(self) -> AsyncIterator[str]:
        """Yield the lines that are messages of the protocol, until there are no more, or too many that are not."""
        import anyio.to_thread
        from mcp.types import jsonrpc_message_adapter

        while line := await anyio.to_thread.run_sync(self._output.readline, LONGEST_LINE):
            try:
                jsonrpc_message_adapter.validate_json(line, by_name=False)
            except ValueError:
                self.nonsense += 1
                if self.nonsense > MOST_NONSENSE:
                    return
            else:
                yield line.decode()


def _kill(pid: int) -> None:
    with suppress(OSError):
        os.killpg(pid, signal.SIGKILL)
