"""GPT-RadPlan looks at its plans: whole steps against a service on loopback that decodes what it is shown."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import scripted_server as scripted
from pictures import NEAR, band, contours_found, decoded, position_mm
from scripted_replies import change, feedback, proposal, report

from radplan_agents.gpt_radplan import GPTRadPlanAgent, Options
from radplan_agents.llm import Endpoint, ModelSettings, OpenAIClient, ServiceError, Session
from radplan_env.case import Case
from radplan_env.env import RadPlanEnv
from radplan_env.planning import Plan
from radplan_env.render import plan_views
from radplan_env.render.views import NAMES, SIDE, View

RX_GY = 70.2
ALONE = Options(forms="small", references="none")


@pytest.fixture
def service() -> Iterator[scripted.Service]:
    with scripted.running() as service:
        yield service


def looks(handler: scripted.Handler) -> None:
    """A vision expert: it names the colours of the pictures it can decode, or says which one it cannot."""
    pictures = [decoded(png) for png in shown(handler.body)]
    red = [f"{100 * (np.ptp(picture, axis=2) > 0.3).mean():.0f} %" for picture in pictures]
    scripted.says(f"{len(pictures)} pictures, colourful in {', '.join(red)} of them.")(handler)


def shown(request: dict[str, Any]) -> list[bytes]:
    """The pictures of a request, as files."""
    parts = [
        part for message in request["messages"] if isinstance(message["content"], list) for part in message["content"]
    ]
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    assert all(url.startswith("data:image/png;base64,") for url in urls)
    return [base64.b64decode(url.partition(",")[2], validate=True) for url in urls]


def said(request: dict[str, Any]) -> str:
    """The words of a request."""
    contents = [message["content"] for message in request["messages"]]
    return "\n".join(
        part["text"]
        for content in contents
        for part in ([{"type": "text", "text": content}] if isinstance(content, str) else content)
        if part["type"] == "text"
    )


def play(
    env: RadPlanEnv, service: scripted.Service, *, steps: int, **settings: Any
) -> tuple[GPTRadPlanAgent, list[Plan]]:
    """Play some steps with the model behind the service."""
    options = settings.pop("options", ALONE)
    vision = settings.pop("vision", "auto")
    client = OpenAIClient(Endpoint(model="scripted", base_url=service.url), must_see=vision is True)
    agent = GPTRadPlanAgent(env, session=Session(client, settings=ModelSettings(vision=vision)), options=options)
    observation, info = env.reset(seed=0)
    agent.reset(observation, info)
    plans: list[Plan] = []
    for _ in range(steps):
        action = agent.act(observation, info)
        assert action is not None
        observation, _, _, _, info = env.step(action)
        assert env.plan is not None
        plans.append(env.plan)
    return agent, plans


ANSWERS = [scripted.says(text) for text in (report(), feedback(), proposal(change("Body")))]


@pytest.mark.slow
def test_the_model_is_shown_the_plan_as_it_is(env: RadPlanEnv, service: scripted.Service, box_case: Case) -> None:
    service.script.extend([looks, *ANSWERS])
    agent, plans = play(env, service, steps=2)
    first, *others = service.requests
    pictures = shown(first)
    assert [len(shown(request)) for request in others] == [0, 0, 0]
    views = views_of(plans[0], box_case)
    assert len(pictures) > len(views) == len(NAMES), "worst points and DVHs follow the whole plan"
    for png, view in zip(pictures, views, strict=False):
        check_picture(png, view, plans[0].dose_on(box_case.grid), box_case)
        assert view.caption in said(first)
    # What it says of them reaches the evaluator, and the planner's answer the plan.
    assert f"{len(pictures)} pictures, colourful in" in said(others[1])
    start, changed = (plan.parameters.structures["Body"].weight for plan in plans)
    assert changed == 2 * start
    record = agent.record()
    assert (record["calls"], record["calls_with_pictures"], record["calls_with_pictures_seen"]) == (4, 1, 1)


def views_of(plan: Plan, case: Case) -> list[View]:
    return plan_views(case, plan.dose_on(case.grid), prescription_gy=RX_GY)


def check_picture(png: bytes, view: View, dose_gy: Any, case: Case) -> None:
    """A picture of the size stated, with contours where the case has them and colours where the dose is."""
    picture = decoded(png)
    assert picture.shape == (SIDE, SIDE, 3)
    for panel in view.panels:
        for structure, share in contours_found(picture, panel, case).items():
            assert share > 0.5, (structure, view.name, panel.plane.name)
        centre = [n // 2 for n in case.grid.shape]
        centre[panel.plane.axis] = panel.plane.index
        voxel = tuple(centre)
        if np.take(case.structures["PTV_7020"], panel.plane.index, axis=panel.plane.axis)[
            tuple(np.delete(voxel, panel.plane.axis))
        ]:
            expected = band(100 * float(dose_gy[voxel]) / RX_GY)
            np.testing.assert_allclose(picture[panel.pixel(position_mm(case, voxel))], expected, atol=NEAR)


@pytest.mark.slow
def test_steps_and_examples_are_shown_beside_the_plan(
    env: RadPlanEnv, service: scripted.Service, box_case: Case
) -> None:
    service.script.extend([looks, *ANSWERS] * 2)
    _, plans = play(env, service, steps=3, options=Options(forms="small", references="fixed", reference_count=2))
    pictures, words = shown(service.requests[4]), said(service.requests[4])
    before, now = (views_of(plan, box_case) for plan in plans[:2])
    assert pictures[2 : 3 + len(now)] == [before[0].png, *(view.png for view in now)]
    assert [words.count(f"Example {i}: planes") for i in (1, 2, 3)] == [1, 1, 0]
    assert words.index("Step 1: ") < words.index("Step 2, the plan to judge: ")
    for png in pictures[:2]:
        assert decoded(png).shape == (SIDE, SIDE, 3)


@pytest.mark.slow
@pytest.mark.parametrize("code", [400, 500])
def test_a_service_that_refuses_pictures_is_asked_in_words(
    env: RadPlanEnv, service: scripted.Service, code: int
) -> None:
    refusal = scripted.status(code, "image input is not supported - hint: you may need to provide the mmproj")
    service.script.extend([refusal, scripted.says("Nothing to see."), *ANSWERS, *ANSWERS])
    agent, plans = play(env, service, steps=3)
    assert len(plans) == 3
    assert [bool(shown(request)) for request in service.requests] == [True] + [False] * 7
    assert "Nothing to see." not in said(service.requests[3]), "a report on pictures that were not seen"
    record = agent.record()
    assert record["calls_with_pictures_seen"] == 0
    assert record["adaptations"] == {"pictures left out": 1}


def test_a_model_that_must_see_and_cannot_stops_the_run(env: RadPlanEnv, service: scripted.Service) -> None:
    service.script.append(scripted.status(400, "image input is not supported"))
    with pytest.raises(ServiceError, match="image input is not supported"):
        play(env, service, steps=2, vision=True)


def test_a_model_that_is_said_not_to_see_is_shown_nothing(env: RadPlanEnv, service: scripted.Service) -> None:
    service.script.extend(ANSWERS)
    agent, _ = play(env, service, steps=2, vision=False)
    assert [shown(request) for request in service.requests] == [[], [], []]
    assert agent.record()["calls_with_pictures"] == 0
