"""The report's section on language models: which episodes it shows whole, and what stands in it once for all."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from radplan_experiments.recording.records import Key, Record, key_of
from radplan_experiments.recording.run_folder import RunFolder
from radplan_experiments.reporting.transcripts.entries import Message, Shown, Words, read
from radplan_experiments.reporting.transcripts.shown import Passage, Pixels, Place, passages, pixels
from radplan_experiments.reporting.transcripts.views import Episode, ReadEpisode, shown

LIMIT = 10_000_000
"""Bytes of texts and pictures up to which conversations are shown whole."""


@dataclass(frozen=True)
class Told:
    """What an expert is told before every question."""

    anchor: str
    who: str
    title: str
    passages: tuple[Passage, ...]


@dataclass(frozen=True)
class AgentShown:
    """An agent's episodes."""

    name: str
    told: list[Told]
    episodes: list[Episode]


@dataclass(frozen=True)
class Elsewhere:
    """An episode that is not shown, and where its transcript lies from the page."""

    agent: str
    case: str
    seed: int
    path: str
    address: str


@dataclass(frozen=True)
class Section:
    """Everything that the section shows.

    Parameters
    ----------
    agents : list of AgentShown
    pictures : list of Pixels
        Each picture once.
    elsewhere : list of Elsewhere
        Episodes beyond the limit.
    unfinished : list of Elsewhere
        Episodes that have begun and have no record yet.
    limit : int
        In bytes.
    """

    agents: list[AgentShown]
    pictures: list[Pixels]
    elsewhere: list[Elsewhere]
    unfinished: list[Elsewhere]
    limit: int


def gather(folder: RunFolder, records: Sequence[Record], example: str | None, *, limit: int = LIMIT) -> Section | None:
    """Gather what language models saw and said in a run.

    Parameters
    ----------
    folder : RunFolder
    records : sequence of dict
        Its episodes.
    example : str, optional
        Case that comes first: the one that the report has its examples from.
    limit : int
        Bytes of texts and pictures. From the first episode on that passes it, episodes are only named.

    Returns
    -------
    Section, or None where no episode has a transcript.
    """
    begun = [key for key in folder.settings.episodes() if folder.transcript_path(key).is_dir()]
    if not begun:
        return None
    talkers = {agent for agent, _, _ in begun}
    wanted = [record for record in records if record["agent"] in talkers]
    wanted.sort(key=lambda record: (record["case"] != example, record["case"], record["seed"], record["agent"]))
    whole, pictures = _within(limit, (_read(folder, record, number) for number, record in enumerate(wanted, 1)))
    return Section(
        agents=[
            _agent(name, [each for each in whole if each.record["agent"] == name])
            for name in dict.fromkeys(each.record["agent"] for each in whole)
        ],
        pictures=list(pictures.values()),
        elsewhere=[_elsewhere(folder, key_of(record)) for record in wanted[len(whole) :]],
        unfinished=[_elsewhere(folder, key) for key in begun if key not in set(map(key_of, records))],
        limit=limit,
    )


def _within(limit: int, episodes: Iterable[ReadEpisode]) -> tuple[list[ReadEpisode], dict[str, Pixels]]:
    """The first episodes that fit into a page, and their pictures."""
    whole: list[ReadEpisode] = []
    pictures: dict[str, Pixels] = {}
    size = 0
    for episode in episodes:
        more = {picture.anchor: picture for picture in episode.pictures.values() if picture.anchor not in pictures}
        size += _text_size(episode) + sum(len(picture.uri) for picture in more.values())
        if size > limit:
            break
        whole.append(episode)
        pictures |= more
    return whole, pictures


def _text_size(episode: ReadEpisode) -> int:
    """Bytes of everything said in an episode, each text once."""
    texts = {message.model_dump_json() for _, message in episode.messages}
    texts |= {json.dumps(call.request.json_schema) for call in episode.calls}
    replies = [call.reply.text if call.reply else call.error or "" for call in episode.calls]
    return sum(len(text.encode()) for text in (*texts, *replies))


def _read(folder: RunFolder, record: Record, number: int) -> ReadEpisode:
    where = folder.transcript_path(key_of(record))
    found = ReadEpisode(record, f"transcript-{number}", str(where.relative_to(folder.path) / "transcript.md"))
    try:
        found.conversation = read(where)
    except OSError as error:
        found.problem = error.strerror or str(error)
    files = {part.image for _, message in found.messages for part in message.parts if isinstance(part, Shown)}
    found.pictures = {file: picture for file in sorted(files) if (picture := pixels(where, file)) is not None}
    return found


def _elsewhere(folder: RunFolder, key: Key) -> Elsewhere:
    path = (folder.transcript_path(key) / "transcript.md").relative_to(folder.path)
    return Elsewhere(*key, path=str(path), address=quote(path.as_posix()))


def _agent(name: str, episodes: Sequence[ReadEpisode]) -> AgentShown:
    told = _told(episodes)
    places = {message: Place(each.anchor, each.title) for message, each in told.items()}
    return AgentShown(name, list(told.values()), [shown(episode, places) for episode in episodes])


def _told(episodes: Sequence[ReadEpisode]) -> dict[Message, Told]:
    """What experts are told in more than one call, for all of an agent's episodes."""
    systems = Counter(
        (who, message)
        for episode in episodes
        for who, message in episode.messages
        if message.role == "system" and all(isinstance(part, Words) for part in message.parts)
    )
    told: dict[Message, Told] = {}
    for who, message in [said for said, count in systems.items() if count > 1]:
        number = sum(each.who == who for each in told.values()) + 1
        title = f"What the {who} is told{'' if number == 1 else f' ({number})'}"
        words = "\n\n".join(part.text for part in message.parts if isinstance(part, Words))
        told.setdefault(message, Told(f"{episodes[0].anchor}-told-{len(told) + 1}", who, title, passages(words)))
    return told
