"""Relative actions move the current parameters and never leave their ranges."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import FlattenObservation
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from radplan_env.actions import ActionMap
from radplan_env.observations import Observation
from radplan_env.protocol import load_protocol
from radplan_env.wrappers import RelativeActions

PROTOCOL = load_protocol("prostate")
SIZE = 2 * len(PROTOCOL.slots)

actions = arrays(np.float32, SIZE, elements=st.floats(-1, 1, width=32))


class Unplanned(gym.Env[Observation, NDArray[np.float32]]):
    """Takes actions as RadPlanEnv does, and plans nothing with them."""

    def __init__(self) -> None:
        self.action_map = ActionMap(PROTOCOL)
        self.action_space = self.action_map.space
        self.observation_space = gym.spaces.Dict({"planning_parameters": self.action_map.space})

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        super().reset(seed=seed)
        self.parameters = PROTOCOL.start_parameters()
        return self._observation(), {}

    def step(self, action: NDArray[np.float32]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        self.parameters = self.action_map.to_parameters(action)
        return self._observation(), 0.0, False, False, {}

    def _observation(self) -> Observation:
        return {"planning_parameters": self.action_map.to_action(self.parameters)}


@given(st.lists(actions, min_size=1, max_size=5))
def test_the_observation_follows_the_sum_of_changes(changes: list[NDArray[np.float32]]) -> None:
    env = RelativeActions(Unplanned(), step=0.25)
    expected = env.reset()[0]["planning_parameters"]
    for change in changes:
        observation = env.step(change)[0]
        expected = np.clip(expected + 0.25 * change, -1, 1)
        np.testing.assert_allclose(observation["planning_parameters"], expected, atol=3e-3)


def test_zero_plans_with_the_start_parameters() -> None:
    plain = Unplanned()
    env = RelativeActions(plain)
    env.reset()
    for _ in range(3):
        env.step(np.zeros(SIZE, np.float32))
        assert plain.parameters == PROTOCOL.start_parameters()


def test_a_step_up_and_a_step_down_come_back() -> None:
    plain = Unplanned()
    env = RelativeActions(plain, step=0.1)
    env.reset()
    up = np.zeros(SIZE, np.float32)
    up[plain.action_map.names.index("Rectum weight")] = 1
    env.step(up)
    assert plain.parameters.structures["Rectum"].weight == pytest.approx(5 * 10000**0.05, rel=1e-4)
    env.step(-up)
    assert plain.parameters == PROTOCOL.start_parameters()


def test_a_reset_forgets_the_last_episode() -> None:
    plain = Unplanned()
    env = RelativeActions(plain)
    env.reset()
    env.step(np.ones(SIZE, np.float32))
    env.reset()
    env.step(np.zeros(SIZE, np.float32))
    assert plain.parameters == PROTOCOL.start_parameters()


@pytest.mark.parametrize("action", [np.zeros(3), np.full(SIZE, np.nan), np.full(SIZE, 1.5)])
def test_what_is_no_action_is_refused(action: NDArray[Any]) -> None:
    env = RelativeActions(Unplanned())
    env.reset()
    with pytest.raises(ValueError, match="an action"):
        env.step(action)


@pytest.mark.parametrize("step", [0, -0.1, 2.1, float("nan")])
def test_a_step_outside_its_range_is_refused(step: float) -> None:
    with pytest.raises(ValueError, match="step must be"):
        RelativeActions(Unplanned(), step=step)


def test_it_goes_inside_wrappers_that_hide_the_parameters() -> None:
    with pytest.raises(ValueError, match="inside other wrappers"):
        RelativeActions(FlattenObservation(Unplanned()))
    env = FlattenObservation(RelativeActions(Unplanned()))
    env.reset()
    env.step(np.zeros(SIZE, np.float32))
