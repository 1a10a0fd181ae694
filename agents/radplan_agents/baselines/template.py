"""The template planner: the protocol's start parameters, one solve."""

from __future__ import annotations

from radplan_agents.agent import Action, Info, Observation
from radplan_env.env import RadPlanEnv


class TemplateAgent:
    """Plays the protocol's start parameters once and stops: what a class solution gives without a planner.

    Parameters
    ----------
    env : RadPlanEnv
        The environment.
    seed : int
        Unused: nothing is drawn.
    """

    deterministic = True

    def __init__(self, env: RadPlanEnv, *, seed: int = 0) -> None:
        self._action_map = env.action_map
        self._done = False

    def reset(self, observation: Observation, info: Info) -> None:
        """Begin an episode."""
        self._done = False

    def act(self, observation: Observation, info: Info) -> Action | None:
        """Return the start parameters as an action, then None."""
        if self._done:
            return None
        self._done = True
        return self._action_map.to_action(info["start_parameters"])
