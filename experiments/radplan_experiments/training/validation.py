"""How well a policy plans cases that it was not trained on."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import gymnasium
import numpy as np

from radplan_agents.reinforcement import DQNAgent, Policy, PolicyAgent, PPOAgent, SACAgent
from radplan_experiments.running.runner import episode
from radplan_experiments.training.setup import Setup

AGENTS: dict[str, type[PolicyAgent]] = {agent.algorithm: agent for agent in (PPOAgent, SACAgent, DQNAgent)}


class Validation:
    """Plans the validation cases with a policy, as compare.py would."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup

    def __call__(self, policy: Policy) -> tuple[dict[str, float], int]:
        """Return the mean scores of best plans and of start plans, and how many solves that took."""
        best, first, solves = [], [], 0
        for case, env in self._envs.items():
            agent = AGENTS[self._setup.algorithm](env.unwrapped, policy=policy)
            scores = [plan.evaluation.score for plan in episode(env, agent, case, seed=0)]
            best.append(max(scores))
            first.append(scores[0])
            solves += len(scores)
        return {"score": float(np.mean(best)), "start_score": float(np.mean(first))}, solves

    @cached_property
    def _envs(self) -> dict[str, Any]:
        """An environment for each case, so that every dose-influence matrix is made once."""
        return {
            case.id: gymnasium.make(
                f"radplan_env:{self._setup.environment}",
                protocol=self._setup.protocol,
                cases=[case],
                budget=self._setup.hyperparameters.environment.budget,
                progress=False,
                **self._setup.evaluated,
            )
            for case in self._setup.validation
        }
