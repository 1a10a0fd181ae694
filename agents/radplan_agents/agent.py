"""What an agent is, and how one is found by name.

The whole conversation between an environment and an agent::

    agent = make_agent("coordinate", env.unwrapped, seed=0)
    observation, info = env.reset(seed=0)
    agent.reset(observation, info)
    over = False
    while not over and (action := agent.act(observation, info)) is not None:
        observation, reward, terminated, truncated, info = env.step(action)
        over = terminated or truncated
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from radplan_env.env import RadPlanEnv
from radplan_env.parameters import PlanningParameters

Observation = Mapping[str, NDArray[Any]]
Info = Mapping[str, Any]
Action = NDArray[np.float32]

REGISTRY: dict[str, str] = {
    "template": "radplan_agents.baselines.template:TemplateAgent",
    "random": "radplan_agents.baselines.random_search:RandomSearchAgent",
    "coordinate": "radplan_agents.baselines.coordinate:CoordinateAgent",
    "gpt-radplan": "radplan_agents.gpt_radplan:GPTRadPlanAgent",
    "gpt-radplan:no-feedback": "radplan_agents.gpt_radplan.variants:NoFeedback",
    "gpt-radplan:dvh-only": "radplan_agents.gpt_radplan.variants:DVHOnly",
    "gpt-radplan:vision-only": "radplan_agents.gpt_radplan.variants:VisionOnly",
    "gpt-radplan:joint": "radplan_agents.gpt_radplan.variants:Joint",
    "gpt-radplan:no-memory": "radplan_agents.gpt_radplan.variants:NoMemory",
    "gpt-radplan:no-remedies": "radplan_agents.gpt_radplan.variants:NoRemedies",
    "gpt-radplan:fixed-references": "radplan_agents.gpt_radplan.variants:FixedReferences",
    "gpt-radplan:no-references": "radplan_agents.gpt_radplan.variants:NoReferences",
    "bayes-gp": "radplan_agents.search.bayes_gp:BayesGPAgent",
    "bayes-tpe": "radplan_agents.search.bayes_tpe:BayesTPEAgent",
    "cma-es": "radplan_agents.search.cma_es:CmaEsAgent",
    "nelder-mead": "radplan_agents.search.nelder_mead:NelderMeadAgent",
    "mimic": "radplan_agents.search.mimic:MimicAgent",
    "wish-list": "radplan_agents.wish_list:WishListAgent",
    "ppo": "radplan_agents.reinforcement.agent:PPOAgent",
    "sac": "radplan_agents.reinforcement.agent:SACAgent",
    "dqn": "radplan_agents.reinforcement.agent:DQNAgent",
}
"""Agents of this repository: name → ``package.module:Class``."""

EXTRAS: dict[str, str] = {
    **dict.fromkeys(("bayes-gp", "bayes-tpe", "cma-es", "mimic"), "search"),
    **dict.fromkeys(("ppo", "sac", "dqn"), "rl"),
}
"""What to install for agents that need more than the environment does: name → extra of the package."""


class EpisodeInterruptedError(Exception):
    """An agent cannot go on, for reasons that say nothing of its skill, such as a service that is down.

    The episode does not count as played: the run stops, and the same command plays it again.
    """


@runtime_checkable
class Agent(Protocol):
    """Chooses planning parameters, one solve after another.

    A class is built as ``Class(env, seed=0)``, where `env` is a `RadPlanEnv` of which no episode need have begun;
    settings of its own follow as keyword arguments. One object plays any number of episodes; what it keeps between
    them is its own affair.

    Most agents need ``env.action_map`` only, which turns planning parameters into actions and back. Those that look
    at the dose itself find it as ``env.plan``, and the patient as ``env.system.case``. Every solve is a step of the
    environment: an agent that solves behind its back has failed.

    More is used where a class has it. A method ``record()`` returns, as a dict of plain JSON data or None, what the
    last episode cost beside its solves and what it met with; it is kept in the results. A class with
    ``needs_language_model = True`` is built with the keyword arguments `session` (an `radplan_agents.llm.Session`) and
    `instructions` (what the user says in plain language).

    A class whose episodes do not depend on `seed` says so with ``deterministic = True``: it then plays each case once,
    however many seeds are asked for, and no statistic counts the same episode several times. A subclass that draws
    says ``deterministic = False`` again.
    """

    def reset(self, observation: Observation, info: Info) -> None:
        """Begin an episode, with what `env.reset` returned.

        ``info["case"]`` and ``info["protocol"]`` describe the task, ``info["start_parameters"]`` is the
        protocol's template plan. No solve has been spent yet.
        """

    def act(self, observation: Observation, info: Info) -> Action | PlanningParameters | None:
        """Return the next action, or None to stop early and keep what has been reached.

        Planning parameters may stand in for an action, where a plan is to hold limits: see `RadPlanEnv.step`.

        The first call sees what `env.reset` returned, later calls what the last `env.step` returned:
        ``info["plan"]`` then holds the plan's metrics, criteria and parameters and the episode's history.

        There is no call after the last solve, which spends the budget or meets the whole protocol: what came of it is
        in ``env.plan``, for `record()` to look at. The episode's best plan counts, not its last, so there is no need
        to go back to it.
        """


def load_agent(name: str) -> type[Agent]:
    """Return the agent class called `name`.

    Parameters
    ----------
    name : str
        A name in `REGISTRY`, or ``package.module:Class`` for an agent of your own, which is also looked for in the
        current folder.

    Raises
    ------
    ValueError
        If there is no such agent; the message lists those there are.
    TypeError
        If what is found is not an agent class, or cannot be built as one.
    ImportError
        If the agent needs a package that is not installed.
    """
    path = REGISTRY.get(name, name)
    module_name, separator, class_name = path.partition(":")
    if not (module_name and separator and class_name):
        raise ValueError(f"unknown agent {name!r}; {_choices()}")
    try:
        if name not in REGISTRY and (here := str(Path.cwd())) not in sys.path:
            sys.path.append(here)  # agents of your own lie in the current folder
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if name in EXTRAS:
            needed = f"agent {name!r} needs the package {error.name}: pip install 'radplan_env[{EXTRAS[name]}]'"
            raise ImportError(needed, name=error.name) from error
        if not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the agent's module is there, but something that it imports is not
        file = module_name.endswith(".py")
        meant = f" (did you mean {module_name.removesuffix('.py')}:{class_name}?)" if file else ""
        raise ValueError(f"agent {name!r}: there is no module {error.name!r}{meant}; {_choices()}") from error
    agent = getattr(module, class_name, None)
    if agent is None:
        raise ValueError(f"agent {name!r}: module {module_name!r} has no {class_name!r}; {_choices()}")
    if not (isinstance(agent, type) and issubclass(agent, Agent)):
        raise TypeError(f"{path} is not an agent: a class with the methods reset and act is needed")
    _check_constructor(agent, path)
    return agent


def make_agent(name: str, env: RadPlanEnv, *, seed: int = 0, **settings: Any) -> Agent:
    """Build the agent called `name` for an environment.

    Parameters
    ----------
    name : str
        See `load_agent`.
    env : RadPlanEnv
        The environment itself, without wrappers: ``env.unwrapped``.
    seed : int
        Seed of everything the agent draws.
    **settings
        The agent's own settings; an unknown one is a TypeError.
    """
    return load_agent(name)(env, seed=seed, **settings)  # type: ignore[call-arg]


def _check_constructor(agent: type[Agent], path: str) -> None:
    """See that a class can be built as an episode will build it, before anything long begins."""
    settings = {"session": None, "instructions": ""} if getattr(agent, "needs_language_model", False) else {}
    try:
        inspect.signature(agent).bind(None, seed=0, **settings)
    except TypeError as error:
        asked = "".join(f", {name}=..." for name in settings)
        raise TypeError(f"{path} is built as {agent.__name__}(env, seed=0{asked}), but {error}") from error


def _choices() -> str:
    return f"choose from {', '.join(REGISTRY)}, or name your own as package.module:Class"
