"""One way to run independent tasks, whatever runs them: joblib, with one of its backends."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from joblib import Parallel, delayed
from joblib.parallel import ParallelBackendBase

from radplan_experiments.running.backends.progress import progress

Task = TypeVar("Task")
Result = TypeVar("Result")

# Sums are split by thread, so their last digits depend on the number of threads. One thread in every worker
# makes results the same for any number of workers.
ONE_THREAD = dict.fromkeys(ParallelBackendBase.MAX_NUM_THREADS_VARS, "1")


class WorkerDiedError(Exception):
    """A worker ended in the middle of a task."""


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
    workers : ParallelBackendBase
        joblib's face of them.
    jobs : int
        How many tasks run at once.
    ran_on : callable
        Called on a worker, says which it is.
    deaths : type of exception
        What the loss of a worker raises.
    """

    workers: ParallelBackendBase
    jobs: int
    ran_on: Callable[[], dict[str, str]]
    deaths: type[Exception]

    def run(self, function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Outcome[Task, Result]]:
        """Run a function on every task; outcomes come as tasks end, in any order.

        Tasks are taken one by one, in their order, as workers fall idle: an iterable that ends early leaves those
        under way to come to their end. Leaving the loop, by an exception too, kills them.

        Raises
        ------
        WorkerDiedError
            If a worker died; what else was under way is lost.
        """
        parallel = Parallel(
            n_jobs=self.jobs,
            backend=self.workers,
            return_as="generator_unordered",
            pre_dispatch=self.jobs,
            batch_size=1,
        )
        outcomes = parallel(delayed(_attempt)(function, task, self.ran_on) for task in tasks)
        try:
            for outcome in outcomes:  # noqa: UP028  # `yield from` would close them before `finally` does
                yield outcome
        except self.deaths as error:
            raise WorkerDiedError(f"a worker died, perhaps for want of memory ({type(error).__name__})") from error
        finally:
            with warnings.catch_warnings(action="ignore"):  # joblib's, that not all results were used
                outcomes.close()

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
    """A task's outcome, on the worker. An error is an outcome too: joblib would end the other tasks for it."""
    try:
        return Outcome(task, ran_on(), function(task))
    except Exception as error:
        error.add_note(traceback.format_exc())  # which would stay behind on the worker
        return Outcome(task, ran_on(), error=error)
