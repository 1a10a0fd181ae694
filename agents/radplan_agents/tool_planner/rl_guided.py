"""A language model at the console whom a trained policy advises, as in M2M (arXiv 2606.00922)."""

from __future__ import annotations

from importlib import resources
from typing import Any, Unpack

from radplan_agents.language_model_agent import ModelArguments
from radplan_agents.reinforcement.agent import PPOAgent
from radplan_agents.tool_planner.agent import ToolPlannerAgent
from radplan_env.env import RadPlanEnv
from radplan_env.parameters import PlanningParameters
from radplan_env.protocol import Protocol

DIGITS = 3
"""Significant digits of what is proposed."""


class RLGuidedToolPlanner(ToolPlannerAgent):
    """Is told, with every plan, what the PPO policy that comes with the package would try next.

    Raises
    ------
    FileNotFoundError
        If there is no policy for the protocol.
    """

    def __init__(self, env: RadPlanEnv, **arguments: Unpack[ModelArguments]) -> None:
        super().__init__(env, **arguments)
        self._policy = PPOAgent(env)

    @classmethod
    def check_protocol(cls, protocol: Protocol) -> None:
        """See that there is a policy for a protocol; raise FileNotFoundError, which says how to train one."""
        PPOAgent.check_protocol(protocol)

    def manual(self) -> str:
        """Return what the model is told before anything else, what the advice is included."""
        own = resources.files(__package__).joinpath("rl_guided.md").read_text(encoding="utf-8").strip()
        return f"{super().manual()}\n\n{own}"

    def advice(self) -> dict[str, Any]:
        """Return what the policy proposes after the last plan, as arguments of `plan`."""
        last = self._console.desk.get("last")
        proposed = self._policy.proposed(self._observation, last.plan.parameters)
        return {"policy_proposes": {"base": last.number, **changes(last.plan.parameters, proposed)}}

    def record(self) -> dict[str, Any]:
        """Return what `ToolPlannerAgent.record` tells, and what training the policy took."""
        return {**super().record(), **self._policy.record()}


def changes(before: PlanningParameters, after: PlanningParameters) -> dict[str, dict[str, float]]:
    """Return weights and objective doses that differ, as arguments of the console's `plan`."""
    weights, doses = dict[str, float](), dict[str, float]()
    for name, new in after.structures.items():
        old = before.structures[name]
        if (weight := _rounded(new.weight)) != _rounded(old.weight):
            weights[name] = weight
        if (dose := _rounded(new.objective_dose_gy)) != _rounded(old.objective_dose_gy):
            doses[name] = dose
    return {"weights": weights, "objective_doses": doses}


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
