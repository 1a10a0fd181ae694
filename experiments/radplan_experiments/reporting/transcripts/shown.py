"""Messages and pictures as a page shows them: each once, and where it comes again, a word of where it stands."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from radplan_experiments.reporting.transcripts.entries import Message, Words

SHORT = 200
"""Characters of a message that is written out again each time."""

_PNG = re.compile(rb"\x89PNG\r\n\x1a\n.{4}IHDR(.{8})", re.DOTALL)
_COLUMNS = re.compile(r"\S {2,}\S")


@dataclass(frozen=True)
class Pixels:
    """A picture that a page holds once, under a name, and shows wherever a model saw it."""

    anchor: str
    uri: str
    width: int
    height: int


@dataclass(frozen=True)
class Passage:
    """Lines of a text: prose, or a table whose columns stand under one another."""

    text: str
    in_columns: bool


@dataclass(frozen=True)
class Part:
    """A piece of a message: passages, or a picture, which is None where its file is lost."""

    passages: tuple[Passage, ...] = ()
    name: str = ""
    picture: Pixels | None = None


@dataclass(frozen=True)
class Place:
    """Where something stands on the page, and what it is called there."""

    anchor: str
    title: str


@dataclass(frozen=True)
class ShownMessage:
    """A message, or where it stands already."""

    role: str
    parts: tuple[Part, ...] = ()
    stands: Place | None = None


@dataclass
class Writer:
    """Writes out the messages of an episode.

    Parameters
    ----------
    pictures : Mapping[str, Pixels]
        By file.
    told : Mapping[Message, Place]
        Messages that stand before the episodes.
    """

    pictures: Mapping[str, Pixels]
    told: Mapping[Message, Place]
    _seen: dict[Message | str, Place] = field(default_factory=dict)

    def message(self, message: Message, here: Place) -> ShownMessage:
        """A message, if it is not on the page yet; `here` is where it then stands."""
        if (stands := self.told.get(message) or self._seen.get(message)) is not None:
            return ShownMessage(message.role, stands=stands)
        if len(message.model_dump_json()) > SHORT:
            self._seen[message] = here
        return ShownMessage(message.role, parts=tuple(self._part(part) for part in message.parts))

    def schema(self, schema: Mapping[str, Any] | None, here: Place) -> str | Place | None:
        """The form that a reply was to have, or where it stands already."""
        if schema is None:
            return None
        content = json.dumps(schema, sort_keys=True)
        if (stands := self._seen.get(content)) is not None:
            return stands
        self._seen[content] = here
        return json.dumps(schema, ensure_ascii=False)

    def _part(self, part: Any) -> Part:
        if isinstance(part, Words):
            return Part(passages=passages(part.text))
        return Part(name=part.name, picture=self.pictures.get(part.image))


def passages(text: str) -> tuple[Passage, ...]:
    """A text in tables and the prose between them, which a narrow page breaks into lines of its own."""
    found: list[Passage] = []
    for line in text.splitlines(keepends=True):
        in_columns = _COLUMNS.search(line) is not None
        if found and (found[-1].in_columns == in_columns or not line.strip()):
            found[-1] = Passage(found[-1].text + line, found[-1].in_columns)
        else:
            found.append(Passage(line, in_columns))
    return tuple(found)


def pixels(folder: Path, file: str) -> Pixels | None:
    """A picture of a transcript; None if it is lost or is no picture."""
    try:
        content = (folder / file).read_bytes()
    except OSError:
        return None
    if (header := _PNG.match(content)) is None:
        return None
    width, height = struct.unpack(">II", header[1])
    uri = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    return Pixels(f"seen-{hashlib.sha256(content).hexdigest()[:16]}", uri, width, height)
