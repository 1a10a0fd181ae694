"""Types made at run time, as a service and as Pydantic see them."""

from __future__ import annotations

import re

import pytest
from pydantic import TypeAdapter, ValidationError

from radplan_agents.gpt_radplan.schema import one_of, prose, some_of


def test_a_service_is_told_how_long_prose_may_be_and_a_longer_one_is_still_read() -> None:
    adapter = TypeAdapter(prose(10))
    pattern = adapter.json_schema()["pattern"]
    assert re.match(pattern, "ten letter")
    assert not any(re.match(pattern, text) for text in ("eleven char", "", 'a "quote"', "two\nlines", "back\\slash"))
    assert adapter.validate_python('It says "no" twice.') == 'It says "no" twice.'
    assert [adapter.validate_python(text) for text in ("more hotsp", "more heat.", "more")] == [
        "more …",
        "more heat.",
        "more",
    ]


def test_a_name_is_one_of_those_there_are() -> None:
    adapter = TypeAdapter(one_of(("Rectum", "Bladder"), fault="unknown_structure"))
    assert adapter.json_schema()["enum"] == ["Rectum", "Bladder"]
    assert adapter.validate_python("Bladder") == "Bladder"
    with pytest.raises(ValidationError) as raised:
        adapter.validate_python("Heart")
    assert raised.value.errors()[0]["type"] == "unknown_structure"


def test_a_list_of_names_has_so_many_at_most_and_none_where_there_are_none() -> None:
    adapter = TypeAdapter(some_of(("Rectum", "Bladder", "Body"), most=2, fault="unknown_structure"))
    assert adapter.json_schema()["items"]["enum"] == ["Rectum", "Bladder", "Body"]
    assert adapter.validate_python(["Body", "Rectum"]) == ["Body", "Rectum"]
    for names in (["Heart"], ["Body", "Rectum", "Bladder"]):
        with pytest.raises(ValidationError):
            adapter.validate_python(names)
    empty = TypeAdapter(some_of((), most=2, fault="unknown_structure"))
    assert empty.validate_python([]) == []
    with pytest.raises(ValidationError):
        empty.validate_python(["Rectum"])
