"""Plans made on sampled rows, and smooth fluences."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from radplan_env.case import Case
from radplan_env.dose import dose_at
from radplan_env.influence import Fidelity
from radplan_env.influence.rows import Sampling
from radplan_env.limits import Limit
from radplan_env.planning import Plan, PlanningSystem

SAMPLED = Fidelity("sampled", 5, 10, sampling=Sampling(fine_mm=2.5, target_mm=5, near_mm=5, far_mm=10))


@pytest.fixture(scope="module")
def system(box_case: Case) -> PlanningSystem:
    return PlanningSystem(box_case, "prostate", fidelity=SAMPLED, gantry_angles_deg=(0, 120, 240), progress=False)


@pytest.fixture(scope="module")
def template(system: PlanningSystem) -> Plan:
    return system.plan(system.protocol.start_parameters())


def test_the_dose_shown_is_that_of_the_fluence_on_the_whole_grid(system: PlanningSystem, template: Plan) -> None:
    assert template.solution.constraints[0].met
    assert template.dose_gy.shape == system.grid.shape
    # D95 holds on the rows by volume; on the coarser grid of 5 mm, which the solver does not know, only about.
    assert template.evaluation.metrics["PTV_7020"]["D95%"] == pytest.approx(70.2, rel=0.03)
    dosed = template.dose_gy[template.dose_gy > 0]
    assert dosed.size > template.solution.dose_gy.size


def test_the_inner_loop_sees_the_whole_dose_of_its_fluence(system: PlanningSystem, template: Plan) -> None:
    beams = system._beams(template.gantry_angles_deg, template.collimator_angles_deg)
    points, fluence = system._seen.points_mm, template.solution.fluence
    dose = dose_at(system.case, beams.k.beams, fluence, points, bixels=beams.k.bixels)
    np.testing.assert_allclose(template.solution.dose_gy, dose, atol=1e-4 * dose.max())
    beyond = dose - beams.k.matrix @ fluence
    assert beyond.mean() > 0.005 * dose.mean()  # K ends 50 mm from a bixel's axis
    assert template.solution.constraints[0].achieved_gy == pytest.approx(70.2, rel=1e-3)


def test_it_is_that_of_k_on_the_same_grid(box_case: Case, system: PlanningSystem, template: Plan) -> None:
    whole = PlanningSystem(
        box_case,
        "prostate",
        fidelity=Fidelity("whole", 5, 10),
        gantry_angles_deg=(0, 120, 240),
        progress=False,
    )
    by_k = whole.restore(template.summary(), template.solution.fluence).dose_gy
    difference = np.abs(template.dose_gy - by_k)
    # Depths differ: traced to the point itself here, by the nearest ray of the grid there.
    assert np.sqrt(np.mean(difference[by_k > 7] ** 2)) < 0.02 * by_k.max()


def test_a_sampled_plan_is_replayed_saved_and_loaded(system: PlanningSystem, template: Plan, tmp_path: Path) -> None:
    again = system.replay(template)
    assert again.summary() == template.summary()
    np.testing.assert_array_equal(again.dose_gy, template.dose_gy)
    assert Plan.load(template.save(tmp_path / "plan.npz")).summary() == template.summary()


def test_limits_are_held_by_volume(system: PlanningSystem, template: Plan) -> None:
    reached = template.evaluation.metrics
    limits = (
        Limit("Rectum", "mean", at_most=0.9 * reached["Rectum"]["mean"]),
        Limit("Bladder", "V30Gy", at_most=0.9 * reached["Bladder"]["V30Gy"]),
    )
    plan = system.plan(replace(template.parameters, limits=limits), template)
    assert all(constraint.met for constraint in plan.solution.constraints)
    held = {constraint.structure: constraint for constraint in plan.solution.constraints}
    assert held["Rectum"].achieved_gy < limits[0].value  # with a margin: the rows are a sample
    for limit in limits:  # V_d is steep: plans of one objective to 0.03 % differ by a per cent at the verdict's points
        assert plan.evaluation.metrics[limit.structure][limit.metric] <= 1.08 * limit.value


def test_smoothness_makes_neighbouring_bixels_alike(system: PlanningSystem, template: Plan) -> None:
    smooth = system.plan(replace(template.parameters, smoothness=10.0))
    assert smooth.parameters.smoothness == 10.0 and smooth.solution.roughness > 0
    pairs = system._beams(system.gantry_angles_deg, system.collimator_angles_deg).k.bixels.neighbours()
    rough, even = (float(np.mean(np.diff(plan.fluence[pairs]) ** 2)) for plan in (template, smooth))
    assert even < 0.7 * rough
    again = system.restore(smooth.summary(), smooth.solution.fluence)
    assert again.summary() == smooth.summary()


def test_a_collimator_that_turns_changes_the_bixels(box_case: Case) -> None:
    straight, turned = (
        PlanningSystem(
            box_case,
            "prostate",
            fidelity=Fidelity("rough", 10, 15),
            gantry_angles_deg=(0, 120, 240),
            collimator_angles_deg=angle,
            progress=False,
        )
        for angle in (0.0, 45.0)
    )
    plans = [each.plan(each.protocol.start_parameters()) for each in (straight, turned)]
    assert plans[1].collimator_angles_deg == (45.0,) * 3
    assert all(plan.solution.constraints[0].met for plan in plans)
    assert plans[0].fluence.size != plans[1].fluence.size or not np.allclose(plans[0].fluence, plans[1].fluence)
