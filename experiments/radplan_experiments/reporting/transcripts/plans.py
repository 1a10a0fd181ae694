"""What was said of a plan and what came of it, in a few lines: from records, and from answers of known form."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from radplan_agents.criteria import failing_names
from radplan_agents.gpt_radplan import planner
from radplan_agents.gpt_radplan.effects import Outcome, outcomes
from radplan_agents.gpt_radplan.small.evaluator import Feedback
from radplan_agents.gpt_radplan.small.levers import Lever
from radplan_agents.gpt_radplan.small.planner import Change, Proposal
from radplan_agents.plan_changes import moved_line, movements, plan_changes
from radplan_env.planning import Summary
from radplan_experiments.reporting.transcripts.questions import Question, Turn

M = TypeVar("M", bound=BaseModel)

AnyProposal = Proposal | planner.Proposal
"""By the forms of ``gpt-radplan:small``, or as ``gpt-radplan`` itself proposes."""

SHORT = 300
"""Characters of an answer that are shown at first sight, where its form is not known."""


@dataclass(frozen=True)
class Step:
    """A plan that was looked at, and the one made of it.

    Parameters
    ----------
    number : int
        Of the plan looked at, from 1.
    score, next_score : float
        Of the plan and of the one after it; None where none was made.
    failing : list of str
        Criteria that the plan fails.
    base : int
        Number of the plan that the changes begin from.
    changed : list of (str, str)
        What differs between the next plan's parameters and those, and the planner's reason, empty where it gave none.
    effect : str
        Criteria that got better and worse by it; empty where no plan was made.
    outcomes : list of Outcome
        What the planner predicted and what came of it.
    """

    number: int
    score: float
    next_score: float | None
    failing: list[str]
    base: int
    changed: list[tuple[str, str]]
    effect: str
    outcomes: list[Outcome]


def step(turn: Turn, plans: Sequence[Summary]) -> Step | None:
    """Return what came of a plan; None where it is not known which plan was looked at."""
    if turn.plan is None:
        return None
    number, plan = turn.plan, plans[turn.plan - 1]
    after = plans[number] if number < len(plans) else None
    proposal = next((found for question in turn.questions if (found := proposed(question)) is not None), None)
    base = _base(proposal, plans[:number])
    return Step(
        number=number,
        score=plan["score"],
        next_score=None if after is None else after["score"],
        failing=failing_names(plan),
        base=base,
        changed=[] if after is None else _changed(plans[base - 1], after, proposal),
        effect="" if after is None else moved_line(plans[base - 1], after),
        outcomes=[] if after is None else _outcomes(proposal, plans[base - 1], after),
    )


def feedback(question: Question) -> Feedback | None:
    """The evaluator's feedback, where the question's answer is such."""
    return _read(Feedback, question)


def proposed(question: Question) -> AnyProposal | None:
    """The planner's proposal, where the question's answer is such."""
    return _read(Proposal, question) or _read(planner.Proposal, question)


def in_short(question: Question) -> str:
    """An answer in one line, whatever its form; empty where none was of use."""
    given = question.given
    text = (question.answer or "") if given is None else "; ".join(f"{key}: {_plain(given[key])}" for key in given)
    line = " ".join(text.split())
    return line if len(line) <= SHORT else line[:SHORT].rstrip() + " …"


class _Approves:
    """Stands where an answer was checked before it was used: it need not be checked once more."""

    def check(self, proposal: AnyProposal) -> None:
        pass


def _read(form: type[M], question: Question) -> M | None:
    given = question.given
    try:
        return None if given is None else form.model_validate(given, context={"checks": _Approves()})
    except ValidationError:
        return None


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_plain(item) for item in value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _base(proposal: AnyProposal | None, plans: Sequence[Summary]) -> int:
    """Number of the plan that changes begin from: by default the last."""
    match proposal:
        case planner.Proposal(action="plan", base=base) if 1 <= base <= len(plans):
            return base
        case Proposal(start_from="best"):
            return max(range(1, len(plans) + 1), key=lambda number: float(plans[number - 1]["score"]))
    return len(plans)


def _changed(before: Summary, after: Summary, proposal: AnyProposal | None) -> list[tuple[str, str]]:
    wanted = proposal.changes if isinstance(proposal, Proposal) else []
    lines = plan_changes(before, after)
    return [(line, next((change.reason for change in wanted if _is_of(change, line)), "")) for line in lines]


def _is_of(change: Change, line: str) -> bool:
    """Whether a line such as "Rectum weight 5 → 10" is what a change led to."""
    lever = Lever.spoken(change.lever)
    return lever is not None and line.startswith(f"{lever.structure} {lever.parameter.replace('_', ' ')} ")


def _outcomes(proposal: AnyProposal | None, before: Summary, after: Summary) -> list[Outcome]:
    """What came of predictions, but for criteria that the plans were judged by then and are not now."""
    if not isinstance(proposal, Proposal):
        return []
    known = movements(before, after)
    return outcomes([each for each in proposal.predictions if each.criterion in known], before, after)
