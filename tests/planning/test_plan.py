"""Plans on a phantom and, where there is data, on real patients."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from radplan_env.case import Case
from radplan_env.influence import Fidelity
from radplan_env.limits import Limit
from radplan_env.parameters import PlanningParameters, StructureParameters
from radplan_env.planning import Plan, PlanningSystem, PlanRequest
from radplan_env.protocol import load_protocol
from radplan_env.sources import openkbp

WHOLE_GRID = Fidelity("whole grid", dose_grid_mm=5, bixel_mm=8)
"""The inner loop sees what is shown: every voxel of the body."""


@pytest.fixture(scope="module")
def system(box_case: Case) -> PlanningSystem:
    return PlanningSystem(box_case, "prostate", fidelity=WHOLE_GRID, progress=False)


@pytest.fixture(scope="module")
def template(system: PlanningSystem) -> Plan:
    return system.plan(system.protocol.start_parameters())


def test_the_template_covers_the_target(template: Plan) -> None:
    metrics = template.evaluation.metrics["PTV_7020"]
    assert metrics["D95%"] == pytest.approx(70.2, rel=1e-3)
    assert template.solution.converged
    assert template.evaluation.metrics["Rectum"]["mean"] < metrics["mean"]


def test_dose_is_k_times_fluence_and_zero_outside_the_body(system: PlanningSystem, template: Plan) -> None:
    again = system.replay(template)
    np.testing.assert_array_equal(again.dose_gy, template.dose_gy)
    assert again.evaluation.to_dict() == template.evaluation.to_dict()
    corner = template.dose_gy[:, 0, 0]
    assert (corner == 0).all()


@pytest.mark.slow
def test_every_knob_changes_the_plan(system: PlanningSystem, template: Plan) -> None:
    start = template.parameters
    for structure, chosen in start.structures.items():
        heavier = system.plan(start.replace(structure, weight=20 * chosen.weight), template)
        assert not np.allclose(heavier.dose_gy, template.dose_gy, atol=0.01), structure
        aimed = max(0.0, 0.6 * chosen.objective_dose_gy) or 15.0
        if structure.startswith("PTV"):
            aimed = chosen.objective_dose_gy + 3
        moved = system.plan(start.replace(structure, objective_dose_gy=aimed), template)
        assert not np.allclose(moved.dose_gy, template.dose_gy, atol=0.01), structure


def test_more_weight_on_an_organ_spares_it(system: PlanningSystem, template: Plan) -> None:
    heavier = system.plan(template.parameters.replace("Rectum", weight=100), template)
    assert heavier.evaluation.metrics["Rectum"]["mean"] < template.evaluation.metrics["Rectum"]["mean"]


def test_beam_angles_are_parameters_too(system: PlanningSystem, template: Plan) -> None:
    turned = PlanningParameters(template.parameters.structures, gantry_angles_deg=(0, 120, 240))
    plan = system.plan(turned, template)
    assert plan.gantry_angles_deg == (0, 120, 240)
    assert plan.evaluation.metrics["PTV_7020"]["D95%"] == pytest.approx(70.2, rel=1e-3)
    assert plan.fluence.size < template.fluence.size
    assert system.replay(plan).summary() == plan.summary()


@pytest.mark.slow
def test_a_batch_gives_the_plans_of_its_requests_whatever_their_beams(system: PlanningSystem, template: Plan) -> None:
    heavier = template.parameters.replace("Rectum", weight=50)
    turned = PlanningParameters(heavier.structures, gantry_angles_deg=(0, 120, 240))
    requests = [PlanRequest(heavier), PlanRequest(turned), PlanRequest(heavier, warm_start=template)]
    for request, plan in zip(requests, system.plan_batch(requests), strict=True):
        alone = system.plan(request.parameters, request.warm_start)
        assert plan.gantry_angles_deg == alone.gantry_angles_deg
        assert plan.summary() == alone.summary()
        np.testing.assert_array_equal(plan.fluence, alone.fluence)
    assert system.plan_batch([]) == []


def test_a_saved_plan_replays_to_the_same_numbers(system: PlanningSystem, template: Plan, tmp_path: Path) -> None:
    loaded = Plan.load(template.save(tmp_path / "plan.npz"))
    assert loaded.summary() == template.summary()
    np.testing.assert_array_equal(loaded.dose_gy, template.dose_gy)
    assert system.replay(loaded).summary() == template.summary()


def test_a_plan_is_restored_from_summary_and_fluence(system: PlanningSystem, template: Plan) -> None:
    heavier = system.plan(template.parameters.replace("Rectum", weight=30), template)
    again = system.restore(heavier.summary(), heavier.solution.fluence)
    assert again.summary() == heavier.summary()
    np.testing.assert_array_equal(again.dose_gy, heavier.dose_gy)
    other = system.restore(template.summary(), heavier.solution.fluence)  # its objective is that of these parameters
    assert other.solution.objective > template.solution.objective


@pytest.mark.parametrize(
    ("change", "fluence", "message"),
    [
        ({"case": "another"}, lambda x: x, "does not fit"),
        ({}, lambda x: x[1:], "does not fit"),
        ({}, lambda x: x - 1, "nowhere negative"),
        ({}, lambda x: x * np.nan, "must be finite"),
        ({"parameters": {}}, lambda x: x, "no parameters for"),
    ],
)
def test_what_makes_no_plan_is_not_restored(
    system: PlanningSystem, template: Plan, change: dict[str, Any], fluence: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        system.restore({**template.summary(), **change}, fluence(template.fluence))


@pytest.fixture(scope="module")
def limited(system: PlanningSystem, template: Plan) -> Plan:
    """A plan that holds limits of every kind, each beyond what the template reaches."""
    reached = template.evaluation.metrics
    limits = (
        Limit("Rectum", "V30Gy", at_most=0.8 * reached["Rectum"]["V30Gy"]),
        Limit("Rectum", "D8cc", at_most=0.9 * reached["Rectum"]["D8cc"]),
        Limit("Bladder", "mean", at_most=0.9 * reached["Bladder"]["mean"]),
        Limit("Femur_Head_L", "max", at_most=0.9 * reached["Femur_Head_L"]["max"]),
        Limit("OutsideTargets", "D1cc", at_most=76.0),
        Limit("PTV_7020", "D98%", at_least=0.95 * 70.2),
    )
    return system.plan(replace(template.parameters, limits=limits), template)


def test_limits_hold_where_the_plan_is_optimised(system: PlanningSystem, limited: Plan) -> None:
    assert limited.solution.converged
    metrics = system.evaluate(limited.dose_gy / limited.scaled_by).metrics
    for limit in limited.parameters.limits:
        value = metrics[limit.structure][limit.metric]
        assert value <= limit.value if limit.upper else value >= limit.value, limit.name
    assert metrics["PTV_7020"]["D95%"] == pytest.approx(70.2, rel=1e-3)


def test_a_plan_says_which_limits_it_was_made_with(system: PlanningSystem, limited: Plan, tmp_path: Path) -> None:
    summary = limited.summary()
    assert [limit["metric"] for limit in summary["limits"]] == ["V30Gy", "D8cc", "mean", "max", "D1cc", "D98%"]
    held = {(c["structure"], c["metric"]): c for c in summary["solver"]["constraints"]}
    assert held["Bladder", "mean"]["met"] and held["Bladder", "mean"]["relation"] == "≤"
    loaded = Plan.load(limited.save(tmp_path / "plan.npz"))
    assert loaded.parameters == limited.parameters
    assert system.replay(loaded).summary() == summary


def test_limits_nobody_can_hold_are_reported(system: PlanningSystem, template: Plan) -> None:
    impossible = (Limit("Bladder", "max", at_most=1.0),)
    plan = system.plan(replace(template.parameters, limits=impossible), template)
    report = {(c.structure, c.relation): c for c in plan.solution.constraints}
    assert not report["Bladder", "≤"].met and not plan.solution.converged
    assert np.isfinite(plan.dose_gy).all()


def test_a_limit_on_what_the_case_lacks_is_named(system: PlanningSystem, template: Plan) -> None:
    with pytest.raises(ValueError, match=r"limit on Larynx mean: .*OutsideTargets"):
        system.plan(replace(template.parameters, limits=(Limit("Larynx", "mean", at_most=45),)))


def test_a_damaged_plan_file_is_named(template: Plan, tmp_path: Path) -> None:
    path = template.save(tmp_path / "plan.npz")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match=r"plan\.npz is not a whole plan"):
        Plan.load(path)


def test_the_dose_moves_to_the_ct_grid(template: Plan, box_case: Case) -> None:
    dose = template.dose_on(box_case.grid)
    assert dose.shape == box_case.grid.shape
    assert dose[box_case.structures["PTV_7020"]].mean() == pytest.approx(
        template.evaluation.metrics["PTV_7020"]["mean"], rel=0.03
    )


def test_wrong_parameters_are_named(system: PlanningSystem) -> None:
    start = system.protocol.start_parameters()
    fewer = PlanningParameters({name: p for name, p in start.structures.items() if name != "Rectum"})
    with pytest.raises(ValueError, match="no parameters for Rectum"):
        system.plan(fewer)
    more = PlanningParameters({**start.structures, "Larynx": StructureParameters(1, 1)})
    with pytest.raises(ValueError, match="Larynx"):
        system.plan(more)
    with pytest.raises(ValueError, match="finite"):
        StructureParameters(float("nan"), 1)
    with pytest.raises(ValueError, match="zero or greater"):
        StructureParameters(1, -1)


def test_weight_zero_leaves_a_structure_out(system: PlanningSystem, template: Plan) -> None:
    start = template.parameters
    plans = [system.plan(start.replace("Rectum", weight=0, objective_dose_gy=dose)) for dose in (0, 50)]
    np.testing.assert_allclose(plans[0].dose_gy, plans[1].dose_gy, atol=1e-6)


def test_organs_a_case_lacks_are_left_out(head_and_neck_case: Case) -> None:
    system = PlanningSystem(head_and_neck_case, "head_and_neck", fidelity="fast", progress=False)
    assert "Parotid_R" in system.protocol.missing
    plan = system.plan(system.protocol.start_parameters())
    by_structure = {constraint.structure: constraint for constraint in plan.solution.constraints}
    assert by_structure["PTV_7000"].achieved_gy == pytest.approx(70, rel=1e-3)
    assert by_structure["PTV_5600"].achieved_gy >= 56 * 0.995
    assert "Parotid_R" not in plan.summary()["metrics"]


def test_a_structure_smaller_than_the_dose_grid_keeps_a_voxel(box_case: Case) -> None:
    tiny = np.zeros(box_case.grid.shape, dtype=bool)
    tiny[20, 21, 30] = True
    case = Case("phantom/tiny", box_case.ct_hu, {**box_case.structures, "Bladder": tiny}, box_case.grid)
    coarse = PlanningSystem(case, "prostate", fidelity="fast", progress=False)
    dose = np.zeros(coarse.grid.shape, dtype=np.float32)
    assert coarse.doses(dose)["Bladder"].size >= 1


def test_a_plan_of_another_case_cannot_start_this_one(template: Plan, head_and_neck_case: Case) -> None:
    system = PlanningSystem(head_and_neck_case, "head_and_neck", fidelity="fast", progress=False)
    with pytest.raises(ValueError, match="cannot start"):
        system.plan(system.protocol.start_parameters(), template)


@pytest.mark.slow
def test_a_real_head_and_neck_patient_is_planned(shared_data: Path) -> None:
    case = next(iter(openkbp.load(shared_data / "openkbp", "test")))
    system = PlanningSystem(case, load_protocol("head_and_neck"), fidelity="fast", progress=False)
    plan = system.plan(system.protocol.start_parameters())
    assert all(constraint.met for constraint in plan.solution.constraints)
    assert plan.solution.converged
    assert system.reference is not None
    assert system.reference.metrics["PTV_7000"]["D95%"] == pytest.approx(70, rel=0.03)
