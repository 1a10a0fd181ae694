"""Work shared by the machine's cores, cut the same way whatever their number.

Python threads that run compiled code without the interpreter's lock, not numba's own: those must not be started from
two threads at once, and vector environments solve for several patients side by side.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

SLICES = 16
"""Into how many parts rows are cut: fixed, so that sums round alike on every number of cores."""


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_here = threading.local()


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(cores(), thread_name_prefix="radplan", initializer=_mark)


def _mark() -> None:
    _here.in_pool = True


if hasattr(os, "register_at_fork"):  # a forked worker inherits the pool without its threads
    os.register_at_fork(after_in_child=_pool.cache_clear)


def run(task: Callable[[int], None], count: int) -> None:
    """Call ``task(0)`` to ``task(count - 1)``, on every core; one after the other when called from a task."""
    if count == 1 or cores() == 1 or getattr(_here, "in_pool", False):
        for index in range(count):
            task(index)
        return
    for _ in _pool().map(task, range(count)):
        pass


def run_in_slices(task: Callable[[int, int, int], None], size: int) -> None:
    """Cut ``range(size)`` into `SLICES` parts and call ``task(part, start, stop)`` for each, on every core."""
    run(lambda part: task(part, size * part // SLICES, size * (part + 1) // SLICES), SLICES)
