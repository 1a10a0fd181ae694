"""An agent of the ranked track: a command that plays at the planner's console from a process of its own."""

from __future__ import annotations

import shlex
import shutil
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import Any, ClassVar

from radplan_agents.agent import Info, Observation
from radplan_agents.own_process.child import MOST_NONSENSE, Call, Child
from radplan_agents.privacy import is_own_patient
from radplan_agents.tool_planner import manual
from radplan_env.console import Console, ToolError
from radplan_env.env import RadPlanEnv
from radplan_env.parameters import PlanningParameters

SEED = "RADPLAN_SEED"
"""Variable of the process's environment that holds the seed of what it draws."""

MOST_CALLS = 1000
"""Calls without a solve between two plans; with one more the episode ends."""


class OwnProcessAgent:
    """Serves the console to a process, a client of the Model Context Protocol, and plans what it asks for.

    The process is told nothing of the case but what the tools tell. If it crashes, falls silent or writes nonsense, the
    plans that it has made count; where it has made none, the template is planned, and the record says so.

    Parameters
    ----------
    env : RadPlanEnv
    seed : int
        Handed to the process.
    """

    command: ClassVar[tuple[str, ...]] = ()
    """What is run; see `agent_for`."""

    patience_s: ClassVar[float] = 1800.0
    """For how long the process may think about its next call; it is stopped if it thinks longer."""

    grace_s: ClassVar[float] = 10.0
    """For how long it may go on once the episode is over."""

    def __init__(self, env: RadPlanEnv, seed: int = 0) -> None:
        self._env, self._seed = env, seed
        self._child: Child | None = None
        self._work: Generator[PlanningParameters, None, None] | None = None

    @property
    def cpu_seconds(self) -> float | None:
        """CPU seconds of the last episode's process, once `record` has ended it; None where they are not known."""
        return None if self._child is None else self._child.cpu_seconds

    def reset(self, observation: Observation, info: Info) -> None:
        """Begin an episode: start the process."""
        self._end()
        self._console = Console(self._env)
        self._counts: Counter[str] = Counter()
        self._stopped = ""
        pictures = not is_own_patient(self._env.system.case)
        self._child = Child(self.command, {SEED: str(self._seed)}, manual(), pictures=pictures)
        self._work = self._episode(self._child)

    def act(self, observation: Observation, info: Info) -> PlanningParameters | None:
        """Return what the process plans next, after it has looked at what it likes; None when it is done."""
        assert self._work is not None
        return next(self._work, None)

    def record(self) -> dict[str, Any]:
        """Return what the last episode met with, as plain JSON data, and end its process.

        What `Console.record` tells; "process" with the counts of its faults; "stopped": how it ended, null where the
        budget ended the episode; and "last_words", the end of what it wrote to its standard error.
        """
        if self._work is not None and self._env.over:
            next(self._work, None)  # the answer to the last solve, and what is asked after it
        self._end()
        child = self._child
        assert child is not None
        stopped = "finished" if self._console.finished else self._stopped
        return {
            **self._console.record(),
            "process": {"nonsense_lines": child.nonsense, **dict(sorted(self._counts.items()))},
            "stopped": f"gone: exit code {child.exit_code}" if stopped == "gone" else stopped or None,
            "last_words": child.last_words(),
        }

    def _end(self) -> None:
        if self._child is not None:
            self._child.end(self.grace_s)

    def _episode(self, child: Child) -> Generator[PlanningParameters, None, None]:
        yield from self._serve(child)
        if not self._console.desk.plans:
            self._counts["template_planned_instead"] += 1
            yield self._console.desk.start

    def _serve(self, child: Child) -> Generator[PlanningParameters, None, None]:
        """Answer calls until the process goes or has to be stopped; once the episode is over it has a moment to go."""
        desk, calls, plans = self._console.desk, 0, 0
        while calls <= MOST_CALLS:
            over = self._env.over or self._console.finished
            try:
                call = child.next_call(self.grace_s if over else self.patience_s)
            except TimeoutError:
                if not over:
                    self._stop("silent")
                return
            if call is None:
                if not over:
                    self._stop("nonsense" if child.nonsense > MOST_NONSENSE else "gone")
                return
            yield from self._answer(call)
            calls = 0 if len(desk.plans) > plans else calls + 1
            plans = len(desk.plans)
        self._stop("endless_looking")

    def _stop(self, fault: str) -> None:
        self._stopped = fault
        self._counts[fault] += 1

    def _answer(self, call: Call) -> Generator[PlanningParameters, None, None]:
        try:
            answer = yield from self._console.turn(call.name, call.arguments)
        except ToolError as error:
            call.answer.set_exception(error)
        else:
            call.answer.set_result(answer)


def agent_for(command: str) -> type[OwnProcessAgent]:
    """Return the agent that plays by a command.

    Parameters
    ----------
    command : str
        As in a shell, without its substitutions: "python my_agent.py --eager". The process runs in a folder of its
        own: words that name a file of the current folder, or a path there with a slash, are handed over in full.

    Raises
    ------
    ValueError
        If there is no such program.
    ImportError
        Without the package mcp.
    """
    import mcp.server.stdio  # noqa: F401  # says at once what is missing

    words = tuple(shlex.split(command))
    if not words:
        raise ValueError("no command: name one, such as 'mcp:python my_agent.py'")
    program = shutil.which(words[0])
    if program is None:
        raise ValueError(f"there is no program {words[0]!r}")
    run = (str(Path(program).absolute()), *map(_in_full, words[1:]))
    return type("CommandAgent", (OwnProcessAgent,), {"command": run, "__module__": __name__})


def _in_full(word: str) -> str:
    path = Path(word)
    return str(path.absolute()) if path.is_file() or ("/" in word and path.exists()) else word
