"""Another package's site, source and agent play without any change here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path, cache_dir: Path) -> Run:
    """Runs Python from a folder outside the repository, with the example package installed beside this one."""
    site_packages = tmp_path / "site-packages"
    installed = site_packages / "brain_site-1.0.dist-info"
    installed.mkdir(parents=True)
    for name in ("brain_site.py", "brain.yaml"):
        shutil.copy(HERE / name, site_packages)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: brain-site\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text(
        "[radplan_env.sites]\nbrain = brain_site:BRAIN\nbroken = brain_site:NOTHING\n"
        "[radplan_env.sources]\nheads = brain_site:HEADS\n"
        "[radplan_agents.agents]\nnudge = brain_site:NudgeAgent\n"
    )
    path = [site_packages, REPOSITORY, REPOSITORY / "agents", REPOSITORY / "experiments"]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, path)),
        "RADPLAN_CACHE_DIR": str(cache_dir.parent),
    }

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, *map(str, arguments)]
        return subprocess.run(words, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)

    return run


COMPARE = REPOSITORY / "experiments" / "compare.py"


@pytest.mark.slow
def test_the_site_is_played_end_to_end(run: Run, tmp_path: Path) -> None:
    options = ["--site", "brain", "--cases", "all", "--agents", "template", "nudge", "--budget", 2, "--jobs", 1]
    process = run(COMPARE, *options, "--out", "run")
    assert process.returncode == 0, process.stderr
    records = [json.loads(line) for line in (tmp_path / "run" / "episodes.jsonl").read_text().splitlines()]
    played = {(record["agent"], record["case"]): record for record in records}
    assert set(played) == {(a, c) for a in ("template", "nudge") for c in ("heads/frontal", "heads/parietal")}
    for record in played.values():
        assert record["status"] == "complete" and record["site"] == "brain"
        assert record["steps"][0]["metrics"]["PTV_6000"]["D95%"] == pytest.approx(60, abs=0.2)
        assert record["best_score"] is not None
    report = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "Brain, 60 Gy in 30 fractions" in report
    validated = run(COMPARE, "--validate", "run")
    assert validated.returncode == 0, validated.stderr


@pytest.mark.slow
def test_a_protocol_file_alone_is_played_on_the_cases_of_any_source(run: Run, tmp_path: Path) -> None:
    text = (HERE / "brain.yaml").read_text(encoding="utf-8").replace("name: brain\n", "name: my-brain\n")
    (tmp_path / "own.yaml").write_text(text, encoding="utf-8")
    options = ["--source", "heads", "--cases", "parietal", "--agents", "template", "--budget", 1, "--jobs", 1]
    process = run(COMPARE, "--protocol", "own.yaml", *options, "--out", "run")
    assert process.returncode == 0, process.stderr
    (record,) = [json.loads(line) for line in (tmp_path / "run" / "episodes.jsonl").read_text().splitlines()]
    assert record["site"] == "my-brain"
    assert record["steps"][0]["metrics"]["PTV_6000"]["D95%"] == pytest.approx(60, abs=0.2)


@pytest.mark.slow
def test_the_environment_of_the_site_draws_cases_of_its_source(run: Run) -> None:
    code = (
        "import gymnasium; env = gymnasium.make('radplan_env:RadPlan/Brain-v0', progress=False).unwrapped;"
        "print(env.protocol.title, *env.protocol.slots)"
    )
    process = run("-c", code)
    assert process.returncode == 0, process.stderr
    assert process.stdout.startswith("Brain, 60 Gy in 30 fractions PTV_6000 Brainstem")


@pytest.mark.slow
def test_names_are_listed_and_a_broken_one_is_named_only_when_asked_for(run: Run) -> None:
    listed = run(COMPARE, "--help").stdout
    assert "nudge" in listed and "heads" in listed and "brain" in listed
    refused = run(COMPARE, "--site", "broken")
    assert refused.returncode == 2
    assert "brain_site:NOTHING" in refused.stderr and "brain-site" in refused.stderr
    assert "Traceback" not in refused.stderr
