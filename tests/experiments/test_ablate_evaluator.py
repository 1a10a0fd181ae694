"""The ablation: every variant is there, and it is compare.py's run with other agents."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import scripted_server as scripted
from scripted_planner import answers

from radplan_agents import REGISTRY
from radplan_experiments.commands.ablate_evaluator import main
from radplan_experiments.options import AblationOptions

SCRIPTS = Path(__file__).parents[2] / "experiments"


def test_every_variant_takes_part_and_is_explained() -> None:
    variants = [name for name in REGISTRY if name.startswith("gpt-radplan")]
    assert sorted(AblationOptions().agents) == sorted(variants)
    assert AblationOptions().agents[0] == "gpt-radplan"  # what the others are compared with
    text = subprocess.run([sys.executable, SCRIPTS / "ablate_evaluator.py", "--help"], capture_output=True, text=True)
    assert all(f"  {name}  " in text.stdout for name in variants)


@pytest.mark.parametrize("script", ["converse", "pareto"])
def test_help_says_what_to_do(script: str) -> None:
    process = subprocess.run([sys.executable, SCRIPTS / f"{script}.py", "--help"], capture_output=True, text=True)
    assert process.returncode == 0
    assert f"python experiments/{script}.py --llm" in process.stdout
    assert "--model.temperature" in process.stdout


@pytest.mark.slow
def test_variants_are_compared_with_the_whole_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without pictures the whole agent asks three times a step, the planner alone once; vision-only is left out."""
    agents = ["gpt-radplan", "gpt-radplan:no-feedback", "gpt-radplan:vision-only"]
    with scripted.running() as service:
        service.script.extend([answers] * 20)
        task = ["--site", "tg119", "--budget", "3", "--jobs", "1", "--out", str(tmp_path)]
        model = ["--llm", f"m@{service.url}", "--model.vision", "no"]
        assert main([*task, *model, "--agents", *agents]) == 0
    output = capsys.readouterr()
    assert "gpt-radplan:vision-only is left out" in output.err
    assert "No agent showed the model pictures" in output.out
    differences = pd.read_csv(tmp_path / "tables" / "score_differences.csv")
    assert set(differences["against"]) == {"gpt-radplan"}
    table = pd.read_csv(tmp_path / "tables" / "language_model.csv").set_index("method")
    records = [json.loads(line) for line in (tmp_path / "episodes.jsonl").read_text().splitlines()]
    steps = {record["agent"]: len(record["steps"]) for record in records}
    assert table.loc["gpt-radplan", "calls"] == 3 * (steps["gpt-radplan"] - 1) > 0
    assert table.loc["gpt-radplan:no-feedback", "calls"] == steps["gpt-radplan:no-feedback"] - 1 > 0
