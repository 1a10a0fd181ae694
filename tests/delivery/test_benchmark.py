"""What the benchmark of deliveries works out beside what plans say of themselves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import delivery
from radplan_env.case import Case
from radplan_env.planning import Plan, PlanningSystem


def test_eq_1_of_an_even_dose(box_case: Case) -> None:
    """By hand: weight × deviation², and for organs only where the dose is above their objective dose."""
    system = PlanningSystem(box_case, "prostate", fidelity="coarse", progress=False)
    parameters, dose_gy = system.protocol.start_parameters(), 40.0
    targets = {target.structure for target in system.protocol.targets}
    expected = sum(
        each.weight * (dose_gy - each.objective_dose_gy) ** 2
        for name, each in parameters.structures.items()
        if name in targets or dose_gy > each.objective_dose_gy
    )
    even = np.full(len(system.judge.points), dose_gy, np.float32)
    assert delivery._objective(system, parameters, even) == pytest.approx(expected)


@pytest.mark.slow
def test_what_an_agent_hands_over_is_delivered(box_case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "_case", lambda *_: box_case)
    asked = delivery.Args(tmp_path, ("box",), ways=("step-and-shoot",), agent="coordinate", budget=2, fidelity="coarse")
    delivery.main(asked)
    stem = tmp_path / "box_step-and-shoot_coordinate_2"
    figures = json.loads(stem.with_suffix(".json").read_text())
    held, ideal = Plan.load(stem.with_suffix(".npz")), figures["protocol_beams_v1"]
    system = PlanningSystem(box_case, "prostate", fidelity="coarse", progress=False)
    template = system.plan(system.protocol.start_parameters())
    assert system.plan(held.parameters).evaluation.score == pytest.approx(ideal, abs=0.3)
    assert ideal >= template.evaluation.score
