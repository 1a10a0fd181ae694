"""Agents that say they do not depend on the seed do not: the benchmark plays them once whatever --seeds."""

from __future__ import annotations

import pytest

from radplan_agents import REGISTRY, load_agent, make_agent
from radplan_agents.reinforcement import shipped
from radplan_env import Case, RadPlanEnv
from radplan_env.influence import Fidelity
from radplan_env.protocol import load_protocol
from radplan_experiments.running.runner import episode

TRAINED = {"ppo", "sac", "dqn"}
OWN = {f"{name}:own" for name in TRAINED}
DETERMINISTIC = {"template", "coordinate", "menu-rule", "wish-list", "nelder-mead", *TRAINED, *OWN}
PROSTATE = load_protocol("prostate")
PLAYING = sorted(DETERMINISTIC - OWN - {name for name in TRAINED if not shipped(name, PROSTATE).exists()})


@pytest.fixture(scope="module")
def env(box_case: Case) -> RadPlanEnv:
    coarse = Fidelity("coarse", dose_grid_mm=10.0, bixel_mm=15.0)
    return RadPlanEnv(cases=[box_case], fidelity=coarse, progress=False, budget=6, gantry_angles_deg=(0, 120, 240))


@pytest.mark.parametrize("name", REGISTRY)
def test_it_is_known_which_agents_draw(name: str) -> None:
    assert getattr(load_agent(name), "deterministic", False) == (name in DETERMINISTIC)


@pytest.mark.slow
@pytest.mark.parametrize("name", PLAYING)
def test_episodes_of_two_seeds_are_one_and_the_same(name: str, env: RadPlanEnv, box_case: Case) -> None:
    one, other = (
        [plan.parameters for plan in episode(env, make_agent(name, env, seed=seed), box_case.id, seed)]
        for seed in (0, 1)
    )
    assert one
    assert one == other


def test_a_drawing_agents_episodes_differ(env: RadPlanEnv, box_case: Case) -> None:
    one, other = (
        [plan.parameters for plan in episode(env, make_agent("random", env, seed=seed), box_case.id, seed)]
        for seed in (0, 1)
    )
    assert one != other
