"""The template is played once; random search covers the box, and its draws depend on seed and case alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radplan_agents import make_agent
from radplan_env.actions import ActionMap
from radplan_env.protocol import load_protocol

PROTOCOL = load_protocol("head_and_neck")
ACTION_MAP = ActionMap(PROTOCOL)
ENV: Any = SimpleNamespace(action_map=ACTION_MAP)  # all that these agents need


def task(case_id: str) -> dict[str, Any]:
    return {"case": {"id": case_id}, "start_parameters": PROTOCOL.start_parameters().to_dict()["structures"]}


def draws(case_id: str, seed: int, count: int = 5) -> NDArray[np.float32]:
    agent = make_agent("random", ENV, seed=seed)
    agent.reset({}, task(case_id))
    return np.array([agent.act({}, {}) for _ in range(count)])


def test_the_template_is_played_once_in_every_episode() -> None:
    agent = make_agent("template", ENV)
    for case_id in ("a", "b"):
        agent.reset({}, task(case_id))
        action = agent.act({}, task(case_id))
        assert action is not None
        assert ACTION_MAP.to_parameters(action) == PROTOCOL.start_parameters()
        assert agent.act({}, {"plan": {}}) is None


def test_random_draws_depend_on_seed_and_case_and_on_nothing_else() -> None:
    np.testing.assert_array_equal(draws("a", 1), draws("a", 1))
    assert (draws("a", 1) != draws("a", 2)).all()
    assert (draws("a", 1) != draws("b", 1)).all()
    agent = make_agent("random", ENV, seed=1)
    for case_id in ("b", "a"):  # another episode before changes nothing
        agent.reset({}, task(case_id))
    np.testing.assert_array_equal(agent.act({}, {}), draws("a", 1)[0])


def test_random_draws_are_uniform_in_the_box() -> None:
    sample = draws("a", 0, count=2000)
    assert all(action in ACTION_MAP.space for action in sample)
    np.testing.assert_allclose(sample.mean(axis=0), 0, atol=0.07)
    np.testing.assert_allclose(sample.std(axis=0), 1 / np.sqrt(3), atol=0.04)
