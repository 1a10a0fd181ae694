"""Worker processes that compute the same thing however many there are, and never outlive their parent."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

# Sums are split by thread, so their last digits depend on the number of threads. One thread in every process
# makes results the same for any number of processes.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


class _Counter(Protocol):
    """An integer in memory shared by processes, with its lock."""

    value: int

    def get_lock(self) -> AbstractContextManager[Any]: ...


_counter: _Counter | None = None


@dataclass(frozen=True)
class Workers:
    """Worker processes and how many solves they have done, for the progress bar."""

    pool: ProcessPoolExecutor
    counter: _Counter


@contextmanager
def workers(count: int) -> Iterator[Workers]:
    """Processes of one thread each; when the block is left by an exception they are killed.

    They are spawned, not forked: BLAS, numba and the like do not survive a fork.
    """
    with _environment_variables(ONE_THREAD):  # inherited by the processes, which are started as work comes in
        context = multiprocessing.get_context("spawn")
        counter: Any = context.Value("q", 0)
        pool = ProcessPoolExecutor(count, mp_context=context, initializer=_start_worker, initargs=(counter,))
        try:
            yield Workers(pool, counter)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.kill()
            raise
        finally:
            pool.shutdown()


def count_solve() -> None:
    """Tell whoever watches that one more solve is done."""
    if _counter is not None:
        with _counter.get_lock():
            _counter.value += 1


def _start_worker(counter: _Counter) -> None:
    global _counter
    _counter = counter
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Leave nothing running behind a parent that was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


@contextmanager
def _environment_variables(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value
