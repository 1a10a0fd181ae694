"""A comparison on a Ray cluster of two nodes, one of which is lost half-way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from radplan_experiments.recording.records import CIRCUMSTANCES

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[ray]'")

SCRIPT = Path(__file__).parents[3] / "experiments" / "compare.py"
EPISODES = 2 * 8


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A head and a second node on this machine, of one core each."""
    from ray.cluster_utils import Cluster

    small = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={**small, "include_dashboard": False})
    cluster.add_node(**small)
    yield cluster
    cluster.shutdown()


def start(data: Path, out: Path, *arguments: object) -> subprocess.Popen[str]:
    task = ["--site", "head-and-neck", "--data", data, "--agents", "odd_agents:Slow", "--budget", 2, "--seeds", 8]
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, SCRIPT, *map(str, task), "--out", out, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def episodes(out: Path) -> list[dict[str, Any]]:
    file = out / "episodes.jsonl"
    return [json.loads(line) for line in file.read_bytes().splitlines()] if file.exists() else []


def what_is_the_same(out: Path) -> tuple[list[Any], dict[str, Any]]:
    """Records and stored arrays, without what tells of the way there."""
    records = [{name: value for name, value in r.items() if name not in CIRCUMSTANCES} for r in episodes(out)]
    plans = {str(path.relative_to(out)): dict(np.load(path)) for path in sorted(out.rglob("*.npz"))}
    return sorted(records, key=lambda r: (r["case"], r["seed"])), plans


@pytest.mark.slow
def test_a_lost_node_loses_nothing_and_results_are_those_of_processes(
    cluster: Any, tiny_openkbp: Path, tmp_path: Path
) -> None:
    on_ray, on_processes = tmp_path / "ray", tmp_path / "processes"
    process = start(tiny_openkbp, on_ray, "--backend", "ray", "--ray-address", cluster.address)
    deadline = time.monotonic() + 240
    while len({record["ran_on"]["node"] for record in episodes(on_ray)}) < 2:  # until both have done something
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
    before = len(episodes(on_ray))
    (second,) = cluster.worker_nodes
    cluster.remove_node(second, allow_graceful=False)
    errors = process.communicate(timeout=400)[1]
    assert process.returncode == 0, errors
    assert before < EPISODES == len(episodes(on_ray))
    assert start(tiny_openkbp, on_processes, "--jobs", 2).wait() == 0
    records, plans = what_is_the_same(on_ray)
    expected_records, expected_plans = what_is_the_same(on_processes)
    assert records == expected_records
    np.testing.assert_equal(plans, expected_plans)
    assert len(plans) == 2 * EPISODES


def test_ray_is_not_asked_for_what_it_cannot_do(
    tiny_openkbp: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from radplan_experiments.commands.compare import main

    task = ["--site", "head-and-neck", "--data", str(tiny_openkbp), "--out", str(tmp_path / "out"), "--backend", "ray"]
    assert main([*task, "--agents", "gpt-radplan", "--llm", "m@http://127.0.0.1:9"]) == 2
    assert "--backend ray cannot play gpt-radplan" in capsys.readouterr().err
    assert main([*task, "--agents", "template", "--ray-address", "127.0.0.1:9"]) == 2
    assert "no Ray cluster at 127.0.0.1:9" in capsys.readouterr().err
