"""What the tests of backends let workers do."""

from __future__ import annotations

import os
import time


def square(number: int) -> int:
    """Fails for 3."""
    if number == 3:
        raise ValueError("three is too many")
    return number**2


def process(number: int) -> int:
    """The process it is computed in."""
    return os.getpid()


def threads(number: int) -> int:
    """The most threads that anything here would use."""
    import numba
    import numpy  # noqa: F401  # brings its BLAS
    from threadpoolctl import threadpool_info

    return max(numba.config.NUMBA_NUM_THREADS, *(pool["num_threads"] for pool in threadpool_info()))


def nap(seconds: float) -> float:
    """Sleeps."""
    time.sleep(seconds)
    return seconds


def die(number: int) -> int:
    """Takes the process down when it comes to 2."""
    if number == 2:
        os._exit(1)
    return number
