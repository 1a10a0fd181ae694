"""A conversation in its questions, and these by the plan that they are about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from radplan_agents.llm.extraction import FaultyReplyError, extract_json
from radplan_experiments.reporting.transcripts.entries import Call, Note


@dataclass
class Attempt:
    """A call, and what was wrong with its reply; nothing if it was of use."""

    call: Call
    fault: str = ""


@dataclass
class Question:
    """What an expert was asked, with the corrections that were asked for.

    Parameters
    ----------
    attempts : list of Attempt
        At least one.
    step : int, optional
        Plan of the episode that it is about, from 1; None where the transcript does not say.
    """

    attempts: list[Attempt]
    step: int | None = None

    @property
    def name(self) -> str:
        """Who asked."""
        return self.attempts[0].call.name

    @property
    def answer(self) -> str | None:
        """The reply that was of use; None if there was none."""
        last = self.attempts[-1]
        return None if last.fault or last.call.reply is None else last.call.reply.said

    @property
    def given(self) -> dict[str, Any] | None:
        """The object that the answer gives; None where it is prose."""
        try:
            return extract_json(self.answer or "")
        except FaultyReplyError:
            return None

    def is_corrected_by(self, call: Call) -> bool:
        """Whether a call asks the same again, with the faulty reply and what is wrong with it."""
        last = self.attempts[-1]
        before, now = last.call.request.messages, call.request.messages
        return bool(last.fault) and call.name == self.name and len(now) > len(before) and now[: len(before)] == before


@dataclass
class Turn:
    """The questions about one plan of the episode, whose number is None where that is not known."""

    plan: int | None
    questions: list[Question] = field(default_factory=list)


def questions(entries: Iterable[Call | Note]) -> list[Question]:
    """Return a conversation's questions, in order."""
    found: list[Question] = []
    step: int | None = None
    for entry in entries:
        if isinstance(entry, Call):
            if found and found[-1].is_corrected_by(entry):
                found[-1].attempts.append(Attempt(entry))
            else:
                found.append(Question([Attempt(entry)], step))
        elif entry.step is not None:
            step = entry.step
        elif found and found[-1].step == step:
            found[-1].attempts[-1].fault = entry.note
    return found


def turns(asked: Sequence[Question], plans: int) -> list[Turn]:
    """Return questions by the plan that they are about.

    Parameters
    ----------
    asked : sequence of Question
    plans : int
        Plans that the episode made: a transcript that names others is not believed.
    """
    by_plan = groupby(asked, key=lambda question: question.step)
    return [Turn(plan if plan in range(1, plans + 1) else None, list(group)) for plan, group in by_plan]
