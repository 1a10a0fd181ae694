"""An episode as the report shows it: every question with its answer in short, and the calls behind it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from radplan_agents.gpt_radplan.small.evaluator import Feedback
from radplan_env.planning import Summary
from radplan_experiments.recording.records import Record
from radplan_experiments.reporting.transcripts import plans
from radplan_experiments.reporting.transcripts.entries import Call, Conversation, Message, Shown
from radplan_experiments.reporting.transcripts.plans import AnyProposal, Step
from radplan_experiments.reporting.transcripts.questions import Question, Turn, questions, turns
from radplan_experiments.reporting.transcripts.shown import Passage, Pixels, Place, ShownMessage, Writer, passages
from radplan_experiments.wording import counted, listed


@dataclass
class ReadEpisode:
    """An episode whose transcript has been read."""

    record: Record
    anchor: str
    path: str
    conversation: Conversation = field(default_factory=lambda: Conversation((), (), 0))
    problem: str = ""
    pictures: dict[str, Pixels] = field(default_factory=dict)
    """By file, of those that are there."""

    @property
    def calls(self) -> list[Call]:
        return [entry for entry in self.conversation.entries if isinstance(entry, Call)]

    @property
    def messages(self) -> Iterator[tuple[str, Message]]:
        """Every message with the name of who was told it."""
        return ((call.name, message) for call in self.calls for message in call.request.messages)


@dataclass(frozen=True)
class ShownCall:
    """A call with everything that it saw and said."""

    anchor: str
    number: int
    messages: list[ShownMessage]
    schema: str | Place | None
    reply: tuple[Passage, ...]
    facts: str
    error: str
    fault: str


@dataclass(frozen=True)
class ShownQuestion:
    """A question: at first sight who asked, what came of it and the answer in short; then its calls."""

    name: str
    came_to: str
    is_answered: bool
    facts: str
    faults: list[str]
    in_short: str
    feedback: Feedback | None
    proposal: AnyProposal | None
    calls: list[ShownCall]


@dataclass(frozen=True)
class ShownTurn:
    """What was asked about one plan; `step` is None where it is not known which."""

    step: Step | None
    questions: list[ShownQuestion]


@dataclass(frozen=True)
class Episode:
    """An episode shown whole, and what of its transcript cannot be shown."""

    anchor: str
    record: Record
    path: str
    calls: int
    turns: list[ShownTurn]
    problems: list[str]


def shown(episode: ReadEpisode, told: Mapping[Message, Place]) -> Episode:
    """Return an episode as the report shows it.

    Parameters
    ----------
    episode : ReadEpisode
    told : Mapping[Message, Place]
        Messages that stand before the episodes.
    """
    writer = Writer(episode.pictures, told)
    steps = episode.record["steps"]
    divided = turns(questions(episode.conversation.entries), len(steps))
    return Episode(
        anchor=episode.anchor,
        record=episode.record,
        path=episode.path,
        calls=len(episode.calls),
        turns=[_turn(turn, steps, writer, episode.anchor) for turn in divided],
        problems=_problems(episode),
    )


def _problems(episode: ReadEpisode) -> list[str]:
    """What of a transcript cannot be shown."""
    if episode.problem:
        return [f"Its transcript cannot be read: {episode.problem}."]
    said = []
    if lines := [str(number) for number in episode.conversation.unreadable]:
        which = f"line {lines[0]}" if len(lines) == 1 else f"lines {listed(lines)}"
        said.append(f"Left out of its transcript, cut short or damaged: {which}.")
    if episode.conversation.earlier:
        cut = counted(episode.conversation.earlier, "conversation")
        said.append(f"It was interrupted and played again: of {cut} before this one only the transcript tells.")
    recorded = (episode.record.get("agent_record") or {}).get("calls")
    replies = sum(call.reply is not None for call in episode.calls)
    if isinstance(recorded, int) and recorded != replies:
        said.append(f"Its transcript holds {replies} of {counted(recorded, 'answered call')} that its record counts.")
    return said


def _turn(turn: Turn, steps: Sequence[Summary], writer: Writer, anchor: str) -> ShownTurn:
    return ShownTurn(plans.step(turn, steps), [_question(question, writer, anchor) for question in turn.questions])


def _question(question: Question, writer: Writer, anchor: str) -> ShownQuestion:
    feedback, proposal = plans.feedback(question), plans.proposed(question)
    return ShownQuestion(
        name=question.name,
        came_to=_came_to(question),
        is_answered=question.answer is not None,
        facts=_facts([attempt.call for attempt in question.attempts]),
        faults=[attempt.fault for attempt in question.attempts if attempt.fault],
        in_short="" if feedback or proposal else plans.in_short(question),
        feedback=feedback,
        proposal=proposal,
        calls=[_call(attempt.call, attempt.fault, writer, anchor) for attempt in question.attempts],
    )


def _came_to(question: Question) -> str:
    asked = len(question.attempts)
    if question.attempts[-1].call.error is not None:
        return "no reply"
    if question.answer is None:
        return f"no usable answer, asked {counted(asked, 'time')}"
    return "answered" if asked == 1 else f"answered when asked {counted(asked, 'time')}"


def _call(call: Call, fault: str, writer: Writer, anchor: str) -> ShownCall:
    here = Place(f"{anchor}-call-{call.call}", f"call {call.call}")
    said = "" if call.reply is None else call.reply.said
    return ShownCall(
        anchor=here.anchor,
        number=call.call,
        messages=[writer.message(message, here) for message in call.request.messages],
        schema=writer.schema(call.request.json_schema, here),
        reply=passages(said),
        facts=_facts([call]),
        error=call.error or "",
        fault=fault,
    )


def _facts(calls: Sequence[Call]) -> str:
    """Tokens and pictures of calls, and what happened on the way, in one line."""
    replies = [call.reply for call in calls if call.reply is not None]
    facts = []
    for verb, counts in (
        ("read", [reply.usage.prompt_tokens for reply in replies]),
        ("written", [reply.usage.completion_tokens for reply in replies]),
    ):
        if known := [count for count in counts if count is not None]:
            facts.append(f"{sum(known):,} tokens {verb}")
    parts = [part for call in calls for message in call.request.messages for part in message.parts]
    if pictures := {part.image for part in parts if isinstance(part, Shown)}:
        facts.append(counted(len(pictures), "picture"))
    facts += list(dict.fromkeys(name for reply in replies for name in reply.adaptations))
    facts += list(dict.fromkeys(f"overcame {fault}" for reply in replies for fault in reply.faults))
    facts += ["cut off at the greatest length"] if any(reply.finish_reason == "length" for reply in replies) else []
    return ", ".join(facts)
