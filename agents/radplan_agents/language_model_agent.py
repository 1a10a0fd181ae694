"""What agents that ask a language model have in common."""

from __future__ import annotations

from importlib import resources
from typing import TypedDict

from radplan_agents.llm import Session
from radplan_env.env import RadPlanEnv


class ModelArguments(TypedDict, total=False):
    """What an agent with a language model is built with beside its environment; see `LanguageModelAgent`."""

    seed: int
    session: Session
    instructions: str


class LanguageModelAgent:
    """Asks a language model.

    Parameters
    ----------
    env : RadPlanEnv
        The environment.
    seed : int
        Unused: a model's seed is a setting of its session.
    session : Session
        The model.
    instructions : str
        What the user wants, in plain language; may be changed between steps.
    """

    needs_language_model = True

    def __init__(self, env: RadPlanEnv, *, seed: int = 0, session: Session, instructions: str = "") -> None:
        self._env = env
        self._session = session
        self.instructions = instructions


def optimiser() -> str:
    """Return what a planner should know of the optimiser and of limits."""
    return resources.files(__package__).joinpath("optimiser.md").read_text(encoding="utf-8").strip()
