"""A Ray cluster: tasks go to whichever node has a core to spare, and to another one when a node is lost."""

from __future__ import annotations

import logging
import os
import platform
import socket
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from radplan_env import extras
from radplan_experiments.cohort import UsageError
from radplan_experiments.running.backends.backend import ONE_THREAD, Backend, WorkerDiedError

try:
    import ray
    from ray.exceptions import RayError, RayTaskError
except ImportError as error:
    raise UsageError(f"--backend ray needs Ray: {extras.command('ray')}") from error

RETRIES = 3  # of a task whose node or process died


@contextmanager
def ray_cluster(tasks: int, jobs: int = 0, address: str | None = None) -> Iterator[Backend]:
    """Workers of one thread each on a Ray cluster; see `open_backend`.

    Every node needs this package, its data and agents of your own at the same paths as this machine.
    """
    ours = not ray.is_initialized()
    if ours:
        _connect(address)
    try:
        count = min(jobs or max(1, int(ray.cluster_resources().get("CPU", 1))), tasks)
        yield Backend(_Ray(), count, ran_on)
    finally:
        if ours:
            ray.shutdown()


def _connect(address: str | None) -> None:
    address = address or os.environ.get("RAY_ADDRESS")
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    try:
        if host and port.isdigit():  # where nobody listens, Ray would try for minutes
            socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
        ray.init(address, logging_level=logging.WARNING)
    except (OSError, ValueError, RuntimeError) as error:
        raise UsageError(f"--ray-address: no Ray cluster at {address}: {error}") from error


def ran_on() -> dict[str, str]:
    """This worker."""
    node = ray.get_runtime_context().get_node_id()
    return {"host": platform.node(), "node": node[:8], "worker": str(os.getpid())}


class _Ray:
    """Ray's tasks: one whose node or process dies begins again elsewhere."""

    def __init__(self) -> None:
        self._running: set[Any] = set()
        self._run = ray.remote(num_cpus=1, max_retries=RETRIES, runtime_env={"env_vars": _environment()})(_call)

    def submit(self, call: Callable[[], Any]) -> Future[Any]:
        task = self._run.remote(call)
        self._running.add(task)
        future: Future[Any] = task.future()
        future.add_done_callback(lambda _: self._running.discard(task))
        return future

    def failure(self, error: Exception) -> Exception:
        if isinstance(error, RayTaskError):  # the call could not even be read
            why = str(error.cause).partition("\n")[0]
            return UsageError(f"a node of the Ray cluster lacks what every node needs at the same path: {why}")
        if isinstance(error, RayError):
            return WorkerDiedError(f"a worker died, perhaps for want of memory ({type(error).__name__})")
        return error

    def kill(self) -> None:
        for task in list(self._running):
            ray.cancel(task, force=True)


def _call(call: Callable[[], Any]) -> Any:
    return call()


def _environment() -> dict[str, str]:
    """Environment variables of the workers: one thread, our import path, and the cache of this machine."""
    path = {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    cache = {name: value for name, value in os.environ.items() if name.startswith("RADPLAN_")}
    return ONE_THREAD | path | cache
