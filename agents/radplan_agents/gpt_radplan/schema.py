"""Types whose admissible values are known at run time only, such as the names of a patient's structures."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError


class Answer(BaseModel):
    """What a model answers: nothing beside what was asked for, and no infinite numbers."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


def prose(most: int) -> Any:
    """Return the type of a text that a service keeps to so many characters, where it enforces schemas.

    Small models else run on in circles. It is a pattern, as OpenAI's strict mode takes no maxLength; quotation marks
    and backslashes are left out, as llama.cpp would let them break the JSON. A text that was cut at the last character
    is read without the word that it breaks off in.
    """
    pattern = {"type": "string", "pattern": f'^[^"\\\\\\n]{{1,{most}}}$'}
    return Annotated[str, AfterValidator(partial(_whole_words, most)), WithJsonSchema(pattern)]


def one_of(names: Collection[str], *, fault: str) -> Any:
    """Return the type of a text that is one of these names; the schema tells them to the service.

    Parameters
    ----------
    names : collection of str
        The names there are.
    fault : str
        What another name is called in the record, such as "unknown_structure".
    """
    return Annotated[str, AfterValidator(_check(names, fault)), WithJsonSchema({"type": "string", "enum": list(names)})]


def some_of(names: Collection[str], *, most: int, fault: str) -> Any:
    """Return the type of a list of at most so many of these names, as `one_of` has them."""
    item = one_of(names, fault=fault) if names else str
    return Annotated[list[item], Field(max_length=min(most, len(names)))]  # type: ignore[valid-type]


def _whole_words(most: int, text: str) -> str:
    words, space, _ = text.rstrip().rpartition(" ")
    is_cut = len(text) == most and bool(space) and text[-1] not in ".!?"
    return f"{words} …" if is_cut else text


def _check(names: Collection[str], fault: str) -> Callable[[str], str]:
    def check(name: str) -> str:
        if name not in names:
            raise PydanticCustomError(fault, "choose one of {names}", {"names": ", ".join(names)})
        return name

    return check
