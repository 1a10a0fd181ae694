"""One way to run independent tasks, whatever runs them."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Generic, Protocol, TypeVar

from radplan_experiments.running.backends.progress import progress

Task = TypeVar("Task")
Result = TypeVar("Result")

# Sums are split by thread, so their last digits depend on the number of threads. One thread in every worker
# makes results the same for any number of workers.
ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "BLIS_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "NUMBA_NUM_THREADS",
    ),
    "1",
)


class WorkerDiedError(Exception):
    """A worker ended in the middle of a task."""


class Workers(Protocol):
    """What runs calls, each worker with one thread."""

    def submit(self, call: Callable[[], Any]) -> Future[Any]:
        """Begin a call, or queue it."""

    def failure(self, error: Exception) -> Exception:
        """What it means that a call has raised, as errors of tasks are outcomes: `WorkerDiedError`, for instance."""

    def kill(self) -> None:
        """End what is under way; the next call finds new workers."""


@dataclass(frozen=True)
class Outcome(Generic[Task, Result]):
    """What became of a task, and where.

    Parameters
    ----------
    task : object
        The task.
    ran_on : dict
        The worker: "host", "worker" (process id) and, on a cluster, "node".
    value : object, optional
        What the function returned.
    error : Exception, optional
        What it raised instead.
    """

    task: Task
    ran_on: dict[str, str]
    value: Result | None = None
    error: Exception | None = None

    def result(self) -> Result:
        """What the function returned; what it raised is raised here."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]


@dataclass(frozen=True)
class Backend:
    """Workers of one thread each.

    Parameters
    ----------
    workers : Workers
    jobs : int
        How many tasks run at once.
    ran_on : callable
        Called on a worker, says which it is.
    """

    workers: Workers
    jobs: int
    ran_on: Callable[[], dict[str, str]]

    def run(self, function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Outcome[Task, Result]]:
        """Run a function on every task; outcomes come as tasks end, in any order.

        Tasks are taken one by one, in their order, as workers fall idle: an iterable that ends early leaves those
        under way to come to their end. Leaving the loop, by an exception too, kills them.

        Raises
        ------
        WorkerDiedError
            If a worker died; what else was under way is lost.
        """
        waiting = iter(tasks)
        running: set[Future[Any]] = set()
        try:
            while True:
                for task in islice(waiting, self.jobs - len(running)):
                    running.add(self.workers.submit(partial(_attempt, function, task, self.ran_on)))
                if not running:
                    return
                ended, running = wait(running, return_when=FIRST_COMPLETED)
                for future in ended:
                    yield self._outcome(future)
        finally:
            if running:
                self.workers.kill()

    def _outcome(self, future: Future[Any]) -> Outcome[Any, Any]:
        try:
            outcome: Outcome[Any, Any] = future.result()
        except Exception as error:
            raise self.workers.failure(error) from error
        return outcome

    def map(
        self, function: Callable[[Task], Result], tasks: Sequence[Task], description: str, unit: str
    ) -> list[Result]:
        """Results in the order of the tasks, with a progress bar; the first error ends the work and is raised."""
        results: dict[int, Result] = {}
        with progress(len(tasks), description, unit) as bar:
            for outcome in self.run(partial(_numbered, function), list(enumerate(tasks))):
                results[outcome.task[0]] = outcome.result()
                bar.update()
        return [results[number] for number in range(len(tasks))]


def _numbered(function: Callable[[Task], Result], task: tuple[int, Task]) -> Result:
    return function(task[1])


def _attempt(function: Callable[[Task], Result], task: Task, ran_on: Callable[[], dict[str, str]]) -> Any:
    """A task's outcome, on the worker; an error is an outcome too."""
    try:
        return Outcome(task, ran_on(), function(task))
    except Exception as error:
        error = _sendable(error)
        error.add_note(traceback.format_exc())  # which would stay behind on the worker
        return Outcome(task, ran_on(), error=error)


def _sendable(error: Exception) -> Exception:
    """The error, or its words where it would not survive the way: one that cannot be read takes the pool with it."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
