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

from joblib.parallel import ParallelBackendBase

from radplan_experiments.cohort import UsageError
from radplan_experiments.running.backends.backend import ONE_THREAD, Backend

try:
    import ray
    from ray.exceptions import RayError, RayTaskError
except ImportError as error:
    raise UsageError("--backend ray needs Ray: pip install 'radplan_env[ray]'") from error

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
        yield Backend(_Ray(), count, ran_on, RayError)
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


class _Ray(ParallelBackendBase):  # type: ignore[misc]
    """Ray's tasks as a backend of joblib.

    Ray's own (`ray.util.joblib`, 2.60) gives no result before all are there, and loses the tasks of a node that dies.
    """

    supports_retrieve_callback = True

    def __init__(self) -> None:
        super().__init__(nesting_level=0)
        self._running: set[Any] = set()
        self._run = ray.remote(num_cpus=1, max_retries=RETRIES, runtime_env={"env_vars": _environment()})(_call)

    def effective_n_jobs(self, n_jobs: int) -> int:
        return max(n_jobs, 2)  # a single job joblib would run in this process

    def submit(self, func: Callable[[], Any], callback: Callable[[Any], Any] | None = None) -> Future[Any]:
        task = self._run.remote(func)
        self._running.add(task)
        future: Future[Any] = task.future()
        future.add_done_callback(lambda _: self._running.discard(task))
        if callback is not None:
            future.add_done_callback(callback)
        return future

    def retrieve_result_callback(self, out: Future[Any]) -> Any:
        try:
            return out.result()
        except RayTaskError as error:  # errors of tasks are outcomes: this one could not even be read
            why = str(error.cause).partition("\n")[0]
            raise UsageError(
                f"a node of the Ray cluster lacks what every node needs at the same path: {why}"
            ) from error

    def abort_everything(self, ensure_ready: bool = True) -> None:
        for task in list(self._running):
            ray.cancel(task, force=True)


def _call(function: Callable[[], Any]) -> Any:
    return function()


def _environment() -> dict[str, str]:
    """Environment variables of the workers: one thread, our import path, and the cache of this machine."""
    path = {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    cache = {name: value for name, value in os.environ.items() if name.startswith("RADPLAN_")}
    return ONE_THREAD | path | cache
