"""Everything that calls saw and said, on disk.

DIR/transcript.jsonl   one JSON object per call, appended when it is over
DIR/transcript.md      the same to read
DIR/images/            the pictures, by their digest
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from radplan_agents.llm.chat import ChatClient, Reply, Request
from radplan_agents.llm.errors import ModelError
from radplan_agents.llm.messages import Image, Text

SHORT = 200
"""Characters of a message that is written out again each time; of a longer one, where it stands."""


class Transcript:
    """A transcript, open for appending. A folder that was left, even in the middle of a line, is taken up again.

    Parameters
    ----------
    folder : Path
        Where it lies; one at a time may write to it.
    share_images : bool
        Whether pictures of the user's own patients are kept in it, and so go wherever it goes. In the place of one that
        is not stands what it shows and why it is missing.
    """

    def __init__(self, folder: Path, *, share_images: bool = False) -> None:
        self._folder = folder
        self._share_images = share_images
        self._jsonl = folder / "transcript.jsonl"
        self._markdown = folder / "transcript.md"
        self._seen: dict[str, int] = {}
        (folder / "images").mkdir(parents=True, exist_ok=True)
        entries = read_transcript(folder)
        self._calls = sum("request" in entry for entry in entries)
        if self._jsonl.exists() and not self._jsonl.read_bytes().endswith(b"\n"):
            _append(self._jsonl, "\n")  # ends a line that was cut short, so that the next one is whole
        self._markdown.write_text("".join(self._rendered(entry) for entry in entries), encoding="utf-8")

    def note(self, text: str, *, step: int | None = None) -> None:
        """Write a remark of our own between the calls, such as what was made of a reply.

        Parameters
        ----------
        text : str
            The remark.
        step : int, optional
            Step of the agent's work that all calls from here on belong to.
        """
        self._add({"note": text} if step is None else {"note": text, "step": step})

    def call(self, name: str, request: Request, outcome: Reply | ModelError) -> None:
        """Write down one call: who asked, what, and what came of it."""
        self._calls += 1
        entry: dict[str, Any] = {"call": self._calls, "name": name, "request": self._stored(request)}
        if isinstance(outcome, Reply):
            entry["reply"] = {**outcome.model_dump(mode="json"), "said": outcome.said, "from_cache": outcome.from_cache}
        else:
            entry["error"] = f"{type(outcome).__name__}: {outcome}"
        self._add(entry)

    def _add(self, entry: dict[str, Any]) -> None:
        _append(self._jsonl, json.dumps(entry) + "\n")
        _append(self._markdown, self._rendered(entry))

    def _stored(self, request: Request) -> dict[str, Any]:
        """The request as plain data, with the name of a file for each picture."""
        keep_images = self._share_images or not request.shows_own_patient
        stored = request.model_dump(mode="json", exclude={"messages"}, exclude_none=True)
        stored["messages"] = [
            {
                "role": message.role,
                "parts": [
                    *(self._stored_part(part, keep_images) for part in message.parts),
                    *({"text": str(call)} for call in message.calls),
                ],
            }
            for message in request.messages
        ]
        return stored

    def _stored_part(self, part: Text | Image, keep_images: bool) -> dict[str, str]:
        if isinstance(part, Text):
            return {"text": part.text}
        if not keep_images:
            return {"text": f"[picture of your own patient, kept only with --share-images: {part.name}]"}
        file = f"images/{hashlib.sha256(part.png).hexdigest()[:16]}.png"
        if not (self._folder / file).exists():
            (self._folder / file).write_bytes(part.png)
        return {"image": file, "name": part.name, "detail": part.detail}

    def _rendered(self, entry: dict[str, Any]) -> str:
        """An entry as Markdown."""
        if "note" in entry:
            return f"{_quoted(entry['note'])}\n\n"
        lines = [f"## {entry['call']}. {entry['name']}"]
        for message in entry["request"]["messages"]:
            lines.append(f"**{message['role']}**")
            lines += self._rendered_parts(message, entry["call"])
        if "error" in entry:
            return "\n\n".join([*lines, "**no reply**", _fenced(entry["error"])]) + "\n\n"
        reply = entry["reply"]
        lines += [f"**reply** ({_summary(reply)})", _fenced(reply["said"])]
        return "\n\n".join(lines) + "\n\n"

    def _rendered_parts(self, message: dict[str, Any], call: int) -> list[str]:
        digest = json.dumps(message, sort_keys=True)
        if len(digest) > SHORT and digest in self._seen:
            return [f"*as in call {self._seen[digest]}*"]
        self._seen[digest] = call
        return [
            f"![{_one_line(part['name'])}]({part['image']})" if "image" in part else _fenced(part["text"])
            for part in message["parts"]
        ]


class Transcribed:
    """Writes every call to a transcript.

    Parameters
    ----------
    client : ChatClient
        Who is asked.
    transcript : Transcript
        Where it is written.
    name : str
        Who asks, such as "planner".
    """

    def __init__(self, client: ChatClient, transcript: Transcript, *, name: str) -> None:
        self._client = client
        self._transcript = transcript
        self._name = name

    def complete(self, request: Request) -> Reply:
        """Return the reply to a request; see `ChatClient`."""
        try:
            reply = self._client.complete(request)
        except ModelError as error:
            self._transcript.call(self._name, request, error)
            raise
        self._transcript.call(self._name, request, reply)
        return reply


def read_transcript(folder: Path) -> list[dict[str, Any]]:
    """Return a transcript's entries, without lines that were cut short."""
    return [entry for entry in read_lines(folder) if entry is not None]


def read_lines(folder: Path) -> list[dict[str, Any] | None]:
    """Return the entry of each of a transcript's lines, None where a line was cut short or is none of ours."""
    file = folder / "transcript.jsonl"
    lines = file.read_bytes().split(b"\n") if file.exists() else []
    return [_entry(line) for line in lines if line.strip()]


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def _append(path: Path, text: str) -> None:
    with path.open("ab", buffering=0) as file:
        file.write(text.encode())


def _summary(reply: dict[str, Any]) -> str:
    """What is to be known of a reply beside its text, in one line."""
    usage = reply["usage"]
    tokens = [f"{value} {name.replace('_', ' ')}" for name, value in usage.items() if value is not None]
    facts = [reply["model"], reply["finish_reason"], *tokens, *reply["adaptations"]]
    facts += [f"overcame {fault}" for fault in reply["faults"]]
    if reply["from_cache"]:
        facts.append("from the cache")
    return _one_line(", ".join(fact for fact in facts if fact))


def _fenced(text: str) -> str:
    """Text as it is, whatever Markdown it may hold."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}" for line in text.splitlines())


def _one_line(text: str) -> str:
    return re.sub(r"[\[\]\s]+", " ", text).strip()
