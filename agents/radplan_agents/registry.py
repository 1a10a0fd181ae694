"""Agents by name. Their modules are imported when one is loaded, so that listing them costs nothing.

Another package adds an agent through the entry-point group ``radplan_agents.agents``: the entry point is called as the
agent is to be called and names its class.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from radplan_agents.agent import Agent
from radplan_env import extras
from radplan_env.plugins import Registry

if TYPE_CHECKING:
    from radplan_env.env import RadPlanEnv

GROUP = "radplan_agents.agents"

Track = Literal["ranked", "open"]

_BUILT_IN = {
    "template": "radplan_agents.baselines.template:TemplateAgent",
    "random": "radplan_agents.baselines.random_search:RandomSearchAgent",
    "coordinate": "radplan_agents.baselines.coordinate:CoordinateAgent",
    "gpt-radplan": "radplan_agents.gpt_radplan:GPTRadPlanAgent",
    "gpt-radplan:small": "radplan_agents.gpt_radplan.variants:Small",
    "gpt-radplan:no-feedback": "radplan_agents.gpt_radplan.variants:NoFeedback",
    "gpt-radplan:dvh-only": "radplan_agents.gpt_radplan.variants:DVHOnly",
    "gpt-radplan:vision-only": "radplan_agents.gpt_radplan.variants:VisionOnly",
    "gpt-radplan:joint": "radplan_agents.gpt_radplan.variants:Joint",
    "gpt-radplan:no-memory": "radplan_agents.gpt_radplan.variants:NoMemory",
    "gpt-radplan:fixed-references": "radplan_agents.gpt_radplan.variants:FixedReferences",
    "gpt-radplan:no-references": "radplan_agents.gpt_radplan.variants:NoReferences",
    "menu-random": "radplan_agents.gpt_radplan.small.menu:MenuRandom",
    "menu-rule": "radplan_agents.gpt_radplan.small.menu:MenuRule",
    "tool-planner": "radplan_agents.tool_planner:ToolPlannerAgent",
    "tool-planner:rl-guided": "radplan_agents.tool_planner.rl_guided:RLGuidedToolPlanner",
    "bayes-gp": "radplan_agents.search.bayes_gp:BayesGPAgent",
    "bayes-tpe": "radplan_agents.search.bayes_tpe:BayesTPEAgent",
    "cma-es": "radplan_agents.search.cma_es:CmaEsAgent",
    "nelder-mead": "radplan_agents.search.nelder_mead:NelderMeadAgent",
    "mimic": "radplan_agents.search.mimic:MimicAgent",
    "wish-list": "radplan_agents.wish_list:WishListAgent",
    "ppo": "radplan_agents.reinforcement.agent:PPOAgent",
    "sac": "radplan_agents.reinforcement.agent:SACAgent",
    "dqn": "radplan_agents.reinforcement.agent:DQNAgent",
    "ppo:own": "radplan_agents.reinforcement.agent:OwnPPOAgent",
    "sac:own": "radplan_agents.reinforcement.agent:OwnSACAgent",
    "dqn:own": "radplan_agents.reinforcement.agent:OwnDQNAgent",
}

REGISTRY: Registry[str] = Registry(GROUP, _BUILT_IN, lambda plugin: plugin.value)
"""Agents by name, as ``package.module:Class``: those of this package (`built_in`), and those of other packages."""

COMMAND = "mcp:"
"""How an agent's name begins that is a command: "mcp:python my_agent.py" plays from a process of its own."""

EXTRAS: dict[str, str] = {
    **dict.fromkeys(("bayes-gp", "bayes-tpe", "cma-es", "mimic"), "search"),
    **dict.fromkeys(("ppo", "sac", "dqn", "ppo:own", "sac:own", "dqn:own", "tool-planner:rl-guided"), "rl"),
}
"""What to install for agents that need more than the environment does: name → extra of the package."""


def load_agent(name: str) -> type[Agent]:
    """Return the agent class called `name`.

    Parameters
    ----------
    name : str
        A name in `REGISTRY`; ``package.module:Class`` for an agent of your own, which is also looked for in the
        current folder; or "mcp:" and a command, which plays from a process of its own.

    Raises
    ------
    ValueError
        If there is no such agent; the message lists those there are.
    TypeError
        If what is found is not an agent class, or cannot be built as one.
    ImportError
        If the agent needs a package that is not installed.
    """
    if name.startswith(COMMAND):
        return _of_command(name)
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
            raise _needed(name, error, EXTRAS[name]) from error
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


def _of_command(name: str) -> type[Agent]:
    from radplan_agents.own_process import agent_for

    try:
        return agent_for(name.removeprefix(COMMAND))
    except ModuleNotFoundError as error:
        raise _needed(name, error, "mcp") from error
    except ValueError as error:
        raise ValueError(f"agent {name!r}: {error}") from error


def _needed(name: str, error: ModuleNotFoundError, extra: str) -> ImportError:
    return ImportError(f"agent {name!r} needs the package {error.name}: {extras.command(extra)}", name=error.name)


def track_of(name: str) -> Track:
    """Return the track that an agent plays on.

    On the ranked track plays who is in a process of its own and sees the tools of the planner's console alone; on the
    open track whoever has the environment in hand. "mcp" is who plays with `radplan mcp`.
    """
    return "ranked" if f"{name}:".startswith(COMMAND) else "open"


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
    return f"choose from {', '.join(REGISTRY)}, or name your own as package.module:Class or 'mcp:COMMAND'"
