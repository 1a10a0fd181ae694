"""The run folder: continued after any death, never mixed, never silently damaged."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radplan_env.protocol import load_protocol
from radplan_env.scorecards import load_scorecard
from radplan_experiments.recording.records import key_of
from radplan_experiments.recording.run_folder import RunFolderError, open_run_folder
from radplan_experiments.recording.settings import BeamModelChoice, ScorecardChoice, Settings

Record = dict[str, Any]


@pytest.fixture(scope="module")
def first(episode: Callable[..., Record], plan_summary: Callable[..., Record]) -> Record:
    return episode("template", "synthetic/test/0", 0, [plan_summary(60)])


@pytest.fixture(scope="module")
def second(episode: Callable[..., Record], plan_summary: Callable[..., Record]) -> Record:
    return episode("coordinate", "synthetic/test/1", 0, [plan_summary(70)])


@pytest.fixture
def run(tmp_path: Path, settings: Settings, first: Record) -> Path:
    """A folder with one recorded episode."""
    with open_run_folder(tmp_path / "run", settings) as folder:
        folder.append(first)
    return tmp_path / "run"


def test_episodes_are_found_again(tmp_path: Path, settings: Settings, records: list[Record]) -> None:
    with open_run_folder(tmp_path, settings, command="the command", versions={"python": "3"}) as folder:
        assert len(folder.todo()) == 4
        for record in records[:3]:
            folder.append(record)
    with open_run_folder(tmp_path, settings) as folder:
        assert folder.todo() == [key_of(records[3])]
        assert folder.set_aside == 0
        assert folder.records[key_of(records[0])] == {"schema": 2, **records[0]}
    run = json.loads((tmp_path / "run.json").read_text())
    assert run["command"] == "the command"
    assert run["versions"] == {"python": "3"}


def test_deterministic_agents_play_each_case_once(settings: Settings) -> None:
    thrice = dataclasses.replace(settings, seeds=3, deterministic=("template",))
    assert list(thrice.episodes()) == [
        (agent, case, seed)
        for case in settings.cases
        for agent, seed in [("template", 0), ("coordinate", 0), ("coordinate", 1), ("coordinate", 2)]
    ]
    assert Settings.from_json(json.loads(json.dumps(thrice.to_json())), thrice.protocol) == thrice


@pytest.mark.slow
@given(cut=st.integers(min_value=1, max_value=2000))
def test_half_written_line_is_set_aside_and_played_again(
    tmp_path_factory: pytest.TempPathFactory, settings: Settings, first: Record, second: Record, cut: int
) -> None:
    path = tmp_path_factory.mktemp("cut")
    with open_run_folder(path, settings) as folder:
        folder.append(first)
        folder.append(second)
    file = path / "episodes.jsonl"
    whole, last = file.read_bytes().splitlines(keepends=True)
    half = last[: min(cut, len(last) - 2)]
    file.write_bytes(whole + half)

    with open_run_folder(path, settings) as folder:
        assert folder.set_aside == 1
        assert list(folder.records) == [key_of(first)]
        assert key_of(second) in folder.todo()
        folder.append(second)
    assert (path / "set_aside.jsonl").read_bytes() == half + b"\n"
    assert file.read_bytes() == whole + last


def test_record_that_lacks_only_its_newline_is_kept(run: Path, settings: Settings) -> None:
    file = run / "episodes.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole.rstrip(b"\n"))
    with open_run_folder(run, settings) as folder:
        assert folder.set_aside == 0
        assert len(folder.records) == 1
    assert file.read_bytes() == whole


@pytest.mark.parametrize("change", [None, {}, {"seed": 99}, {"schema": 99}, {"status": "half"}])
def test_lines_that_are_no_episode_of_the_run_are_set_aside(
    run: Path, settings: Settings, first: Record, second: Record, change: Record | None
) -> None:
    """Zeros as a crash leaves them, an episode twice, one of another run, of another format, of no status."""
    base = first if change == {} else second
    line = b"\x00" * 40 if change is None else json.dumps({"schema": 2, **base, **change}).encode()
    with (run / "episodes.jsonl").open("ab") as file:
        file.write(line + b"\n")
    with open_run_folder(run, settings) as folder:
        assert folder.set_aside == 1
        assert list(folder.records) == [key_of(first)]
    assert (run / "set_aside.jsonl").read_bytes() == line + b"\n"


def test_failed_episodes_are_kept_unless_they_are_to_be_retried(run: Path, settings: Settings, second: Record) -> None:
    with open_run_folder(run, settings) as folder:
        folder.append({**second, "status": "failed"})
    with open_run_folder(run, settings) as folder:
        assert key_of(second) not in folder.todo()
    with open_run_folder(run, settings, retry_failed=True) as folder:
        assert key_of(second) in folder.todo()
        assert len(folder.records) == 1
    assert json.loads((run / "set_aside.jsonl").read_text())["status"] == "failed"


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Settings)])
def test_other_settings_are_refused_by_name(run: Path, settings: Settings, name: str) -> None:
    before = (run / "episodes.jsonl").read_bytes()
    others = {
        "budget": 99,
        "seeds": 99,
        "protocol": load_protocol("tg119"),
        "scorecard": ScorecardChoice.of(load_scorecard("v1")),
        "beam_model": BeamModelChoice.of("matrad-generic"),
    }
    other = dataclasses.replace(settings, **{name: others.get(name, "other")})
    with pytest.raises(RunFolderError, match=rf"{name}[._a-z]* was .* now"), open_run_folder(run, other):
        pass
    assert (run / "episodes.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("episodes.jsonl", "{}\n", "no run.json"),
        ("run.json", '{"schema": 2, "sett', "cannot read"),
        ("run.json", "[]", "cannot read"),
        ("run.json", '{"schema": 99, "settings": {}}', "format 99"),
    ],
)
def test_strange_folders_are_refused(tmp_path: Path, settings: Settings, file: str, text: str, message: str) -> None:
    (tmp_path / file).write_text(text)
    with pytest.raises(RunFolderError, match=message), open_run_folder(tmp_path, settings):
        pass


def test_a_folder_where_nothing_was_played_is_given_over(tmp_path: Path, settings: Settings, first: Record) -> None:
    """Who forgot an option repeats the command with it: nothing would be lost by that."""
    other = dataclasses.replace(settings, budget=9)
    with open_run_folder(tmp_path, other) as folder:
        folder.case_path("synthetic/test/0").parent.mkdir()
        folder.case_path("synthetic/test/0").write_text("{}")
        (tmp_path / "cases" / "mine.dcm").write_text("")
    with open_run_folder(tmp_path, settings, command="once more") as folder:
        assert [path.name for path in (tmp_path / "cases").iterdir()] == ["mine.dcm"]
        folder.append(first)
    assert json.loads((tmp_path / "run.json").read_text())["command"] == "once more"
    with (
        pytest.raises(RunFolderError, match="budget"),
        open_run_folder(tmp_path, dataclasses.replace(settings, budget=9)),
    ):
        pass


def test_folder_that_is_a_file_is_refused(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="cannot write"), open_run_folder(tmp_path / "file", settings):
        pass


def test_only_one_process_writes_to_a_folder(run: Path, settings: Settings) -> None:
    lock = str(run / ".lock")
    code = f"import filelock; lock = filelock.FileLock({lock!r}); lock.acquire(); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(RunFolderError, match="another run"), open_run_folder(run, settings):
            pass
        other.kill()
    with open_run_folder(run, settings) as folder:  # a dead process holds nothing
        assert len(folder.records) == 1


def test_failed_write_leaves_earlier_records_whole(
    run: Path, settings: Settings, second: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    before = (run / "episodes.jsonl").read_bytes()
    with open_run_folder(run, settings) as folder:
        monkeypatch.setattr("radplan_experiments.recording.run_folder.os.fsync", full)
        with pytest.raises(OSError, match="No space left"):
            folder.append(second)
        assert key_of(second) in folder.todo()
    assert (run / "episodes.jsonl").read_bytes() == before


def test_nan_is_no_result(run: Path, settings: Settings, second: Record) -> None:
    with open_run_folder(run, settings) as folder, pytest.raises(ValueError, match="JSON"):
        folder.append({**second, "best_score": float("nan")})
