"""What an agent is, and how one is found by name.

The whole conversation between an environment and an agent::

    agent = make_agent("coordinate", env.unwrapped.action_map, seed=0)
    observation, info = env.reset(seed=0)
    agent.reset(observation, info)
    over = False
    while not over and (action := agent.act(observation, info)) is not None:
        observation, reward, terminated, truncated, info = env.step(action)
        over = terminated or truncated
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from radplan_env.actions import ActionMap

Observation = Mapping[str, NDArray[Any]]
Info = Mapping[str, Any]
Action = NDArray[np.float32]

REGISTRY: dict[str, str] = {
    "template": "agents.template:TemplateAgent",
    "random": "agents.random_search:RandomSearchAgent",
    "coordinate": "agents.coordinate:CoordinateAgent",
}
"""Agents of this repository: name → ``package.module:Class``."""


@runtime_checkable
class Agent(Protocol):
    """Chooses planning parameters, one solve after another.

    A class is built as ``Class(action_map, seed=0)``; settings of its own follow as keyword arguments.
    One object plays any number of episodes; what it keeps between them is its own affair.
    """

    def reset(self, observation: Observation, info: Info) -> None:
        """Begin an episode, with what `env.reset` returned.

        ``info["case"]`` and ``info["protocol"]`` describe the task, ``info["start_parameters"]`` is the
        protocol's template plan. No solve has been spent yet.
        """

    def act(self, observation: Observation, info: Info) -> Action | None:
        """Return the next action, or None to stop early and keep what has been reached.

        The first call sees what `env.reset` returned, later calls what the last `env.step` returned:
        ``info["plan"]`` then holds the plan's metrics, criteria and parameters and the episode's history.
        """


def load_agent(name: str) -> type[Agent]:
    """Return the agent class called `name`.

    Parameters
    ----------
    name : str
        A name in `REGISTRY`, or ``package.module:Class`` for an agent of your own.

    Raises
    ------
    ValueError
        If there is no such agent; the message lists those there are.
    TypeError
        If what is found is not an agent class.
    """
    path = REGISTRY.get(name, name)
    module_name, separator, class_name = path.partition(":")
    if not (module_name and separator and class_name):
        raise ValueError(f"unknown agent {name!r}; {_choices()}")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the agent's module is there, but something that it imports is not
        raise ValueError(f"agent {name!r}: there is no module {error.name!r}; {_choices()}") from error
    agent = getattr(module, class_name, None)
    if agent is None:
        raise ValueError(f"agent {name!r}: module {module_name!r} has no {class_name!r}; {_choices()}")
    if not (isinstance(agent, type) and issubclass(agent, Agent)):
        raise TypeError(f"{path} is not an agent: a class with the methods reset and act is needed")
    return agent


def make_agent(name: str, action_map: ActionMap, *, seed: int = 0, **settings: Any) -> Agent:
    """Build the agent called `name` for one environment's actions.

    Parameters
    ----------
    name : str
        See `load_agent`.
    action_map : ActionMap
        The environment's ``action_map``: the action space, and parameters to action and back.
    seed : int
        Seed of everything the agent draws.
    **settings
        The agent's own settings; an unknown one is a TypeError.
    """
    return load_agent(name)(action_map, seed=seed, **settings)  # type: ignore[call-arg]


def _choices() -> str:
    return f"choose from {', '.join(REGISTRY)}, or name your own as package.module:Class"
