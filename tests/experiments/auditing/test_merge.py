"""Parts of a run put together are the run; what does not belong together is refused by name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from radplan_agents.llm.cache import ReplyStore
from radplan_agents.llm.chat import Reply, Usage
from radplan_agents.llm.metering import Ledger
from radplan_env.protocol import load_protocol
from radplan_experiments.auditing import merge as merging
from radplan_experiments.auditing.merge import merge
from radplan_experiments.recording.run_folder import RunFolderError, open_run_folder, read_run_folder
from radplan_experiments.recording.settings import ModelChoice
from radplan_experiments.reporting import report, tables

Record = dict[str, Any]
Part = Callable[..., Path]


@pytest.fixture(autouse=True)
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging.report, "write", lambda folder, left_out, *, draw: "")


@pytest.fixture
def part(tiny_run: Path, tmp_path: Path) -> Part:
    """Makes a results folder of some of the run's agents, cases and seeds, by name."""

    def part(name: str, change: Callable[[Record], None] = lambda record: None, **changes: Any) -> Path:
        whole = read_run_folder(tiny_run)
        agents = changes.get("agents", whole.settings.agents)
        once = tuple(agent for agent in whole.settings.deterministic if agent in agents)
        changes = {"deterministic": once, **changes}
        settings = replace(whole.settings, **changes)
        path = shutil.copytree(tiny_run, tmp_path / name)
        (path / "run.json").unlink()
        (path / "episodes.jsonl").unlink()
        with open_run_folder(path, settings) as folder:
            for key in settings.episodes():
                if key in whole.records:
                    record = json.loads(json.dumps(whole.records[key]))
                    change(record)
                    folder.append(record)
        return path

    return part


def all_tables(path: Path) -> str:
    folder = read_run_folder(path)
    found = tables.all_tables(folder.settings, list(folder.records.values()), report.read_references(folder))
    return "\n".join(table.markdown() for table in found)


def contents(path: Path) -> dict[Path, bytes]:
    """Plans, fluences and cases of a results folder."""
    files = [file for kind in ("plans", "fluences", "cases") for file in (path / kind).rglob("*") if file.is_file()]
    return {file.relative_to(path): file.read_bytes() for file in files}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"agents": ("template",), "seeds": 1}, {"agents": ("random", "odd_agents:Raises")}),
        ({"cases": ("openkbp/pt_1",)}, {"cases": ("openkbp/pt_2",)}),
        ({"seeds": 1}, {}),
        ({"data": ("elsewhere",), "cases": ("openkbp/pt_1",)}, {}),
    ],
)
def test_parts_make_the_whole(
    part: Part, first: dict[str, Any], second: dict[str, Any], tiny_run: Path, tmp_path: Path
) -> None:
    """Parts by agents, by cases and by seeds; the last two share episodes, one lay on another machine."""
    out = tmp_path / "out"
    assert merge([part("first", **first), part("second", **second)], out, command="the command") == 0
    merged, whole = read_run_folder(out), read_run_folder(tiny_run)
    assert merged.settings == replace(whole.settings, data=merged.settings.data)
    assert merged.records == whole.records
    assert merged.todo() == []
    assert all_tables(out) == all_tables(tiny_run)
    assert contents(out) == contents(tiny_run)
    assert json.loads((out / "run.json").read_text())["command"] == "the command"


def test_what_no_part_played_is_left_to_play(part: Part, tmp_path: Path) -> None:
    parts = [part("a", agents=("template",), cases=("openkbp/pt_1",), seeds=1), part("b", agents=("random",), seeds=1)]
    merge(parts, tmp_path / "out")
    assert read_run_folder(tmp_path / "out").todo() == [("template", "openkbp/pt_2", 0)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": 3}, "budget was 2, now 3"),
        ({"fidelity": "paper"}, "fidelity was fast, now paper"),
        ({"protocol": load_protocol("head_and_neck").model_copy(update={"fractions": 34})}, "protocol_digest was "),
        ({"source": "dicom", "data": ("elsewhere",)}, "data was .*source was openkbp, now dicom"),
        ({"deterministic": ("template", "random", "odd_agents:Raises")}, "random plays each case once in one of them"),
    ],
)
def test_other_settings_are_named(part: Part, changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=message):
        merge([part("first"), part("second", **changes)], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_episode_that_went_differently_is_named(part: Part, tmp_path: Path) -> None:
    def change(record: Record) -> None:
        record["seconds"] += 1  # is no matter
        if record["agent"] == "random" and record["seed"] == 1:
            record["steps"][0]["score"] += 1e-9

    with pytest.raises(RunFolderError, match="random on openkbp/pt_1, seed 1, went differently"):
        merge([part("first"), part("second", change)], tmp_path / "out")


def test_another_patient_of_the_same_id_is_named(part: Part, tmp_path: Path) -> None:
    parts = [part("first", agents=("template",)), part("second", agents=("random",))]
    path = parts[1] / "cases" / "openkbp-pt_2.json"
    path.write_text(path.read_text().replace('"digest": "', '"digest": "0'))
    with pytest.raises(RunFolderError, match="case openkbp/pt_2 is not the same in"):
        merge(parts, tmp_path / "out")


MODEL = ModelChoice("gpt-9", "no", 0.0, 0, 4096)


def test_a_run_without_a_model_agrees_with_one_that_has_one(part: Part, tmp_path: Path) -> None:
    """Spending is added up, replies and transcripts come along."""
    parts = [
        part("silent", agents=("template",)),
        part("talking", agents=("random",), model=MODEL, instructions="spare the cord"),
        part("more", agents=("odd_agents:Raises",), model=MODEL, instructions="spare the cord"),
    ]
    for path, key in zip(parts[1:], ("a", "b"), strict=True):
        Ledger(path / "llm_calls.sqlite").add(Usage(prompt_tokens=100, completion_tokens=10), cost_usd=0.5)
        ReplyStore(path / "replies.sqlite").put(key, Reply(text=f"reply {key}"))
    transcript = Path("transcripts") / "random" / "openkbp-pt_1" / "seed_0" / "transcript.md"
    (parts[1] / transcript).parent.mkdir(parents=True)
    (parts[1] / transcript).write_text("said")
    merge(parts, out := tmp_path / "out")
    settings = read_run_folder(out).settings
    assert (settings.model, settings.instructions) == (MODEL, "spare the cord")
    spent = Ledger(out / "llm_calls.sqlite").spent()
    assert (spent.calls, spent.tokens, spent.usd) == (2, 220, 1.0)
    for key in ("a", "b"):
        kept = ReplyStore(out / "replies.sqlite").get(key)
        assert kept is not None and kept.text == f"reply {key}"
    assert (out / transcript).read_text() == "said"


def test_another_model_is_refused(part: Part, tmp_path: Path) -> None:
    other = replace(MODEL, temperature=1.0)
    parts = [part("first", agents=("random",), model=MODEL), part("second", agents=("template",), model=other)]
    with pytest.raises(RunFolderError, match=r"model\.temperature was 0\.0, now 1\.0"):
        merge(parts, tmp_path / "out")


def test_a_suite_keeps_its_name_where_every_part_bears_it(part: Part, tmp_path: Path) -> None:
    first, second = part("first", seeds=1, suite="head-and-neck-v1"), part("second", suite="head-and-neck-v1")
    merge([first, second], tmp_path / "same")
    assert read_run_folder(tmp_path / "same").settings.suite == "head-and-neck-v1"
    merge([first, part("nameless")], tmp_path / "other")
    assert read_run_folder(tmp_path / "other").settings.suite is None


def test_nothing_is_written_over_and_one_folder_is_no_merge(part: Part, tmp_path: Path) -> None:
    first, second = part("first", seeds=1), part("second")
    with pytest.raises(RunFolderError, match="holds a run already"):
        merge([first, second], second)
    with pytest.raises(RunFolderError, match="two results folders or more"):
        merge([first], tmp_path / "out")
