"""A move changes one coordinate of the planning parameters by one step, up or down, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from radplan_env import Case, RadPlanEnv
from radplan_env.discrete import DiscreteMoves
from radplan_env.influence import Fidelity

STEP = 0.25


@pytest.fixture
def make(box_case: Case) -> Callable[..., RadPlanEnv]:
    fidelity = Fidelity("coarse", dose_grid_mm=10.0, bixel_mm=15.0)

    def make(**settings: Any) -> RadPlanEnv:
        chosen = {"relative_step": STEP, "budget": 30, **settings}
        return RadPlanEnv(
            cases=[box_case], fidelity=fidelity, gantry_angles_deg=(0, 120, 240), progress=False, **chosen
        )

    return make


@pytest.mark.slow
def test_every_move_changes_its_own_coordinate(make: Callable[..., RadPlanEnv]) -> None:
    env = DiscreteMoves(make())
    assert env.action_space.n == 26  # type: ignore[attr-defined]
    observation, _ = env.reset(seed=0)
    before = observation["planning_parameters"]
    for move in range(26):
        observation, *_ = env.step(np.int64(move))
        expected = before.copy()
        expected[move // 2] = np.clip(before[move // 2] + (STEP if move % 2 == 0 else -STEP), -1, 1)
        before = observation["planning_parameters"]
        np.testing.assert_allclose(before, expected, atol=1e-4)  # parameters are rounded


def test_it_is_a_gymnasium_environment(make: Callable[..., RadPlanEnv]) -> None:
    check_env(DiscreteMoves(make(budget=3)), skip_render_check=True)


@pytest.mark.parametrize("move", [-1, 26])
def test_other_moves_are_refused(make: Callable[..., RadPlanEnv], move: int) -> None:
    env = DiscreteMoves(make())
    env.reset(seed=0)
    with pytest.raises(ValueError, match="from 0 to 25"):
        env.step(np.int64(move))


def test_absolute_actions_are_refused(make: Callable[..., RadPlanEnv]) -> None:
    with pytest.raises(ValueError, match="relative_step"):
        DiscreteMoves(make(relative_step=None))
