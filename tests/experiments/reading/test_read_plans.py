"""Planted errors are what their names say, and a reader is scored by what it says of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scripted_server as scripted
from scripted_planner import answers

from radplan_agents.llm import MockClient, Request, Session
from radplan_env.case import Case
from radplan_env.protocol import load_protocol
from radplan_env.sources import synthetic
from radplan_experiments.commands.read_plans import main
from radplan_experiments.reading.errors import ERRORS, Dose, Patient, shows
from radplan_experiments.reading.reading import CLEAN, Plan, read, said, score
from radplan_experiments.reporting.prompts import neck


def patient_of(case: Case, protocol: str) -> tuple[Patient, Dose]:
    """A patient and a dose as plans have it: the prescription in the targets, falling off around them."""
    patient = Patient(case, load_protocol(protocol).bind(case))
    dose = np.zeros(case.grid.shape)
    for mask, rx_gy in patient.targets.values():
        own = Patient(case, patient.protocol)
        own.__dict__["targets"] = {"": (mask, rx_gy)}
        dose = np.maximum(dose, 1.02 * rx_gy * np.exp(-np.clip(own.from_targets_mm, 0, None) / 25))
    return patient, np.asarray(dose * case.structures["Body"], np.float32)


@pytest.fixture(scope="module")
def lateral() -> tuple[Patient, Dose]:
    return patient_of(neck(), "head_and_neck")


@pytest.fixture(scope="module")
def central() -> tuple[Patient, Dose]:
    return patient_of(synthetic.load("train", 1, voxel_size_mm=5)[0], "prostate")


def planted(kind: str, patient: Patient, dose: Dose, seed: int = 0) -> Dose:
    found = ERRORS[kind](patient, dose, np.random.default_rng(seed))
    assert found is not None and found.shape == dose.shape and found.dtype == np.float32
    return found


@pytest.mark.parametrize("seed", range(4))
def test_a_cold_end_is_cold_and_the_rest_is_as_it_was(central: tuple[Patient, Dose], seed: int) -> None:
    patient, dose = central
    mask, _ = patient.targets["PTV_7020"]
    cold = planted("cold_end", patient, dose, seed)
    heights = np.nonzero(mask.any(axis=(1, 2)))[0]
    ends = [float(cold[at][mask[at]].mean() / dose[at][mask[at]].mean()) for at in (heights[0], heights[-1])]
    assert min(ends) < 0.75 and max(ends) > 0.98
    assert shows(patient, dose, cold)


@pytest.mark.parametrize("seed", range(4))
def test_a_hot_spot_lies_outside_and_leaves_the_targets_alone(central: tuple[Patient, Dose], seed: int) -> None:
    patient, dose = central
    mask, rx_gy = patient.targets["PTV_7020"]
    hot = planted("hot_outside", patient, dose, seed)
    centre = np.unravel_index(np.argmax(hot - dose), dose.shape)
    assert 25 < patient.from_targets_mm[centre] < 45
    assert hot[centre] == pytest.approx(1.15 * rx_gy, rel=1e-3)
    assert np.median((hot - dose)[mask]) < 0.02 * rx_gy
    assert shows(patient, dose, hot)


def test_a_missed_node_is_an_elective_target(lateral: tuple[Patient, Dose], central: tuple[Patient, Dose]) -> None:
    patient, dose = lateral
    missed = planted("missed_node", patient, dose)
    primary, elective = (mask for mask, _ in patient.targets.values())
    assert (missed - dose)[elective].min() < -0.3 * 56
    assert np.abs((missed - dose)[primary]).max() < 3
    assert ERRORS["missed_node"](*central, np.random.default_rng(0)) is None


def test_one_organ_is_spared_and_another_pays(central: tuple[Patient, Dose]) -> None:
    patient, dose = central
    changed = planted("organ_for_another", patient, dose)
    by_mean = sorted(patient.organs, key=lambda name: -float(dose[patient.organs[name]].mean()))[:2]
    moved = [float((changed - dose)[patient.organs[name]].mean()) for name in by_mean]
    assert min(moved) < -3 and max(moved) > 3
    mask, rx_gy = patient.targets["PTV_7020"]
    assert np.median(np.abs((changed - dose)[mask])) < 0.02 * rx_gy


def test_left_and_right_are_swapped_and_back(lateral: tuple[Patient, Dose]) -> None:
    patient, dose = lateral
    swapped = planted("left_and_right_swapped", patient, dose)
    np.testing.assert_array_equal(planted("left_and_right_swapped", patient, swapped), dose)
    assert shows(patient, dose, swapped)
    assert not shows(patient, dose, dose)


def reader(says: Callable[[int], str]) -> Session:
    """A model whose answer depends on the number of the question."""
    asked = iter(range(100))

    def reply(request: Request) -> str:
        assert request.has_images and "synthetic" not in "".join(message.text for message in request.messages)
        kind = says(next(asked))
        return json.dumps({"why": "(scripted)", "error": "no" if kind == CLEAN else "yes", "kind": kind})

    return Session(MockClient([reply] * 100))


@pytest.fixture(scope="module")
def plan(lateral: tuple[Patient, Dose]) -> Plan:
    patient, dose = lateral
    doses = {kind: planted(kind, patient, dose) for kind in ("cold_end", "left_and_right_swapped")}
    return Plan(1, "made up", patient, {CLEAN: dose, **doses})


@pytest.mark.slow
def test_a_reader_is_scored_by_sensitivity_and_false_alarms(plan: Plan) -> None:
    knows = [CLEAN, "cold_end", "left_and_right_swapped"]
    perfect = score(pd.DataFrame(read(plan, reader(lambda number: knows[number]))))
    assert perfect.loc["all errors", ["said yes", "told apart", "named"]].tolist() == [1, 1, 1]
    assert perfect.loc["clean", "said yes"] == 0
    alarmist = pd.DataFrame(read(plan, reader(lambda number: "cold_end")))
    table = score(alarmist)
    assert table.loc["all errors", ["said yes", "told apart", "named"]].tolist() == [1, 0, 0.5]
    assert table.loc["clean", "said yes"] == 1
    assert "hot_outside: 1" in said(table, alarmist)


def test_no_answer_is_no_alarm_and_is_counted(plan: Plan) -> None:
    table = score(pd.DataFrame(read(plan, Session(MockClient(["hm"] * 100)))))
    assert table.loc["all errors", "said yes"] == 0
    assert table["no answer"].tolist() == [1, 1, 2, 1]


@pytest.mark.slow
def test_a_model_reads_plans(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with scripted.running() as service:
        service.script.extend([answers] * 30)
        model = ["--llm", f"m@{service.url}", "--out", str(tmp_path)]
        assert main([*model, "--cases", "1", "--plans", "1", "--errors", "cold_end", "hot_outside"]) == 0
        assert main([*model, "--errors", "gremlins"]) == 2
        assert main([*model, "--model.vision", "no"]) == 2
    table = pd.read_csv(tmp_path / "reading.csv", index_col="planted")
    assert table.loc["all errors", "plans"] == 2
    assert (tmp_path / "transcript" / "transcript.md").exists()
    said_of = capsys.readouterr()
    assert "false alarms" in said_of.out or "clean" in said_of.out
    assert "gremlins" in said_of.err and "pictures" in said_of.err
