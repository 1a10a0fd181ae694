"""The judge: one yardstick, whatever a plan was optimised on."""

from __future__ import annotations

import numpy as np
import pytest

from radplan_env.case import Case
from radplan_env.planning import Plan, PlanningSystem
from radplan_env.planning.complexity import LEVELS, complexity, rounded
from radplan_env.scorecards import load_scorecard


@pytest.fixture(scope="module")
def system(box_case: Case) -> PlanningSystem:
    return PlanningSystem(box_case, "prostate", fidelity="fast", progress=False)


@pytest.fixture(scope="module")
def plan(system: PlanningSystem) -> Plan:
    return system.plan(system.protocol.start_parameters())


def test_a_plan_covers_its_target_after_scaling(plan: Plan) -> None:
    assert plan.evaluation.metrics["PTV_7020"]["D95%"] == pytest.approx(70.2, rel=1e-5)
    assert plan.fluence == pytest.approx(plan.scaled_by * plan.solution.fluence)
    assert 0.9 < plan.scaled_by < 1.1


def test_scaling_a_fluence_changes_nothing_but_the_factor(system: PlanningSystem, plan: Plan) -> None:
    k = system._beams(system.gantry_angles_deg, system.collimator_angles_deg).k
    one = system.judge.judge(k.beams, k.bixels, plan.solution.fluence)
    twice = system.judge.judge(k.beams, k.bixels, 2 * plan.solution.fluence)
    assert twice.scaled_by == pytest.approx(one.scaled_by / 2, rel=1e-5)
    assert twice.evaluation.terms == pytest.approx(one.evaluation.terms, abs=0.01)
    assert not twice.evaluation.screened


def test_without_dose_there_is_nothing_to_scale(system: PlanningSystem) -> None:
    k = system._beams(system.gantry_angles_deg, system.collimator_angles_deg).k
    judged = system.judge.judge(k.beams, k.bixels, np.zeros(len(k.bixels)))
    assert judged.scaled_by == 1
    assert judged.evaluation.screened is False


def test_the_yardstick_does_not_follow_the_fidelity(box_case: Case, system: PlanningSystem) -> None:
    finer = PlanningSystem(box_case, "prostate", fidelity="standard", progress=False)
    assert (finer.judge.points.positions_mm == system.judge.points.positions_mm).all()


def test_a_sampled_verdict_is_close_and_says_so(box_case: Case, system: PlanningSystem, plan: Plan) -> None:
    sampled = PlanningSystem(box_case, "prostate", fidelity="fast", verdict="sampled", progress=False)
    roughly = sampled.plan(sampled.protocol.start_parameters())
    assert roughly.verdict == "sampled"
    assert roughly.evaluation.score == pytest.approx(plan.evaluation.score, abs=2.5)
    in_full = sampled.judged_in_full(roughly)
    assert in_full.verdict == "full"
    assert in_full.evaluation.score == plan.evaluation.score


def test_a_replayed_plan_is_judged_the_same_to_the_last_bit(system: PlanningSystem, plan: Plan) -> None:
    again = system.replay(plan)
    assert again.evaluation.terms == plan.evaluation.terms
    assert again.scaled_by == plan.scaled_by
    assert (again.dose_gy == plan.dose_gy).all()


def test_v0_judges_on_the_same_points(box_case: Case, plan: Plan) -> None:
    old = PlanningSystem(box_case, "prostate", fidelity="fast", scorecard=load_scorecard("v0"), progress=False)
    judged = old.plan(old.protocol.start_parameters())
    assert judged.evaluation.metrics == plan.evaluation.metrics
    assert judged.evaluation.screened is None


def test_complexity_of_a_flat_fluence(system: PlanningSystem, plan: Plan) -> None:
    k = system._beams(system.gantry_angles_deg, system.collimator_angles_deg).k
    flat = complexity(k.beams, k.bixels, np.ones(len(k.bixels)), 1.0)
    assert flat["mu_per_fraction"] >= len(k.beams), "a leaf pair may have to open twice round a gap"
    assert flat["highest_over_median"] == 1
    doubled = complexity(k.beams, k.bixels, 2 * np.ones(len(k.bixels)), 1.0)
    assert doubled["mu_per_fraction"] == pytest.approx(2 * flat["mu_per_fraction"])
    assert plan.summary()["complexity"]["mu_per_fraction"] > 100


def test_a_rounded_fluence_has_ten_levels_a_beam_and_is_off_by_half_a_step(system: PlanningSystem, plan: Plan) -> None:
    bixels = system._beams(system.gantry_angles_deg, system.collimator_angles_deg).k.bixels
    fluence = plan.solution.fluence
    found = rounded(bixels, fluence)
    for b in np.unique(bixels.beam):
        own = bixels.beam == b
        step = fluence[own].max() / LEVELS
        assert len(np.unique(found[own])) <= LEVELS + 1
        assert abs(found[own] - fluence[own]).max() <= step / 2 * (1 + 1e-9)
    assert rounded(bixels, found) == pytest.approx(found)
    assert (rounded(bixels, np.zeros(len(bixels))) == 0).all()


def test_rounding_costs_what_the_rounded_plan_scores_less(system: PlanningSystem, plan: Plan) -> None:
    assert "rounding_costs" not in plan.complexity
    known = system.with_rounding(plan)
    cost = known.summary()["complexity"]["rounding_costs"]
    bixels = system._beams(system.gantry_angles_deg, system.collimator_angles_deg).k.bixels
    coarse = system.restore(plan.summary(), rounded(bixels, plan.solution.fluence))
    assert cost == pytest.approx(plan.evaluation.score - coarse.evaluation.score)
    assert known.evaluation is plan.evaluation
    assert system.with_rounding(coarse).complexity["rounding_costs"] == pytest.approx(0, abs=1e-6)
