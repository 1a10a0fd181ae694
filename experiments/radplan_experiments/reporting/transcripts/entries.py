"""The lines of a transcript.jsonl, held to their form: a report believes no file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from radplan_agents.llm import Reply, read_lines
from radplan_experiments.running.language_model import EPISODE_BEGINS


class Words(BaseModel):
    """A piece of a message in words."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str


class Shown(BaseModel):
    """A picture in a message: its file in the transcript's folder, and what it shows."""

    model_config = ConfigDict(frozen=True)

    image: Annotated[str, Field(pattern=r"^images/\w+\.png$")]  # and no other file of the reader's machine
    name: str


class Message(BaseModel):
    """One turn of a conversation."""

    model_config = ConfigDict(frozen=True)

    role: str
    parts: tuple[Words | Shown, ...]


class Asked(BaseModel):
    """What the model was sent."""

    model_config = ConfigDict(frozen=True)

    messages: tuple[Message, ...]
    json_schema: dict[str, Any] | None = None


class Call(BaseModel):
    """One call: who asked, what, and the reply or why there is none."""

    model_config = ConfigDict(frozen=True)

    call: int
    name: str
    request: Asked
    reply: Reply | None = None
    error: str | None = None

    @model_validator(mode="after")
    def _came_to_something(self) -> Self:
        if (self.reply is None) == (self.error is None):
            raise ValueError("a call has a reply or an error")
        return self


class Note(BaseModel):
    """A remark between the calls: what was wrong with a reply, or the step that calls from here on belong to."""

    model_config = ConfigDict(frozen=True)

    note: str
    step: int | None = None


_ENTRY: TypeAdapter[Call | Note] = TypeAdapter(Call | Note)


@dataclass(frozen=True)
class Conversation:
    """An episode's transcript as far as it can be read.

    Parameters
    ----------
    entries : tuple of Call or Note
        Of the conversation that the record is of: the last, where the episode was interrupted and played again.
    unreadable : tuple of int
        Numbers of the lines that are not whole, from 1.
    earlier : int
        Conversations that were cut short before it.
    """

    entries: tuple[Call | Note, ...]
    unreadable: tuple[int, ...]
    earlier: int


def read(folder: Path) -> Conversation:
    """Read an episode's transcript.

    Raises
    ------
    OSError
        If the file is missing or cannot be read.
    """
    if not (folder / "transcript.jsonl").exists():
        raise FileNotFoundError("it is missing")
    entries = [_held_to_form(line) for line in read_lines(folder)]
    begins = [at for at, entry in enumerate(entries) if isinstance(entry, Note) and entry.note == EPISODE_BEGINS]
    return Conversation(
        entries=tuple(entry for entry in entries[begins[-1] + 1 if begins else 0 :] if entry is not None),
        unreadable=tuple(number for number, entry in enumerate(entries, 1) if entry is None),
        earlier=max(len(begins) - 1, 0),
    )


def _held_to_form(line: dict[str, Any] | None) -> Call | Note | None:
    try:
        return None if line is None else _ENTRY.validate_python(line)
    except ValidationError:
        return None
