"""Processes of this machine, which never outlive the one that started them."""

from __future__ import annotations

import os
import platform
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from joblib.executor import get_memmapping_executor
from joblib.externals.loky import get_reusable_executor, process_executor
from joblib.parallel import LokyBackend

from radplan_experiments.running.backends.backend import Backend


@contextmanager
def processes(tasks: int, jobs: int = 0) -> Iterator[Backend]:
    """Processes of one thread each; see `open_backend`."""
    count = min(jobs or min(os.cpu_count() or 1, 8), tasks)
    try:
        yield Backend(_Loky(inner_max_num_threads=1), count, ran_on, BrokenProcessPool)
    finally:
        get_reusable_executor(reuse=True).shutdown()


def ran_on() -> dict[str, str]:
    """This process."""
    return {"host": platform.node(), "worker": str(os.getpid())}


class _Loky(LokyBackend):  # type: ignore[misc]
    """joblib's processes, for a single job too: joblib would run that one in this process, with all its threads."""

    def configure(self, n_jobs: int = 1, parallel: Any = None, **_: Any) -> int:
        self.parallel = parallel
        self._workers = get_memmapping_executor(
            n_jobs,
            env=self._prepare_worker_env(n_jobs),
            context_id=parallel._id,
            max_nbytes=None,
            initializer=_start_worker,
            initargs=(os.getpid(),),
        )
        return max(n_jobs, 2)


def _start_worker(parent: int) -> None:
    process_executor._USE_PSUTIL = False  # else loky takes a case's K, kept from one episode to the next, for a leak
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its workers
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """Leave nothing running behind a parent that was killed."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
