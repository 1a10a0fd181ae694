"""compare.py as people run it: results that do not depend on how, kills, restarts, and clear refusals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from radplan_experiments.recording.records import CIRCUMSTANCES

Record = dict[str, Any]
Run = Callable[..., subprocess.CompletedProcess[str]]

SCRIPT = Path(__file__).parents[2] / "experiments" / "compare.py"


@pytest.fixture(scope="module")
def environment(cache_dir: Path) -> dict[str, str]:
    """The session's cache, and odd_agents within reach."""
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "RADPLAN_CACHE_DIR": str(cache_dir.parent), "PYTHONPATH": path}


@pytest.fixture(scope="module")
def run(environment: dict[str, str], tiny_openkbp: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs compare.py on the tiny patients, from somewhere else than the repository."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(tiny_openkbp, arguments),
            env=environment,
            cwd=elsewhere,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def command(data: Path, arguments: Sequence[object]) -> list[str]:
    standard = ["--site", "head-and-neck", "--data", data, "--budget", 2, "--jobs", 1]
    return [sys.executable, str(SCRIPT), *map(str, standard), *map(str, arguments)]


def episodes(out: Path) -> list[Record]:
    return [json.loads(line) for line in (out / "episodes.jsonl").read_text().splitlines()]


def results(out: Path) -> dict[tuple[str, str, int], Record]:
    """Records by episode, without what may differ between runs of the same settings."""
    return {
        (r["agent"], r["case"], r["seed"]): {k: v for k, v in r.items() if k not in CIRCUMSTANCES}
        for r in episodes(out)
    }


@pytest.fixture(scope="module")
def finished(run: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """Two agents, one of which draws, two cases, two seeds, on one process."""
    out = tmp_path_factory.mktemp("finished") / "run"
    return out, run("--agents", "template", "random", "--seeds", 2, "--out", out)


@pytest.mark.slow
def test_a_run_leaves_records_plans_tables_and_figures(
    finished: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    out, process = finished
    assert process.returncode == 0, process.stderr
    records = episodes(out)
    assert len(records) == 2 * (1 + 2)  # the template plays each case once
    for record in records:
        assert record["schema"] == 2
        assert record["status"] == "complete"
        assert record["fidelity"] == "fast"
        assert record["budget"] == 2
        assert record["protocol"] == "head_and_neck"
        assert {"python", "numpy", "pyRadPlan"} <= record["versions"].keys()
        assert "compare.py" in record["command"]
        assert len(record["steps"]) == (1 if record["agent"] == "template" else 2)
        for step in record["steps"]:
            assert {"score", "parameters", "metrics", "criteria", "solver"} <= step.keys()
        scores = [step["score"] for step in record["steps"]]
        best = max(record["steps"], key=lambda step: (step["screened"] is not False, step["score"]))
        assert (record["best_score"], record["final_score"]) == (best["score"], scores[-1])
        assert (out / "plans" / record["agent"]).is_dir()
    assert len(list((out / "plans").rglob("*.npz"))) == len(records)
    assert "before sequencing" in process.stdout
    assert "## Against reference plans, criterion by criterion" in (out / "tables.md").read_text()
    heading, overview, *_ = (out / "tables.md").read_text().split("\n## ")
    assert heading in process.stdout
    assert overview in process.stdout
    figures = {path.name for path in (out / "figures").glob("*.png")}
    expected = {
        "sample_efficiency",
        "performance_profile",
        "probability_of_improvement",
        "score_differences",
        "differences",
        "mean_dvhs",
        "trajectory_random",
        "plan_template",
        "plan_random",
        "dvh_openkbp-pt_1",
        "dvh_openkbp-pt_2",
    }
    assert figures >= {f"{name}.png" for name in expected}
    assert (out / "report.html").stat().st_size < 8e6


@pytest.mark.slow
def test_results_do_not_depend_on_the_number_of_processes(
    finished: tuple[Path, subprocess.CompletedProcess[str]], run: Run, tmp_path: Path
) -> None:
    process = run("--agents", "template", "random", "--seeds", 2, "--jobs", 3, "--out", tmp_path)
    assert process.returncode == 0, process.stderr
    assert results(tmp_path) == results(finished[0])


@pytest.mark.slow
def test_a_finished_run_is_not_repeated(finished: tuple[Path, subprocess.CompletedProcess[str]], run: Run) -> None:
    out, first = finished
    before = (out / "episodes.jsonl").read_bytes()
    again = run("--agents", "template", "random", "--seeds", 2, "--out", out)
    assert again.returncode == 0
    assert again.stdout == first.stdout
    assert (out / "episodes.jsonl").read_bytes() == before
    other = run("--agents", "template", "random", "--seeds", 3, "--out", out)
    assert other.returncode == 2
    assert "seeds was 2, now 3" in other.stderr


@pytest.mark.slow
def test_killed_and_started_again_repeats_nothing_and_loses_nothing(
    run: Run, environment: dict[str, str], tiny_openkbp: Path, tmp_path: Path
) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    arguments = ["--agents", "odd_agents:Slow", "--cases", 1, "--seeds", 6]
    process = subprocess.Popen(
        command(tiny_openkbp, [*arguments, "--jobs", 2, "--out", killed]),
        env=environment,
        stderr=subprocess.DEVNULL,
    )
    wait_for(lambda: (killed / "episodes.jsonl").exists() and len(episodes_bytes(killed)) >= 2)
    children = children_of(process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_for(lambda: not any(Path(f"/proc/{child}").exists() for child in children))
    survived = episodes_bytes(killed)
    assert 2 <= len(survived) < 6
    with (killed / "episodes.jsonl").open("ab") as file:
        file.write(survived[0][:100])  # and as if the kill had hit a write

    again = run(*arguments, "--jobs", 2, "--out", killed)
    assert again.returncode == 0, again.stderr
    assert "cut short or to be retried: 1 record" in again.stderr
    assert episodes_bytes(killed)[: len(survived)] == survived
    assert len(episodes(killed)) == 6
    assert (killed / "set_aside.jsonl").read_bytes() == survived[0][:100] + b"\n"
    assert run(*arguments, "--out", whole).returncode == 0
    assert results(killed) == results(whole)


@pytest.mark.slow
def test_ctrl_c_leaves_a_folder_to_go_on_with(
    run: Run, environment: dict[str, str], tiny_openkbp: Path, tmp_path: Path
) -> None:
    arguments = ["--agents", "odd_agents:Slow", "--cases", 1, "--seeds", 4, "--out", tmp_path]
    process = subprocess.Popen(
        command(tiny_openkbp, arguments),
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Whoever runs the tests in the background ignores Ctrl-C, and hands that down.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    wait_for(lambda: (tmp_path / "episodes.jsonl").exists())
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does, workers included
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"go on with:\n  python {SCRIPT} --site" in errors
    assert "Traceback" not in errors
    assert run(*arguments).returncode == 0
    assert len(episodes(tmp_path)) == 4


@pytest.mark.slow
def test_agents_that_fail_are_recorded_and_others_go_on(run: Run, tmp_path: Path) -> None:
    odd = ["Raises", "Exits", "Quits", "Nonsense"]
    process = run("--agents", *(f"odd_agents:{name}" for name in odd), "template", "--cases", 1, "--out", tmp_path)
    assert process.returncode == 1, process.stderr
    records = {record["agent"].partition(":")[2]: record for record in episodes(tmp_path)}
    assert records.pop("")["status"] == "complete"
    assert {record["status"] for record in records.values()} == {"failed"}
    assert records["Raises"]["error"]["message"] == "RuntimeError: no idea what to do next"
    assert len(records["Raises"]["steps"]) == 1
    assert records["Exits"]["error"]["message"] == "SystemExit: gone"
    assert "before its first solve" in records["Quits"]["error"]["message"]
    assert "shape" in records["Nonsense"]["error"]["message"]
    assert "no idea what to do next (odd_agents.py, line " in process.stderr
    assert process.stderr.count(f"Tracebacks in {tmp_path / 'failures.txt'}") == 1
    assert "odd_agents.py" in (tmp_path / "failures.txt").read_text()
    assert len(list((tmp_path / "plans").rglob("*.npz"))) == 2  # the template's, and the one Raises came to


@pytest.mark.slow
def test_process_that_dies_ends_the_run_with_a_word(run: Run, tmp_path: Path) -> None:
    process = run("--agents", "template", "odd_agents:Crashes", "--cases", 1, "--out", tmp_path)
    assert process.returncode == 1
    assert "a worker died" in process.stderr
    assert "Traceback" not in process.stderr
    assert [record["agent"] for record in episodes(tmp_path)] == ["template"]


@pytest.mark.slow
def test_case_that_cannot_be_planned_is_left_out_and_said(run: Run, tiny_openkbp: Path, tmp_path: Path) -> None:
    data = tmp_path / "provided-data" / "test-pats"
    data.mkdir(parents=True)
    for patient in (tiny_openkbp / "test-pats").iterdir():
        (data / patient.name).mkdir()
        for file in patient.iterdir():
            if (patient.name, file.name) != ("pt_2", "PTV70.csv"):
                (data / patient.name / file.name).symlink_to(file)
    arguments = ["--data", tmp_path / "provided-data", "--agents", "template", "--out", tmp_path / "out"]
    process = run(*arguments)
    assert process.returncode == 1
    assert "case openkbp/pt_2 is left out" in process.stderr
    assert "PTV_7000" in process.stderr
    assert "openkbp/pt_2" in (tmp_path / "out" / "tables.md").read_text()
    assert [record["case"] for record in episodes(tmp_path / "out")] == ["openkbp/pt_1"]


def test_help_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    from radplan_experiments.commands.compare import main

    with pytest.raises(SystemExit) as exit_:
        main(["--help"])
    assert exit_.value.code == 0
    text = capsys.readouterr().out
    options = (
        "site",
        "source",
        "data",
        "split",
        "cases",
        "agents",
        "budget",
        "seeds",
        "fidelity",
        "jobs",
        "out",
    )
    for option in options:
        assert f"--{option}" in text
    assert "python experiments/compare.py --site head-and-neck" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--agents", "nobody"], "unknown agent 'nobody'"),
        (["--agents", "odd_agents:Nobody"], "Nobody"),
        (["--site", "lung"], "no site 'lung'"),
        (["--source", "lung"], "no source 'lung'"),
        (["--agents", "template", "template"], "each once"),
        (["--cases", "pt_9"], "no pt_9 among openkbp/pt_1, openkbp/pt_2"),
        (["--cases", "3"], "ask for 1 to 2"),
        (["--split", "train"], "no patients"),
        (["--data", "/nowhere"], "there is no /nowhere"),
        (["--budget", "0"], "at least 1"),
        (["--seeds", "0"], "at least 1"),
        (["--jobs", "-1"], "at least 0"),
        (["--out", "/dev/null/results"], "cannot write to /dev/null/results"),
    ],
)
def test_bad_requests_are_refused_in_one_line(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tiny_openkbp: Path,
    tmp_path: Path,
    arguments: list[str],
    message: str,
) -> None:
    from radplan_experiments.commands.compare import main

    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    out = [] if "--out" in arguments else ["--out", str(tmp_path)]
    code = main(["--site", "head-and-neck", "--data", str(tiny_openkbp), *out, *arguments])
    error = capsys.readouterr().err
    assert code == 2
    assert error.startswith("compare.py: error: ")
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--split", "dev"], ["--fidelity", "best"], ["--speed", "9"]])
def test_unknown_options_are_refused(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    from radplan_experiments.commands.compare import main

    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_head_and_neck_without_data_says_where_to_get_it(capsys: pytest.CaptureFixture[str]) -> None:
    from radplan_experiments.commands.compare import main

    assert main(["--site", "head-and-neck"]) == 2
    assert "github.com/ababier/open-kbp" in capsys.readouterr().err


def episodes_bytes(out: Path) -> list[bytes]:
    return (out / "episodes.jsonl").read_bytes().splitlines(keepends=True)


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_for(condition: Callable[[], bool], seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
