"""Delivered plans of a phantom: within the machine's limits, covering the target, judged as the dose is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from radplan_env import DELIVERED
from radplan_env.case import Case
from radplan_env.delivery.delivered import Delivery
from radplan_env.delivery.limits import violations
from radplan_env.delivery.read_rtplan import read_rtplan
from radplan_env.dose import dose_at
from radplan_env.env import RadPlanEnv
from radplan_env.export_plan import export_rtplan
from radplan_env.planning import DeliverablePlan, DeliverySettings, Plan, PlanningSystem
from radplan_env.planning.robustness import opened, robustness

BEAMS = (0.0, 100.0, 260.0)


@pytest.fixture(scope="module")
def system(box_case: Case) -> PlanningSystem:
    return PlanningSystem(box_case, "prostate", fidelity="fast", gantry_angles_deg=BEAMS, progress=False)


@pytest.fixture(scope="module")
def delivered(system: PlanningSystem) -> DeliverablePlan:
    return system.deliver(system.plan(system.protocol.start_parameters()), "step-and-shoot")


@pytest.mark.slow
def test_segments_cover_the_target_within_the_machines_limits(delivered: DeliverablePlan) -> None:
    assert not delivered.violations
    assert delivered.evaluation.metrics["PTV_7020"]["D95%"] == pytest.approx(70.2, rel=1e-4)
    assert {f.gantry_deg[0] for f in delivered.apertures.fields} == set(BEAMS)
    assert delivered.monitor_units == pytest.approx(delivered.apertures.monitor_units.sum())
    assert delivered.monitor_units / 2.7 < 450
    assert delivered.points_lost < 15
    assert delivered.plan.stage.kind == "deliverable"


@pytest.mark.slow
def test_the_dose_is_that_of_the_apertures(system: PlanningSystem, delivered: DeliverablePlan) -> None:
    held = delivered.delivery
    beams = held.apertures.beams(held.isocentre_mm, held.sad_mm)
    rasters = held.apertures.rasters(system.judge.beam_model, held.machine.dosimetric_leaf_gap_mm, held.fractions)
    middle = np.array([held.isocentre_mm])
    at_isocentre = dose_at(system.case, beams, rasters, middle)[0]
    index = tuple(np.rint((middle[0] - delivered.plan.grid.origin_mm) / delivered.plan.grid.spacing_mm).astype(int))
    assert at_isocentre == pytest.approx(delivered.dose_gy[index], rel=0.03)


@pytest.mark.slow
def test_a_delivered_plan_is_saved_and_replayed(
    system: PlanningSystem, delivered: DeliverablePlan, tmp_path: Path
) -> None:
    loaded = Plan.load(delivered.plan.save(tmp_path / "plan.npz"))
    assert loaded.delivery is not None
    assert loaded.summary() == delivered.plan.summary()
    np.testing.assert_array_equal(loaded.delivery.apertures.left_mm, delivered.apertures.left_mm)
    again = system.replay(loaded)
    assert again.summary() == delivered.plan.summary()
    np.testing.assert_array_equal(again.dose_gy, delivered.dose_gy)


@pytest.mark.slow
def test_the_rtplan_gives_the_same_dose(system: PlanningSystem, delivered: DeliverablePlan, tmp_path: Path) -> None:
    held = delivered.delivery
    read = read_rtplan(export_rtplan(system.case, held, {"PTV_7020": 70.2}, tmp_path / "RTPLAN.dcm"))
    points = system.judge.sampled_points.positions_mm[::50]
    doses = []
    for apertures, isocentre in ((held.apertures, held.isocentre_mm), (read.apertures, read.isocentre_mm)):
        rasters = apertures.rasters(system.judge.beam_model, held.machine.dosimetric_leaf_gap_mm, read.fractions)
        doses.append(dose_at(system.case, apertures.beams(isocentre, read.sad_mm), rasters, points))
    assert abs(doses[0] - doses[1]).max() < 1e-3 * doses[0].max()


@pytest.mark.slow
def test_the_rtplan_breaks_no_limit_after_rounding(
    system: PlanningSystem, delivered: DeliverablePlan, tmp_path: Path
) -> None:
    for number, each in enumerate((delivered, system.deliver(delivered.plan))):
        path = export_rtplan(system.case, each.delivery, {"PTV_7020": 70.2}, tmp_path / f"RTPLAN{number}.dcm")
        assert not violations(read_rtplan(path).apertures, each.delivery.machine)


@pytest.mark.slow
def test_errors_of_delivery_are_judged_and_not_scaled_away(system: PlanningSystem, delivered: DeliverablePlan) -> None:
    held, judge = delivered.delivery, system.judge
    found = robustness(judge, held)
    assert len(found.scores) == 11

    def traced(changed: Delivery, factor: float = 1.0) -> tuple[float, float]:
        """Score, and D98 of the core, with depths traced for the changed beams."""
        points = judge.sampled_points
        dose = factor * dose_at(system.case, changed.beams(), changed.rasters(judge.beam_model), points.positions_mm)
        score = judge.judge_dose(dose, points, scale=False).evaluation.score
        return score, judge.view(dose, points).metric("PTV_7020.core", "D98%")

    assert found.scores["units +1 %"] == pytest.approx(traced(held, 1.01)[0], abs=1)
    wide = replace(held, apertures=opened(held.apertures, 0.5))
    assert found.scores["leaves +0.5 mm"] == pytest.approx(traced(wide)[0], abs=1)
    z, y, x = held.isocentre_mm
    shifted = {"z +3 mm": (z + 3, y, x), "y -3 mm": (z, y - 3, x), "x +3 mm": (z, y, x + 3)}
    shifts = {name: traced(replace(held, isocentre_mm=at)) for name, at in shifted.items()}
    for name, (score, _) in shifts.items():
        assert found.scores[name] == pytest.approx(score, abs=1)
    coldest = min(d98 for _, d98 in shifts.values())
    assert found.worst_shift["PTV_7020.core D98%"] <= 1.005 * coldest


@pytest.mark.slow
def test_a_plan_that_a_shift_leaves_cold_is_refused(
    system: PlanningSystem, delivered: DeliverablePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def off_by(reasons: tuple[str, ...]) -> list[str]:
        return [reason for reason in reasons if reason.startswith("patient off by ")]

    held, ideal = delivered.delivery, replace(delivered.plan, deliverable=None, delivery=None, robustness=None)
    assert not off_by(delivered.evaluation.verdict.reasons)
    monkeypatch.setattr("radplan_env.planning.robustness.SHIFT_MM", 15.0)
    found = system._deliveries.again(ideal, held)
    assert found.robustness is not None
    assert found.robustness["worst_shift"]["PTV_7020.core D98%"] < 0.95 * 70.2
    assert found.evaluation.screened is False
    assert "PTV_7020.core D98%" in " ".join(off_by(found.evaluation.verdict.reasons))
    within_an_episode = system._deliveries.again(ideal, replace(held, parts=1))
    assert within_an_episode.robustness is None
    assert not off_by(within_an_episode.evaluation.verdict.reasons)


@pytest.mark.slow
def test_the_same_plan_is_delivered_to_the_last_bit(system: PlanningSystem, delivered: DeliverablePlan) -> None:
    again = system.deliver(replace(delivered.plan, deliverable=None, delivery=None), "step-and-shoot")
    np.testing.assert_array_equal(again.apertures.left_mm, delivered.apertures.left_mm)
    np.testing.assert_array_equal(again.apertures.monitor_units, delivered.apertures.monitor_units)


@pytest.mark.slow
def test_errors_say_what_to_do(system: PlanningSystem, delivered: DeliverablePlan) -> None:
    with pytest.raises(ValueError, match="unknown technique 'tomo': choose from none, step-and-shoot, vmat"):
        system.deliver(delivered.plan, "tomo")
    with pytest.raises(ValueError, match="unknown machine"):
        system.deliver(delivered.plan, machine="halcyon")
    with pytest.raises(ValueError, match="3 arcs"):
        system.deliver(delivered.plan, arcs=3)
    with pytest.raises(ValueError, match="each plan or the final one"):
        DeliverySettings("vmat", when="sometimes")  # type: ignore[arg-type]


def test_ids_set_the_technique_alone(box_case: Case) -> None:
    for name, chosen in DELIVERED.items():
        assert gym.spec(name).kwargs == chosen
    env = gym.make("radplan_env:RadPlan/ProstateIMRT-v0", cases=[box_case], verdict="sampled")
    ideal = gym.make("radplan_env:RadPlan/Prostate-v0", cases=[box_case])
    assert env.action_space == ideal.action_space
    assert env.observation_space == ideal.observation_space


@pytest.mark.slow
def test_an_episode_hands_over_a_delivered_plan(box_case: Case) -> None:
    settings = {"cases": [box_case], "gantry_angles_deg": BEAMS, "budget": 2, "verdict": "sampled", "progress": False}
    env = RadPlanEnv(technique="step-and-shoot", deliver="final", **settings)  # type: ignore[arg-type]
    env.reset(seed=0)
    zero = np.zeros(len(env.action_map.names), np.float32)
    first = env.step(zero)[-1]["plan"]
    assert first["stage"] == "ideal"
    assert first["delivered"] is None
    last = env.step(zero)[-1]["plan"]
    assert last["stage"] == "deliverable"
    assert last["verdict"] == "full"
    assert last["delivered"]["violations"] == 0
    assert last["delivered"]["score"] == last["score"]


@pytest.mark.slow
@pytest.mark.parametrize("arcs", [1, 2])
def test_arcs_of_a_phantom(system: PlanningSystem, delivered: DeliverablePlan, arcs: int) -> None:
    found = system.deliver(delivered.plan, arcs=arcs)
    assert not found.violations
    assert found.evaluation.metrics["PTV_7020"]["D95%"] == pytest.approx(70.2, rel=1e-4)
    assert [field.is_arc for field in found.apertures.fields] == [True] * arcs
    assert found.seconds < 140 * arcs
    assert found.points_lost < 10
    directions = [np.sign(field.gantry_deg[-1] - field.gantry_deg[0]) for field in found.apertures.fields]
    assert directions == [1, -1][:arcs]
