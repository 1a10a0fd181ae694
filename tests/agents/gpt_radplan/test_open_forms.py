"""GPT-RadPlan as in the paper: who is told what, and what the planner may set."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from scripted_replies import setting

from radplan_agents.gpt_radplan import Options
from radplan_agents.gpt_radplan.anatomy import Anatomy
from radplan_agents.gpt_radplan.library import Library, ReferencePlan
from radplan_agents.llm import Failed, Image, Text, each_picture_once
from radplan_env.env import RadPlanEnv

ALL = Options(references="none")
ALONE = replace(ALL, evaluator="none")


def test_evaluator_and_planner_have_what_the_paper_gives_them(play: Any) -> None:
    """Section 2.2: f = g(p; I, δ) and a = g(p; I, δ, f), with ⟨I, δ, f, a⟩ of the steps before."""
    said = ["(vision) hot", "(DVH) a tail", "(evaluator) press the rectum"]
    episode = play(
        *said,
        setting({"structure": "Rectum", "weight": 20.0}),
        *("seen", "read", "go on", setting({"structure": "Body", "weight": 50.0}, base=1)),
        options=ALL,
        vision=True,
        steps=3,
    )
    requests = episode.client.requests
    assert [request.has_images for request in requests] == [True, False, True, True] * 2
    told_evaluator, told_planner = episode.prompt(2), episode.prompt(3)
    assert "> (vision) hot" in told_evaluator and "> (DVH) a tail" in told_evaluator
    assert "> (evaluator) press the rectum" in told_planner
    for prompt in (episode.prompt(1), told_evaluator, told_planner):
        assert "% of volume at" in prompt and "points lost" in prompt
    later = episode.prompt(7)
    before = later[: later.index("The last plan.")]
    assert "> (evaluator) press the rectum" in before, "f of the step before"
    assert "% of volume at" in before, "its δ"
    assert "From step 1: Rectum weight" in later
    named = [image.name for message in requests[7].messages for image in message.images]
    assert named[0].startswith("Step 1") and "Step 2, the last plan" in later
    first, second, third = episode.parameters
    assert second["Rectum"]["weight"] == 20 and third["Rectum"] == first["Rectum"]
    assert episode.agent.record()["failed_steps"] == 0


def test_limits_are_set_held_and_told(play: Any) -> None:
    limit = {"structure": "Rectum", "metric": "mean", "at_most": 40.0, "at_least": None}
    episode = play(
        setting(limits=[limit]), setting({"structure": "Body", "weight": 1e6}, base=2), options=ALONE, steps=3
    )
    assert [len(plan["limits"]) for plan in episode.plans] == [0, 1, 1]
    assert "Rectum mean ≤ 40 Gy" in episode.prompt(1)
    agent = episode.agent
    assert agent.memory.trajectory[1].changes == ["limit Rectum mean ≤ 40 Gy"]
    assert "end of its range" in agent.proposal.clamped[0]


FAULTY = {
    "unknown_structure": setting({"structure": "Heart", "weight": 2.0}),
    "excluding_limits": setting(limits=[{"structure": "PTV_7020", "metric": "max", "at_most": 50.0}]),
    "wrong_arguments": setting(limits=[{"structure": "Rectum", "metric": "D8q", "at_most": 50.0}]),
    "changed_twice": setting({"structure": "Body", "weight": 2.0}, {"structure": "Body", "weight": 3.0}),
    "already_tried": setting(),
    "out_of_bounds": setting({"structure": "Body", "weight": 2.0}, base=7),
    "stopped_too_soon": setting(action="stop"),
}


@pytest.mark.parametrize("fault", FAULTY)
def test_what_cannot_be_planned_is_named_and_costs_the_step(play: Any, fault: str) -> None:
    episode = play(*[FAULTY[fault]] * 3, options=ALONE, steps=2)
    assert episode.agent.record()["faults"] == {fault: 3}
    assert isinstance(episode.agent.proposal, Failed)
    assert episode.parameters[0] == episode.parameters[1]


def test_examples_pair_a_plan_with_its_parameters(play: Any, env: RadPlanEnv) -> None:
    """Of one patient's plans the planner sees the better one, limits and all; small forms see none that hold limits."""
    plain = play(options=ALONE, steps=1).plans[0]
    held = {**plain, "score": 95.0, "limits": [{"structure": "Rectum", "metric": "D8cc", "at_most": 50.0}]}
    anatomy = Anatomy({}, {"PTV_7020": 100.0})
    library = Library(
        tuple(
            ReferencePlan("prostate", anatomy, each["parameters"], {**each, "score": score}, (), ())
            for each, score in ((plain, 60.0), (held, 95.0))
        )
    )
    options = replace(ALONE, references="fixed")
    episode = play(setting({"structure": "Body", "weight": 50.0}), options=options, library=library, steps=2)
    prompt = episode.prompt(0)
    assert "score 95.0" in prompt and "Rectum D8cc ≤ 50 Gy" in prompt and "score 60.0" not in prompt
    assert [plan.summary["score"] for plan in library.for_planners(set_limits=False).plans] == [60.0]


def test_a_picture_is_shown_once() -> None:
    one, other = (
        Image(png=b"\x89PNG\r\n\x1a\n" + tail, name=name) for tail, name in ((b"1", "Step 1"), (b"2", "Step 2"))
    )
    shown = each_picture_once((Text(text="a"), one, other, one))
    assert [type(part) for part in shown] == [Text, Image, Image, Text]
    assert "Step 1" in json.dumps(shown[-1].model_dump())
    assert [type(part) for part in each_picture_once((one, other), before=(other,))] == [Image, Text]
