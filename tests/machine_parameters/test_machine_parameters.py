"""Machine parameters as actions, on a small phantom: always deliverable, paid by the potential, judged by the dose."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from phantoms import marble
from stable_baselines3.common.env_checker import check_env as sb3_check_env

from radplan_env import MACHINE_PARAMETERS
from radplan_env.delivery.columns import Leaves
from radplan_env.delivery.coverage import Coverage
from radplan_env.delivery.limits import rounded, violations
from radplan_env.machine_parameters import Arc, MachineParameterEnv
from radplan_env.machine_parameters.env import LEAF_MM
from radplan_env.planning import PlanningSystem

(ID,) = MACHINE_PARAMETERS


@pytest.fixture(scope="module")
def made() -> MachineParameterEnv:
    env = gym.make(f"radplan_env:{ID}", cases=[marble("prostate")]).unwrapped
    assert isinstance(env, MachineParameterEnv)
    return env


@pytest.fixture
def env(made: MachineParameterEnv) -> MachineParameterEnv:
    made.reset(seed=0)
    made.action_space.seed(0)
    return made


def play(env: MachineParameterEnv, steps: int, rng: np.random.Generator | None = None) -> list[tuple[Any, ...]]:
    actions = [env.action_space.sample() if rng is None else rng.uniform(-1, 1, 17) for _ in range(steps)]
    return [env.step(action) for action in actions]


def test_the_checkers_have_nothing_to_say(env: MachineParameterEnv) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        check_env(env, skip_render_check=True)
        sb3_check_env(env)


@pytest.mark.parametrize("lean", [-1.0, 0.0, 1.0], ids=["closing", "anyhow", "opening"])
def test_every_state_can_be_delivered(env: MachineParameterEnv, lean: float) -> None:
    rng, intervals = np.random.default_rng(1), env.arc.task.intervals
    for step in range(2 * intervals):
        env.step(np.clip(rng.uniform(-1, 1, 17) + lean, -1, 1))
        if step % 10 == 0 or step == 2 * intervals - 1:
            apertures = env.arc.apertures
            assert not violations(apertures, env.machine)
            assert not violations(rounded(apertures, env.machine), env.machine)
            assert apertures.monitor_units.sum() <= env.arc.task.most_mu


def test_a_change_that_needs_too_low_a_dose_rate_is_refused(env: MachineParameterEnv) -> None:
    arc, refused, none = env.arc, False, np.zeros(env.arc.task.columns.pairs.size)
    for _ in range(40):
        arc, before = arc.changed(5, none, none, 1 / 1.2), arc
        refused = refused or arc is before
    assert refused
    assert not violations(arc.apertures, env.machine)


def test_the_return_is_what_the_objective_lost(env: MachineParameterEnv) -> None:
    steps = play(env, 40)
    assert sum(step[1] for step in steps) == pytest.approx(1 - steps[-1][-1]["objective"], abs=1e-9)
    start = env.reset()[1]["objective"]
    assert start == 1


def test_there_and_back_earns_nothing(env: MachineParameterEnv) -> None:
    arc, pairs = env.arc, env.arc.task.columns.pairs.size
    by = np.full(pairs, 2.0)
    there = arc.changed(30, -by, -by, 1.1)
    back = there.changed(30, by, by, 1 / 1.1)
    assert there.objective != pytest.approx(arc.objective, rel=1e-6)
    assert back.objective == pytest.approx(arc.objective, rel=1e-9)


def test_the_dose_kept_is_that_of_the_leaves(env: MachineParameterEnv) -> None:
    play(env, env.arc.task.intervals + 20)
    arc = env.arc
    afresh = Arc.of(arc.task, arc.leaves)
    np.testing.assert_allclose(arc.unscaled, afresh.unscaled, rtol=1e-6, atol=1e-6 * afresh.unscaled.max())
    assert arc.task.target.achieved_gy(arc.factor * arc.unscaled) == pytest.approx(70.2)


def test_prices_are_those_of_finite_differences(env: MachineParameterEnv) -> None:
    play(env, 20)
    arc, n = env.arc, 15
    task, begin, prices = arc.task, arc.task.columns.begin[n], arc.prices(n)
    coverage = Coverage.near(task.target, arc.unscaled)
    for bixel in np.argsort(-abs(prices))[:5]:
        change = np.zeros(prices.size)
        change[bixel] = 1e-3 * arc.leaves.units[n] * (1 - task.columns.transmission)
        values = []
        for sign in (-1, 1):
            dose = arc.unscaled.copy()
            task.add_dose(slice(begin, begin + prices.size), sign * change, dose)
            values.append(task.loss.derivatives(coverage.factor(dose)[0] * dose)[0])
        assert (values[1] - values[0]) / 2e-3 == pytest.approx(prices[bixel], rel=1e-4)


def test_an_action_moves_its_band(env: MachineParameterEnv) -> None:
    before, band = env.arc.leaves, 4
    action = np.zeros(17, np.float32)
    action[band] = -1.0
    observation = env.step(action)[0]
    left, right = (np.flatnonzero(abs(a - b)[1] > 1e-9) for a, b in _ends(env.arc.leaves, before))
    assert left.size and not right.size
    assert (env.arc.leaves.left - before.left)[1].max() <= LEAF_MM + 1e-6
    assert observation["progress"][0] == pytest.approx(1 / (2 * env.arc.task.intervals))


def _ends(after: Leaves, before: Leaves) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    return (after.left, before.left), (after.right, before.right)


def test_same_seed_same_numbers(env: MachineParameterEnv) -> None:
    returns = []
    for _ in range(2):
        env.reset(seed=3)
        env.action_space.seed(3)
        returns.append([step[1] for step in play(env, 30)])
    assert returns[0] == returns[1]


def test_errors_say_what_to_do(env: MachineParameterEnv) -> None:
    with pytest.raises(ValueError, match="17 numbers from -1 to 1"):
        env.step(np.full(17, 2.0, np.float32))
    with pytest.raises(ValueError, match="whole number of rotations"):
        MachineParameterEnv(cases=[marble("prostate")], passes=0)
    with pytest.raises(ValueError, match="no case 'nobody'"):
        env.reset(options={"case": "nobody"})
    with pytest.raises(ResetNeeded):
        MachineParameterEnv(cases=[marble("prostate")]).step(np.zeros(17, np.float32))


def test_no_random_plan_beats_the_ideal_one(env: MachineParameterEnv, ideal_score: float) -> None:
    """Few of them: benchmarks/machine_parameters.py plays hundreds."""
    task, scores = env.arc.task, []
    for seed in range(2):
        rng = np.random.default_rng(seed)
        env.reset()
        lean, over = rng.uniform(-1, 1, 17), False
        while not over:
            over = env.step(np.clip(lean + rng.uniform(-1, 1, 17), -1, 1))[3]
        scores.append(task.judged(env.arc.apertures).evaluation.score)
    assert max(scores) <= ideal_score


@pytest.fixture(scope="module")
def ideal_score(made: MachineParameterEnv) -> float:
    """Of the fluence of coarse fields all round, as arcs are optimised from."""
    made.reset()
    gantry = np.arange(10, 360, 20.0)
    system = PlanningSystem(
        made.arc.task.case, "prostate", fidelity="fast", gantry_angles_deg=gantry, verdict="sampled", progress=False
    )
    return system.plan(system.protocol.start_parameters()).evaluation.score


@pytest.mark.slow
def test_the_verdict_is_of_a_plan_that_can_be_delivered(env: MachineParameterEnv) -> None:
    verdict = env.verdict()
    assert not violations(verdict.apertures, env.machine)
    assert verdict.nominal.evaluation.metrics["PTV_7020"]["D95%"] == pytest.approx(70.2, rel=1e-3)
    assert 0 <= verdict.score <= 100
