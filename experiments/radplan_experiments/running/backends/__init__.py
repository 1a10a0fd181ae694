"""Where independent tasks run: on processes of this machine, or on a Ray cluster. Results are the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from radplan_experiments.running.backends.backend import Backend, Outcome, WorkerDiedError
from radplan_experiments.running.backends.processes import processes
from radplan_experiments.running.backends.progress import progress

__all__ = ["Backend", "Outcome", "WorkerDiedError", "open_backend", "progress"]


@contextmanager
def open_backend(
    tasks: int, jobs: int = 0, name: Literal["processes", "ray"] = "processes", ray_address: str | None = None
) -> Iterator[Backend]:
    """Workers for as long as they are needed.

    Parameters
    ----------
    tasks : int
        How many there are to run: no more workers than that.
    jobs : int
        How many may run at once. 0: one per core, at most 8 on this machine.
    name : {"processes", "ray"}
        Where they run.
    ray_address : str, optional
        The Ray cluster's, as ``ray.init`` takes it; if not given RAY_ADDRESS, a cluster that this machine is part of,
        or one started for the run.

    Raises
    ------
    UsageError
        If Ray is not installed or the cluster cannot be reached.
    """
    if name == "processes":
        with processes(tasks, jobs) as backend:
            yield backend
        return
    from radplan_experiments.running.backends.ray_cluster import ray_cluster  # an extra, and slow to import

    with ray_cluster(tasks, jobs, ray_address) as backend:
        yield backend
