"""The agent of docs/console.md, played as compare.py plays it."""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from radplan_experiments.auditing.validation import validate
from radplan_experiments.recording.failures import gone_early
from radplan_experiments.recording.run_folder import open_run_folder
from radplan_experiments.recording.settings import Settings
from radplan_experiments.reporting import tables
from radplan_experiments.running import runner
from radplan_experiments.running.own_agents import source_digest

pytest.importorskip("mcp")

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
def test_the_agent_of_the_documentation_plays_and_its_record_validates(
    tiny_settings: Settings, tmp_path: Path, in_this_process: None
) -> None:
    text = (ROOT / "docs" / "console.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(# my_agent\.py\n.*?)```", text, re.DOTALL)
    script = tmp_path / "my_agent.py"
    script.write_text(code, encoding="utf-8")
    name = f"mcp:{shlex.join([sys.executable, str(script)])}"
    settings = replace(tiny_settings, agents=(name,), deterministic=(), seeds=1)
    with open_run_folder(tmp_path / "run", settings) as folder:
        case = settings.cases[0]
        runner.prepare(settings, case, folder.case_path(case))
        record = runner.play(folder, (name, case, 0))
        folder.append(record)
    assert (record["status"], record["track"], len(record["steps"])) == ("complete", "ranked", settings.budget)
    assert record["agent_cpu_seconds"] and record["agent_source"] == source_digest(name)
    said = record["agent_record"]
    assert said is not None and said["stopped"] == "finished" and not gone_early([record])
    assert said["console_faults"] == {}
    assert validate(folder.path, jobs=1) == 0
    overview, effort = (table(settings, [record]).frame.iloc[0] for table in (tables.overview, tables.effort))
    assert overview["track"] == effort["track"] == "ranked"
    assert effort["agent's CPU [s]"] == record["agent_cpu_seconds"]
