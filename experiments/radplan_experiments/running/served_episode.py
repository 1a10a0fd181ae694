"""An episode at the planner's console that somebody outside this process plays, and its record."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from radplan_env.case import Case
from radplan_env.console import Answer, Console
from radplan_env.env import RadPlanEnv
from radplan_experiments.recording.records import Key, Record
from radplan_experiments.recording.run_folder import open_run_folder
from radplan_experiments.recording.settings import Settings
from radplan_experiments.running import runner
from radplan_experiments.writing import new_folder, slug, write_json


class ServedEpisode:
    """One episode: calls are carried out until it ends, then it is recorded.

    Parameters
    ----------
    settings : Settings
        Of the run that the episode belongs to; its first agent is who plays.
    case : str
        Id of the case.
    out : Path
        Folder for the records.
    command : str
        The command line, for the record.
    """

    def __init__(self, settings: Settings, case: str, out: Path, command: str = "") -> None:
        self._settings, self._command = settings, command
        self._key: Key = (settings.agents[0], case, 0)
        self._parent = out / slug(case)
        self._started = time.perf_counter()
        env = runner.environment_of_case(settings, case)
        env.reset(seed=runner.seeds_of(self._key)[0], options={"case": case})
        self._env: RadPlanEnv = env.unwrapped  # type: ignore[assignment]
        self.console = Console(self._env)
        self._folder: Path | None = None
        self._record: Record | None = None

    @property
    def case(self) -> Case:
        """The patient."""
        return self._env.system.case

    def call(self, name: str, arguments: Mapping[str, Any]) -> Answer:
        """Carry out a call; see `Console.call`. The last solve and `finish` make the record ready."""
        answer = self.console.call(name, arguments)
        if self.console.finished or self.console.desk.solves_left == 0:
            self._make_ready()
        return answer

    def close(self) -> Path | None:
        """End the episode and write its record; return its results folder, None where no plan was made."""
        if not self.console.desk.plans:
            return None
        self._make_ready()
        folder, record = self._folder, self._record
        assert folder is not None and record is not None
        seconds = round(time.perf_counter() - self._started, 3)
        whole: Record = {**record, "agent_record": self.console.record(), "seconds": seconds, "command": self._command}
        with open_run_folder(folder, self._settings) as run:
            run.append(whole)
        return folder

    def _make_ready(self) -> None:
        """Save the plans and what takes seconds to compute, once: a client that goes waits for little."""
        if self._record is not None:
            return
        self._folder = new_folder(self._parent)
        plans = [solved.plan for solved in self.console.desk.plans]
        with open_run_folder(self._folder, self._settings, command=self._command, versions=runner.versions()) as run:
            self._record = runner.record_of_plans(self._env, run, self._key, plans)
            write_json(run.case_path(self._key[1]), runner.facts(self._env.system))
