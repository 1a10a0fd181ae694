"""pareto.py: the sweep over weights without a model, the sweep over wishes with one, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import scripted_server as scripted

from radplan_experiments.commands.pareto import main

TALKER = "talking_agents:Talker"
METRICS = ("--metrics", "Parotid_L mean", "PTV_7000 HI")


def pareto(data: Path, out: Path, *arguments: object) -> int:
    task = ["--site", "head-and-neck", "--data", data, "--out", out, "--jobs", 1, *METRICS]
    return main([str(argument) for argument in (*task, *arguments)])


@pytest.mark.slow
def test_weights_and_wishes_make_one_front(
    tiny_openkbp: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The harder an organ is pressed the less it gets; each wish is an episode, and continuing plays none again."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-SENTINEL")

    def heeds(handler: scripted.Handler) -> None:
        organ = "Parotid_L" if "parotid" in json.dumps(handler.body) else "PTV_7000"
        scripted.says(json.dumps({"structure": organ, "weight_factor": 10}))(handler)

    with scripted.running() as service:
        service.script.extend([heeds] * 2)
        wishes = ["--wishes", "spare the parotid", "hit the target evenly"]
        arguments = ["--ratios", 3, "--agents", TALKER, "--llm", f"m@{service.url}", "--budget", 2, *wishes]
        assert pareto(tiny_openkbp, tmp_path, *arguments) == 0
        assert not service.script
        first = (tmp_path / "pareto.csv").read_bytes()
        assert pareto(tiny_openkbp, tmp_path, *arguments) == 0  # and nobody is asked again
    assert (tmp_path / "pareto.csv").read_bytes() == first
    frame = pd.read_csv(tmp_path / "pareto.csv", keep_default_na=False)
    weights, words = frame[frame["sweep"] == "weights"], frame[frame["sweep"] == TALKER]
    assert weights["point"].tolist() == ["× 0.001", "× 1", "× 1000"]
    assert weights["Parotid_L mean"].is_monotonic_decreasing
    assert weights["PTV_7000 HI"].is_monotonic_increasing
    assert words["point"].tolist() == ["spare the parotid", "hit the target evenly"]
    parotid, inhomogeneity = words["Parotid_L mean"], words["PTV_7000 HI"]
    assert parotid.iloc[0] < parotid.iloc[1] and inhomogeneity.iloc[1] < inhomogeneity.iloc[0]
    assert (tmp_path / "pareto_openkbp-pt_1.png").stat().st_size > 10_000
    assert "dominated by" in (tmp_path / "pareto.md").read_text()
    assert (tmp_path / "pareto.md").read_text() in capsys.readouterr().out
    assert not any(b"SENTINEL" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ratios", "0"], "nothing to sweep"),
        (["--ratios", "-1"], "at least 0"),
        (["--largest-ratio", "1"], "above 1"),
        (["--metrics", "Rectum", "Bladder mean"], "'Rectum mean'"),
        (["--metrics", "SpinalCord mean", "SpinalCord D5%"], "name metrics of two of"),
        (["--metrics", "SpinalCord mean", "Kidney_L mean"], "name metrics of two of"),
        (["--llm", "m@http://localhost/v1"], "give some"),
        (["--wishes", "spare it"], "give --llm MODEL"),
        (["--wishes", "spare it", "spare it", "--llm", "m@http://localhost/v1"], "each once"),
    ],
)
def test_bad_requests_are_refused_in_one_line(
    tiny_openkbp: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.delenv("OPENAI_MODEL", raising=False)
    assert pareto(tiny_openkbp, tmp_path / "out", *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("pareto.py: error: ") and error.count("\n") == 1
    assert message in error
    assert not (tmp_path / "out").exists()
