"""A small patient, and episodes with a model that says what a test wants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from typing import Any

import pytest
from PIL import Image
from small_env import small_env

import radplan_agents
from radplan_agents.gpt_radplan import GPTRadPlanAgent, Options
from radplan_agents.llm import MockClient, ModelSettings, Session
from radplan_env.case import Case
from radplan_env.env import RadPlanEnv
from radplan_env.render.views import View

BUDGET = 4


@dataclass
class Episode:
    """What an episode came to."""

    agent: GPTRadPlanAgent
    client: MockClient
    plans: list[dict[str, Any]]

    @property
    def parameters(self) -> list[dict[str, dict[str, float]]]:
        return [plan["parameters"] for plan in self.plans]

    def prompt(self, request: int) -> str:
        """All that a request says."""
        return "\n\n".join(message.text for message in self.client.requests[request].messages)


Play = Callable[..., Episode]


@pytest.fixture(scope="session")
def env(box_case: Case) -> Iterator[RadPlanEnv]:
    env = small_env(box_case, BUDGET)
    yield env
    env.close()


@pytest.fixture
def play(env: RadPlanEnv, monkeypatch: pytest.MonkeyPatch) -> Play:
    """Episodes with pictures of nothing: test_vision.py has real ones."""
    png = BytesIO()
    Image.new("L", (8, 8)).save(png, "PNG")
    nothing = [View("planes", png.getvalue(), "a grey square")]
    monkeypatch.setattr("radplan_agents.gpt_radplan.agent.plan_pictures", lambda desk, solved: nothing)

    def play(
        *script: Any, steps: int = BUDGET, vision: bool = False, options: Options | None = None, **settings: Any
    ) -> Episode:
        """Play at most so many steps with a model that gives these replies."""
        client = MockClient(script)
        session = Session(client, settings=ModelSettings(vision=vision))
        options = options or Options(forms="small", evaluator="none", references="none")
        base = settings.pop("env", env)
        agent = GPTRadPlanAgent(base, session=session, options=options, **settings)
        return Episode(agent, client, [info["plan"] for info in islice(radplan_agents.play(agent, base), steps)])

    return play
