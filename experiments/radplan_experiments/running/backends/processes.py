"""Processes of this machine, which never outlive the one that started them."""

from __future__ import annotations

import multiprocessing
import os
import platform
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from radplan_experiments.running.backends.backend import ONE_THREAD, Backend, WorkerDiedError

_SPAWN = multiprocessing.get_context("spawn")  # a fork would inherit locks and pools of threads that it does not have


@contextmanager
def processes(tasks: int, jobs: int = 0) -> Iterator[Backend]:
    """Processes of one thread each; see `open_backend`."""
    count = min(jobs or min(os.cpu_count() or 1, 8), tasks)
    workers = _Processes(max(count, 1))
    try:
        yield Backend(workers, count, ran_on)
    except BaseException:
        workers.kill()
        raise
    workers.close()


def ran_on() -> dict[str, str]:
    """This process."""
    return {"host": platform.node(), "worker": str(os.getpid())}


class _Processes:
    """A pool of processes that read a pipe: its other end is closed to end them, and when this process dies."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._pool: ProcessPoolExecutor | None = None
        self._lifeline: Connection | None = None

    def submit(self, call: Callable[[], Any]) -> Future[Any]:
        if self._pool is None:
            watched, self._lifeline = _SPAWN.Pipe(duplex=False)
            self._pool = ProcessPoolExecutor(self._count, _SPAWN, initializer=_start_worker, initargs=(watched,))
        with _environment(ONE_THREAD):  # a call may start a process
            return self._pool.submit(call)

    def failure(self, error: Exception) -> Exception:
        if isinstance(error, BrokenProcessPool):
            return WorkerDiedError(f"a worker died, perhaps for want of memory ({type(error).__name__})")
        return error

    def kill(self) -> None:
        if self._lifeline is not None:
            self._lifeline.close()
        self.close()

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._pool = self._lifeline = None


def _start_worker(watched: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its workers
    threading.Thread(target=_end_with, args=(watched,), daemon=True).start()


def _end_with(watched: Connection) -> None:
    """Leave nothing running behind a parent that was killed."""
    watched.poll(None)  # nothing is ever sent: it returns when the other end is closed
    os._exit(1)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
