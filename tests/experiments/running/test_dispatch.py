"""What comes back from workers lands in the run's folder, and nothing is begun that cannot go on."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from radplan_agents.agent import EpisodeInterruptedError
from radplan_experiments.recording.records import Key
from radplan_experiments.recording.run_folder import RunFolder, open_run_folder
from radplan_experiments.recording.settings import Settings
from radplan_experiments.running import dispatch, runner
from radplan_experiments.running.backends import Outcome


class OneAfterTheOther:
    """A backend without workers."""

    def run(self, function: Callable[[Any], Any], tasks: Iterable[Any]) -> Iterator[Outcome[Any, Any]]:
        for task in tasks:
            try:
                yield Outcome(task, {"host": "here"}, function(task))
            except Exception as error:
                yield Outcome(task, {"host": "here"}, error=error)


def test_files_of_an_episode_come_to_the_run_and_leave_nothing_behind(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, episode: Any, plan_summary: Any
) -> None:
    elsewhere: list[Path] = []

    def play(folder: RunFolder, key: Key, model: None) -> dict[str, Any]:
        elsewhere.append(folder.path)
        folder.plan_path(key).parent.mkdir(parents=True)
        folder.plan_path(key).write_text("a plan")
        record: dict[str, Any] = episode(*key, [plan_summary(50)])
        return record

    monkeypatch.setattr(runner, "play", play)
    with open_run_folder(tmp_path / "run", settings) as folder:
        keys = folder.todo()
        dispatch.play_all(OneAfterTheOther(), folder, keys, "how it was started")  # type: ignore[arg-type]
    assert all(folder.plan_path(key).read_text() == "a plan" for key in keys)
    assert {(r["ran_on"]["host"], r["command"]) for r in folder.records.values()} == {("here", "how it was started")}
    assert len(set(elsewhere)) == len(keys)
    assert not any(path.exists() or path.is_relative_to(tmp_path) for path in elsewhere)


def test_after_an_interruption_no_episode_is_begun(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, episode: Any, plan_summary: Any
) -> None:
    begun: list[Key] = []

    def play(folder: RunFolder, key: Key, model: None) -> dict[str, Any]:
        begun.append(key)
        if len(begun) == 2:
            raise EpisodeInterruptedError("the service is down")
        record: dict[str, Any] = episode(*key, [plan_summary(50)])
        return record

    monkeypatch.setattr(runner, "play", play)
    with open_run_folder(tmp_path, settings) as folder:
        keys = folder.todo()
        with pytest.raises(EpisodeInterruptedError, match="the service is down"):
            dispatch.play_all(OneAfterTheOther(), folder, keys, "")  # type: ignore[arg-type]
    assert begun == keys[:2]
    assert list(folder.records) == keys[:1]


def test_a_machine_without_the_data_is_named_and_is_not_the_cases_fault(settings: Settings, tmp_path: Path) -> None:
    away = dataclasses.replace(settings, source="openkbp", data=("/nowhere/provided-data",))
    with open_run_folder(tmp_path, away) as folder, pytest.raises(OSError) as raised:
        dispatch.prepare_all(OneAfterTheOther(), folder)  # type: ignore[arg-type]
    assert f"{platform.node()} has no /nowhere/provided-data" in str(raised.value)
