"""A run that is killed again and again ends where an undisturbed one does."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from radplan_experiments.recording.records import CIRCUMSTANCES

SCRIPT = Path(__file__).parents[3] / "experiments" / "compare.py"
SEEDS, KILLS = 24, 20


def start(data: Path, out: Path) -> subprocess.Popen[bytes]:
    """compare.py in a process group of its own, with a cache of its own: K is built among the kills."""
    task = ["--site", "head-and-neck", "--data", data, "--agents", "odd_agents:Slow", "--budget", 2, "--seeds", SEEDS]
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), *map(str, task), "--jobs", "2", "--out", str(out / "run")],
        env={**os.environ, "RADPLAN_CACHE_DIR": str(out / "cache"), "PYTHONPATH": path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def records(out: Path) -> dict[tuple[str, int], Any]:
    """What is recorded, without what tells of the way there; every episode once."""
    file = out / "run" / "episodes.jsonl"
    lines = [json.loads(line) for line in file.read_bytes().splitlines()] if file.exists() else []
    found = {(line["case"], line["seed"]): {k: v for k, v in line.items() if k not in CIRCUMSTANCES} for line in lines}
    assert len(found) == len(lines)
    return found


def arrays(out: Path) -> dict[str, dict[str, Any]]:
    """The contents of every stored plan and fluence."""
    found = {}
    for folder in ("plans", "fluences"):
        for path in sorted((out / "run" / folder).rglob("*")):
            if path.is_file():
                with np.load(path) as stored:
                    found[str(path.relative_to(out))] = dict(stored)
    return found


def wait_until_it_records(process: subprocess.Popen[bytes], file: Path, at_most: float = 240) -> bool:
    """Wait for bytes in the record file, or for the end of the run; whether either came within so many seconds."""
    before = file.stat().st_size if file.exists() else 0
    deadline = time.monotonic() + at_most
    while process.poll() is None and (not file.exists() or file.stat().st_size <= before):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@pytest.mark.slow
def test_twenty_kills_at_random_moments_change_nothing(tiny_openkbp: Path, tmp_path: Path) -> None:
    """Half of them hit the start: imports, workers, K. The others come when episodes are being recorded."""
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    started = time.monotonic()
    assert start(tiny_openkbp, whole).wait() == 0
    undisturbed = time.monotonic() - started
    chance = random.Random(0)
    file = killed / "run" / "episodes.jsonl"
    hits = 0
    for kill in range(KILLS):
        process = start(tiny_openkbp, killed)
        if kill % 2:
            assert wait_until_it_records(process, file), "waited in vain"
            time.sleep(chance.uniform(0, 0.3))
        else:
            wait_until_it_records(process, file, at_most=chance.uniform(0, undisturbed / 6))
        hits += process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert hits == KILLS  # none came when all was done
    assert 0 < len(records(killed)) < 2 * SEEDS
    assert start(tiny_openkbp, killed).wait() == 0
    assert len(records(killed)) == 2 * SEEDS
    assert records(killed) == records(whole)
    np.testing.assert_equal(arrays(killed), arrays(whole))
