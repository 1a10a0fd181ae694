"""A JSON object is found in a model's prose, or named as missing; nothing is repaired."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from radplan_agents.llm import FaultyReplyError, extract_json

LETTERS = st.characters(blacklist_categories=["Cs"])
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(LETTERS)
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(LETTERS), inner), max_leaves=10)
OBJECTS = st.dictionaries(st.text(LETTERS), VALUES)
PROSE = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="{}`<"))


@given(OBJECTS, PROSE, PROSE, st.sampled_from([None, 0, 2]), st.booleans())
@example({"": None, "<think></think>": None}, "", "", None, False)
def test_an_object_comes_back_out_of_prose(
    value: dict[str, object], before: str, after: str, indent: int | None, ascii: bool
) -> None:
    assert extract_json(before + json.dumps(value, indent=indent, ensure_ascii=ascii) + after) == value


@given(OBJECTS, PROSE, st.sampled_from(["```json", "```", "```JSON"]))
def test_an_object_comes_back_out_of_a_code_block(value: dict[str, object], prose: str, fence: str) -> None:
    # "`" is written as an escape: a block that holds ``` cannot be told from one that ends there.
    block = json.dumps(value, indent=1).replace("`", "\\u0060")
    assert extract_json(f'{prose} I considered {{"weight": 1}} first.\n{fence}\n{block}\n```\n{prose}') == value


@given(st.text() | st.text(alphabet='{}[]":,0123456789.eE-NaInfty` \n'))
def test_any_text_gives_an_object_or_a_named_fault(text: str) -> None:
    try:
        value = extract_json(text)
    except FaultyReplyError as error:
        assert error.fault in {"no_json", "not_finite", "duplicate_key"}
    else:
        assert isinstance(value, dict)


@pytest.mark.parametrize(
    "text", ["", "Raise the weight.", "{", '{"a": 1', "{'a': 1}", '{"a": 1,}', "[1, 2]", "null", "3"]
)
def test_what_holds_no_object(text: str) -> None:
    with pytest.raises(FaultyReplyError) as caught:
        extract_json(text)
    assert caught.value.fault == "no_json"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
@pytest.mark.parametrize("frame", ['{{"weight": {}}}', 'So: {{"a": [{{"weight": {}}}]}}.'])
def test_what_is_no_number(frame: str, number: str) -> None:
    with pytest.raises(FaultyReplyError) as caught:
        extract_json(frame.format(number))
    assert caught.value.fault == "not_finite"


def test_a_thing_named_twice() -> None:
    with pytest.raises(FaultyReplyError) as caught:
        extract_json('{"Rectum": {"weight": 3, "weight": 30}}')
    assert caught.value.fault == "duplicate_key"
    assert "weight" in caught.value.detail


def test_the_last_object_is_the_answer() -> None:
    thought = '<think>{"weight": 1} or {"weight": 2}?</think>'
    assert extract_json(thought + ' Not {"weight": 3} but {"weight": {"Rectum": 4}}.') == {"weight": {"Rectum": 4}}


def test_depth_and_length_are_survived() -> None:
    for text in ('{"a":' * 20_000, "{" * 100_000, "[" * 100_000, '{"a": ' + "9" * 90_000 + "}"):
        with pytest.raises(FaultyReplyError) as caught:
            extract_json(text)
        assert caught.value.fault == "no_json"


def test_a_number_as_large_as_a_number_may_be() -> None:
    value = extract_json('{"weight": 1.7976931348623157e308}')["weight"]
    assert math.isfinite(value)
