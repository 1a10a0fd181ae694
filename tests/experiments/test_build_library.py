"""Libraries of past plans, built as people build them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from radplan_agents.gpt_radplan.library import Library
from radplan_env.protocol import load_protocol
from radplan_env.sources import openkbp
from radplan_experiments.commands.build_library import main


@pytest.fixture(scope="module")
def training_data(tiny_openkbp: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny patients, as training patients."""
    root = tmp_path_factory.mktemp("training") / "provided-data"
    root.mkdir()
    (root / "train-pats").symlink_to(tiny_openkbp / "test-pats")
    (root / "test-pats").symlink_to(tiny_openkbp / "test-pats")
    return root


def build(data: Path, out: Path, *arguments: object) -> int:
    task = ["--site", "head-and-neck", "--data", data, "--cases", "all", "--budget", 2, "--jobs", 1, "--out", out]
    return main([str(argument) for argument in (*task, *arguments)])


@pytest.fixture(scope="module")
def run(training_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    assert build(training_data, out) == 0
    return out


@pytest.mark.slow
def test_every_training_patient_gives_a_plan_that_is_found_again(run: Path, training_data: Path) -> None:
    library, protocol = Library.load(run / "library"), load_protocol("head_and_neck")
    patients = openkbp.load(training_data, "train")
    assert len(library.plans) == len(patients) == 2
    for plan, patient in zip(library.plans, patients, strict=True):
        assert library.nearest(patient, protocol, 1) == [plan]
        assert set(plan.parameters) == set(protocol.bind(patient).structures)


@pytest.mark.slow
def test_the_library_names_no_patient(run: Path) -> None:
    for file in (run / "library").iterdir():
        assert not re.search(rb"pt_\d|openkbp", file.read_bytes()), file.name
        assert "pt_" not in file.name


@pytest.mark.slow
def test_the_same_command_goes_on_to_the_same_library(run: Path, training_data: Path) -> None:
    before = {file.name: file.read_bytes() for file in (run / "library").iterdir()}
    assert build(training_data, run) == 0
    assert {file.name: file.read_bytes() for file in (run / "library").iterdir()} == before


@pytest.mark.parametrize("split", ["test", "validation"])
def test_patients_that_results_are_for_are_refused(
    training_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], split: str
) -> None:
    assert build(training_data, tmp_path / "out", "--split", split) == 2
    assert "training cases" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
