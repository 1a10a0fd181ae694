"""Tells a model's answer from what it thought aloud on the way, which goes into no later prompt."""

from __future__ import annotations

import json
import re

_THOUGHT = r"(?:think(?:ing)?|thoughts?|reason(?:ing)?|reflection|scratchpad|cot)"
_OPENING = re.compile(
    rf"<\s*\|?\s*(?:[a-z]\w*:)?(?:begin_of_|start_(?:of_)?)?{_THOUGHT}(?:\s[^<>]*)?\|?\s*>"
    r"|\[\s*think(?:ing)?\s*\]|◁\s*think\s*▷|<unused94>\s*(?:thought)?|<\|channel>\s*thought",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    rf"<\s*(?:\|?\s*/\s*(?:[a-z]\w*:)?|\|\s*end_(?:of_)?){_THOUGHT}\s*\|?\s*>"
    r"|\[\s*/\s*think(?:ing)?\s*\]|◁\s*/\s*think\s*▷|<unused95>|<channel\|>",
    re.IGNORECASE,
)
"""Of DeepSeek, Qwen, Magistral, Kimi, Cohere, Seed, OpenThinker, Gemma and their relatives; never of all models."""

_TAG = re.compile(f"(?P<opening>{_OPENING.pattern})|(?P<closing>{_CLOSING.pattern})", re.IGNORECASE)

_CHANNEL = re.compile(  # gpt-oss: analysis and commentary are thoughts, final is the answer
    r"<\|channel\|>\s*(?P<name>\w+)[^<]*<\|message\|>(?P<text>.*?)(?=<\|(?:end|return|call|start|channel)\|>|\Z)",
    re.DOTALL,
)
_ANSWER = re.compile(
    r"<\s*(?P<tag>final_answer|answer|response|solution|output)\s*>(?P<text>.*?)(?:<\s*/\s*(?P=tag)\s*>|\Z)",
    re.DOTALL | re.IGNORECASE,
)
_MARK = re.compile(r"<\|(?:(?:begin|end)_of_solution|(?:START|END)_RESPONSE|end|return|im_end)\|>", re.IGNORECASE)

_MINE = r"(?:here(?:'|’)?s my |here is my |my )?"
_ALOUD = re.compile(
    rf"\A[\s*#_]*{_MINE}(?:thinking(?: process)?|thoughts?(?: process)?|reasoning(?: process| steps)?|chain of thought)"
    r"[\s*_]*(?::|\n)",
    re.IGNORECASE,
)
_THEN = re.compile(
    rf"^[ \t*#_]*{_MINE}(?:final )?(?:answer|response|reply|report|output)[ \t*_]*(?::|$)[\s*_]*",
    re.IGNORECASE | re.MULTILINE,
)


def without_thoughts(text: str) -> str:
    """Return the answer in a reply, without surrounding space.

    Thoughts are what stands in marks such as ``<think>…</think>``; what stands before a closing mark that nothing
    opened, as chat templates open it in the prompt; and what follows an opening mark that nothing closes. A reply that
    is one JSON object is left as it is.
    """
    text = text.strip()
    if _is_object(text):
        return text
    if channels := list(_CHANNEL.finditer(text)):
        text = "".join(channel["text"] for channel in channels if channel["name"].lower() == "final")
    text = _outside_of_tags(text)
    if answers := list(_ANSWER.finditer(text)):
        text = answers[-1]["text"]
    elif _ALOUD.match(text) and (starts := list(_THEN.finditer(text))):
        text = text[starts[-1].end() :]
    return _MARK.sub("", text).strip()


def _outside_of_tags(text: str) -> str:
    answer, place, thinking = "", 0, False
    for tag in _TAG.finditer(text):
        if tag["closing"]:
            answer = answer if thinking else ""
        elif not thinking:
            answer += text[place : tag.start()]
        thinking = tag["closing"] is None
        place = tag.end()
    return answer if thinking else answer + text[place:]


def _is_object(text: str) -> bool:
    if not text.startswith("{"):
        return False
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
