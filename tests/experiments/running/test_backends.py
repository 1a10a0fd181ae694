"""Workers: what comes back, from where, and what happens when one is lost or no longer wanted."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import backend_tasks as tasks
import pytest

from radplan_experiments.running.backends import WorkerDiedError, open_backend


@pytest.mark.slow
def test_outcomes_come_as_tasks_end_and_errors_are_outcomes_too() -> None:
    with open_backend(tasks=2, jobs=2) as backend:
        naps = [outcome.value for outcome in backend.run(tasks.nap, [3.0, 0.0, 0.1])]
        outcomes = {outcome.task: outcome for outcome in backend.run(tasks.square, range(5))}
        assert backend.map(tasks.nap, [0.3, 0.0], "naps", "nap") == [0.3, 0.0]
        with pytest.raises(ValueError, match="three"):
            backend.map(tasks.square, range(5), "squares", "square")
    assert naps == [0.0, 0.1, 3.0]
    assert {task: outcome.value for task, outcome in outcomes.items()} == {0: 0, 1: 1, 2: 4, 3: None, 4: 16}
    with pytest.raises(ValueError, match="three is too many"):
        outcomes[3].result()
    assert "in square" in outcomes[3].error.__notes__[0]  # where it was raised


def test_one_job_too_has_a_process_of_its_own_with_one_thread() -> None:
    """Sums are split by thread: with another number of them, the last digits change."""
    with open_backend(tasks=9, jobs=1) as backend:
        processes = [outcome.value for outcome in backend.run(tasks.process, range(4))]
        counts = [outcome.value for outcome in backend.run(tasks.threads, range(2))]
        (outcome,) = backend.run(tasks.process, [0])
    assert len(set(processes)) == 1
    assert processes[0] != os.getpid()
    assert counts == [1, 1]
    assert outcome.ran_on == {"host": os.uname().nodename, "worker": str(processes[0])}
    assert not Path(f"/proc/{processes[0]}").exists()


def test_tasks_that_are_withdrawn_are_not_begun_and_those_under_way_end() -> None:
    withdrawn = False

    def naps() -> Iterator[float]:
        while not withdrawn:
            yield 0.5

    done = []
    with open_backend(tasks=2, jobs=2) as backend:
        for outcome in backend.run(tasks.nap, naps()):
            done.append(outcome.value)
            withdrawn = True
    assert 2 <= len(done) <= 4  # at most one more for each that ended meanwhile


def test_leaving_the_loop_ends_the_workers(recwarn: pytest.WarningsRecorder) -> None:
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt), open_backend(tasks=2, jobs=2) as backend:
        for outcome in backend.run(tasks.nap, [0.0, 1000.0, 1000.0]):
            worker = outcome.ran_on["worker"]
            raise KeyboardInterrupt
    assert time.monotonic() - started < 500
    assert not Path(f"/proc/{worker}").exists()
    assert not [str(w.message) for w in recwarn]


def test_a_worker_that_dies_is_an_error_and_what_came_before_is_there() -> None:
    done = []
    with pytest.raises(WorkerDiedError, match="a worker died"), open_backend(tasks=5, jobs=1) as backend:
        for outcome in backend.run(tasks.die, range(5)):
            done.append(outcome.value)
    assert done in ([0], [0, 1])  # the worker may die before the second result has left it
    with open_backend(tasks=1) as backend:  # and the next workers are well
        assert backend.map(tasks.square, [2], "squares", "square") == [4]
