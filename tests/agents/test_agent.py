"""Agents are found by name, ours and other people's."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from radplan_agents import REGISTRY, Agent, load_agent, make_agent
from radplan_agents.llm import MockClient, Session
from radplan_env import Case, RadPlanEnv


@pytest.fixture(scope="module")
def env(box_case: Case) -> RadPlanEnv:
    return RadPlanEnv(cases=[box_case])


THEIRS = """
import numpy as np

class Middle:
    def __init__(self, env, *, seed=0, height=0.0):
        self.size, self.height = len(env.action_map.names), height

    def reset(self, observation, info):
        pass

    def act(self, observation, info):
        return np.full(self.size, self.height, np.float32)

class Nothing:
    pass

class Demanding(Middle):
    def __init__(self, env, model_file, *, seed=0):
        pass

class Talker(Middle):
    needs_language_model = True

    def __init__(self, env, *, seed=0, session):
        pass

instance = Middle
"""


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An agent in a module that this repository knows nothing of."""
    (tmp_path / "their_planner.py").write_text(THEIRS)
    (tmp_path / "their_broken_planner.py").write_text("import a_library_they_forgot\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "their_planner"
    sys.modules.pop("their_planner", None)


@pytest.mark.parametrize("name", REGISTRY)
def test_every_registered_agent_is_one(name: str, env: RadPlanEnv) -> None:
    talks = getattr(load_agent(name), "needs_language_model", False)
    settings = {"session": Session(MockClient())} if talks else {}
    try:
        agent = make_agent(name, env, seed=3, **settings)
    except FileNotFoundError as missing:  # a policy that nobody has trained for this site yet
        assert "experiments/train.py" in str(missing)
    else:
        assert isinstance(agent, Agent)


def test_an_agent_of_ones_own(theirs: str, env: RadPlanEnv) -> None:
    agent = make_agent(f"{theirs}:Middle", env, seed=0, height=0.5)
    action = agent.act({}, {})
    assert action is not None
    np.testing.assert_array_equal(action, 0.5)


def test_unknown_settings_are_refused(theirs: str, env: RadPlanEnv) -> None:
    with pytest.raises(TypeError, match="depth"):
        make_agent(f"{theirs}:Middle", env, depth=1)


@pytest.mark.parametrize(("name", "problem"), [("Demanding", "model_file"), ("Talker", "instructions")])
def test_a_class_that_no_episode_could_build_is_refused_at_once(theirs: str, name: str, problem: str) -> None:
    with pytest.raises(TypeError, match=rf"is built as {name}\(env, seed=0.*{problem}"):
        load_agent(f"{theirs}:{name}")


@pytest.mark.parametrize(
    "name", ["best", "", "radplan_agents.baselines.template", "no_such_package.x:Y", "their_planner:Best", ":X"]
)
def test_an_unknown_name_lists_what_there_is(theirs: str, name: str) -> None:
    with pytest.raises(ValueError, match=r"template, random, .*, or name your own as package\.module:Class"):
        load_agent(name)


def test_a_file_is_taken_for_the_module_that_was_meant(theirs: str) -> None:
    with pytest.raises(ValueError, match=f"did you mean {theirs}:Middle\\?"):
        load_agent(f"{theirs}.py:Middle")


def test_what_has_not_both_methods_is_no_agent(theirs: str) -> None:
    with pytest.raises(TypeError, match="reset and act"):
        load_agent(f"{theirs}:Nothing")


def test_an_import_that_fails_inside_their_module_is_reported_as_it_is(theirs: str) -> None:
    with pytest.raises(ModuleNotFoundError, match="a_library_they_forgot"):
        load_agent("their_broken_planner:Planner")
