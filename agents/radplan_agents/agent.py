"""What an agent is, and how it plays.

An episode::

    agent = make_agent("coordinate", env.unwrapped, seed=0)
    for info in play(agent, env):
        print(info["plan"]["score"])
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import gymnasium
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from radplan_env.parameters import PlanningParameters

Observation = Mapping[str, NDArray[Any]]
Info = Mapping[str, Any]
Action = NDArray[np.float32]


class EpisodeInterruptedError(Exception):
    """An agent cannot go on, for reasons that say nothing of its skill, such as a service that is down.

    The episode does not count as played: the run stops, and the same command plays it again.
    """


@runtime_checkable
class Agent(Protocol):
    """Chooses planning parameters, one solve after another.

    A class is built as ``Class(env, seed=0)``, where `env` is a `RadPlanEnv` of which no episode need have begun;
    settings of its own follow as keyword arguments. One object plays any number of episodes and may remember what it
    likes between them.

    Most agents need ``env.action_map`` only, which turns planning parameters into actions and back. Those that look
    at the dose itself find it as ``env.plan``, and the patient as ``env.system.case``. Every solve is a step of the
    environment; an agent that solves by other means has failed.

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


def play(
    agent: Agent, env: gymnasium.Env[Any, Any], *, seed: int = 0, options: dict[str, Any] | None = None
) -> Iterator[dict[str, Any]]:
    """Let an agent play an episode: the whole conversation between the two.

    Parameters
    ----------
    agent : Agent
        Built for this environment.
    env : gymnasium.Env
        `RadPlanEnv`, wrapped or not.
    seed, options
        What `env.reset` takes.

    Yields
    ------
    dict
        ``info`` after each solve.
    """
    observation, info = env.reset(seed=seed, options=options)
    agent.reset(observation, info)
    over = False
    while not over and (action := agent.act(observation, info)) is not None:
        observation, _, terminated, truncated, info = env.step(action)
        over = terminated or truncated
        yield info
