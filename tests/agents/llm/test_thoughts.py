"""What a model thinks aloud is no answer and goes into no later prompt; an answer in the wrong place is found."""

from __future__ import annotations

import json
from typing import Any

import pytest
import scripted_server as scripted
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from radplan_agents.llm import Endpoint, Failed, MockClient, OpenAIClient, Reply, Request, Session, user
from radplan_agents.llm.thoughts import without_thoughts

ANSWER = "The rectum is TOO-HOT."

ALOUD = {
    "DeepSeek, Qwen": "<think>RAMBLINGS</think>\nThe rectum is TOO-HOT.",
    "opened in the prompt": "RAMBLINGS\n</think>\n\nThe rectum is TOO-HOT.",
    "never closed": "The rectum is TOO-HOT.\n<think>RAMBLINGS",
    "twice": "<think>RAMBLINGS</think>The rectum <think>RAMBLINGS</think>is TOO-HOT.",
    "one inside another": "<think>a <think>RAMBLINGS</think> RAMBLINGS</think>The rectum is TOO-HOT.",
    "capitals, spaces, attributes": '< Think time="3">RAMBLINGS</ Think >The rectum is TOO-HOT.',
    "thinking": "<thinking>\nRAMBLINGS\n</thinking>\nThe rectum is TOO-HOT.",
    "thought": "<thought>RAMBLINGS</thought>The rectum is TOO-HOT.",
    "reasoning, answer": "<reasoning>RAMBLINGS</reasoning><answer>The rectum is TOO-HOT.</answer>",
    "answer alone": "RAMBLINGS <answer>The rectum is TOO-HOT.</answer>",
    "Magistral": "[THINK]RAMBLINGS[/THINK]The rectum is TOO-HOT.",
    "Kimi": "◁think▷RAMBLINGS◁/think▷The rectum is TOO-HOT.",
    "Seed": "<seed:think>RAMBLINGS</seed:think>The rectum is TOO-HOT.",
    "MedGemma": "<unused94>thought\nRAMBLINGS<unused95>The rectum is TOO-HOT.",
    "Cohere": "<|START_THINKING|>RAMBLINGS<|END_THINKING|><|START_RESPONSE|>The rectum is TOO-HOT.<|END_RESPONSE|>",
    "OpenThinker": "<|begin_of_thought|>RAMBLINGS<|end_of_thought|>\n<|begin_of_solution|>The rectum is TOO-HOT.",
    "gpt-oss": "<|channel|>analysis<|message|>RAMBLINGS<|end|><|start|>assistant<|channel|>final<|message|>"
    "The rectum is TOO-HOT.<|return|>",
    "Granite": "Here is my thought process:\nRAMBLINGS\nHere is my response:\nThe rectum is TOO-HOT.",
    "headings": "**Thinking process:**\nRAMBLINGS\n\n**Final answer:** The rectum is TOO-HOT.",
}


@pytest.mark.parametrize("text", ALOUD.values(), ids=ALOUD)
def test_thoughts_are_no_answer(text: str) -> None:
    assert without_thoughts(text) == ANSWER


PLAIN = [
    "I think the rectum is too hot; reasoning alone will not cool it.",
    "Dose < 70 Gy and V31Gy > 30 %. [thinking of the bladder: fine]",
    "Report: the PTV is covered.\nAnswer: nothing to do.",
    '{"advice": "<think> is a tag", "weight": 3}',
]


@pytest.mark.parametrize("text", PLAIN)
def test_what_holds_no_thoughts_stays(text: str) -> None:
    assert without_thoughts(text) == text


@given(st.text(), st.sampled_from(["<think>{}</think>{}", "{}</think>{}", "[THINK]{}[/THINK]{}"]))
def test_whatever_was_thought(thoughts: str, form: str) -> None:
    if "think" not in thoughts.lower() and "<" not in thoughts and "[" not in thoughts:
        assert without_thoughts(form.format(thoughts, ANSWER)) == ANSWER


class Advice(BaseModel):
    advice: str


@pytest.mark.parametrize("text", ALOUD.values(), ids=ALOUD)
def test_they_go_into_no_later_prompt(text: str) -> None:
    """Neither as an answer, nor inside one, nor where a faulty reply is shown to the model again."""
    client = MockClient([text, text, json.dumps({"advice": text})])
    session = Session(client)
    assert session.say("vision expert", [user("Describe it.")]) == ANSWER
    assert session.ask("planner", [user("What next?")], Advice) == Advice(advice=ANSWER)
    assert not any("RAMBLINGS" in message.text for request in client.requests for message in request.messages)
    assert session.record()["adaptations"] == {"thoughts in the reply left out": 2}


def test_thoughts_alone_are_no_answer() -> None:
    session = Session(MockClient(["<think>RAMBLINGS", "RAMBLINGS</think>", "<think></think>"]))
    answer = session.say("vision expert", [user("Describe it.")])
    assert isinstance(answer, Failed)
    assert session.record()["faults"] == {"empty": 3}


ELSEWHERE: dict[str, dict[str, Any]] = {
    "vLLM, DeepSeek": {"content": None, "reasoning_content": ANSWER},
    "OpenRouter, newer vLLM": {"content": "", "reasoning": ANSWER},
    "both": {"content": None, "reasoning_content": "", "reasoning": ANSWER},
    "white space": {"content": "\n\n", "reasoning_content": ANSWER},
    "in parts": {"content": [], "reasoning_content": [{"type": "text", "text": ANSWER}]},
}


@pytest.mark.parametrize("message", ELSEWHERE.values(), ids=ELSEWHERE)
def test_an_answer_in_the_place_of_thoughts_is_found(
    service: scripted.Service, endpoint: Endpoint, message: dict[str, Any]
) -> None:
    field = "reasoning_content" if message.get("reasoning_content") else "reasoning"
    service.script.append(scripted.says(**message))
    session = Session(OpenAIClient(endpoint))
    assert session.say("vision expert", [user("Describe it.")]) == ANSWER
    assert session.record()["adaptations"] == {f"answer read from {field}": 1}


def test_thoughts_beside_an_answer_or_cut_short_are_not_taken_for_it(
    service: scripted.Service, endpoint: Endpoint
) -> None:
    service.script.extend(
        [
            scripted.says("Yes.", reasoning_content="RAMBLINGS"),
            scripted.says(None, finish="length", reasoning="RAMBLINGS"),
            scripted.says(None, refusal="I cannot.", reasoning="RAMBLINGS"),
        ]
    )
    client = OpenAIClient(endpoint)
    replies = [client.complete(Request(messages=(user("Well?"),))) for _ in range(3)]
    assert [reply.text for reply in replies] == ["Yes.", "", ""]


YES = {"type": "text", "text": "Yes."}

PARTS: dict[str, tuple[Any, int]] = {
    "null text": ([{"type": "reasoning", "text": None}, YES], 1),
    "null": ([None, YES], 1),
    "a number": ([3, YES], 1),
    "an unknown type": ([YES, {"type": "annotation", "annotations": []}], 1),
    "no text field": ([{"type": "text"}, YES], 1),
    "two of them": ([None, YES, {}], 1),
    "a plain text": (["Yes."], 0),
    "text with a value": ([{"type": "text", "text": {"value": "Yes.", "annotations": []}}], 0),
    "thoughts with text": ([{"type": "reasoning", "text": "RAMBLINGS"}, YES], 0),
    "Gemini's thoughts": ([{"text": "RAMBLINGS", "thought": True}, {"text": "Yes."}], 0),
    "Mistral's thoughts": ([{"type": "thinking", "thinking": [{"type": "text", "text": "RAMBLINGS"}]}, YES], 0),
    "no list": (YES, 0),
}


@pytest.mark.parametrize(("content", "odd"), PARTS.values(), ids=PARTS)
def test_one_odd_part_costs_no_other(service: scripted.Service, endpoint: Endpoint, content: Any, odd: int) -> None:
    service.script.append(scripted.says(content))
    reply = OpenAIClient(endpoint).complete(Request(messages=(user("Well?"),)))
    assert isinstance(reply, Reply)
    assert (reply.text, len(reply.adaptations)) == ("Yes.", odd)
