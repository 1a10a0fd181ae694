"""The evaluation module of the paper (section 2.2): a plan in, feedback on how to improve it out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from pydantic import Field, create_model

from radplan_agents.gpt_radplan import tables
from radplan_agents.gpt_radplan.dvh_report import MOST_NAMED, report_on
from radplan_agents.gpt_radplan.facts import facts
from radplan_agents.gpt_radplan.levers import lever_of
from radplan_agents.gpt_radplan.library import ReferencePlan
from radplan_agents.gpt_radplan.memory import Memory, Step
from radplan_agents.gpt_radplan.options import Options
from radplan_agents.gpt_radplan.prompts import conversation
from radplan_agents.gpt_radplan.schema import Answer, one_of, prose, some_of
from radplan_agents.gpt_radplan.task import Task
from radplan_agents.llm import Failed, Image, Session, SettingsError, Text
from radplan_env.render.views import View

MOST_ACCEPTABLE = 3
"""Criteria that may be named as having room."""


class Shortcoming(Answer):
    """A criterion that is not met, and which way to go."""

    criterion: str
    remedy: str


class Feedback(Answer):
    """What the evaluator says of a plan: judgement, but no figures, which code has already.

    Parameters
    ----------
    acceptable : list of str
        Criteria that are good as they are, with room to give way.
    failing : list of Shortcoming
        Criteria that are not met, each with what to do about it.
    advice : str
        What to do next, and what must not get worse.
    """

    acceptable: list[str]
    failing: list[Shortcoming]
    advice: str

    def remedy_for(self, criterion: str) -> str:
        """What to do about a criterion; empty where nothing is said of it."""
        return next((item.remedy for item in self.failing if item.criterion == criterion), "")


class Evaluator:
    """Judges plans as `Options.evaluator` says.

    Parameters
    ----------
    session : Session
        The model.
    task : Task
        What is planned.
    options : Options
        Who judges.
    references : sequence of ReferencePlan
        Examples.
    """

    def __init__(self, session: Session, task: Task, options: Options, references: Sequence[ReferencePlan]) -> None:
        self._session = session
        self._task = task
        self._options = options
        self._references = references
        self.unanswered: Counter[str] = Counter()
        """How often each expert had no usable answer."""

    def evaluate(self, memory: Memory, dvh: str, instructions: str) -> Feedback | Failed | None:
        """Return feedback on the current plan; None where nobody judges.

        Parameters
        ----------
        memory : Memory
            The trajectory; its last step is the plan, with its pictures where the evaluator looks at any.
        dvh : str
            The plan's dose-volume histograms as a table.
        instructions : str
            What the user wants, in plain language.
        """
        if self._options.evaluator == "none":
            return None
        criteria = memory.last.plan["criteria"]
        examples = [reference.summary for reference in self._references]
        values: dict[str, Any] = {
            **facts(memory, memory.last, self._task, self._options),
            "instructions": instructions,
            "most_acceptable": MOST_ACCEPTABLE,
            "most_named": MOST_NAMED,
            "feedback": None,  # it is still to be given
            "goals": tables.goals_table(criteria),
            "criteria": tables.criteria_table(criteria, self._task, examples),
            "statistics": tables.statistics_table(memory.last.plan),
            "dvh": dvh,
            "references": self._references,
        }
        reports: dict[str, str | None] = {}
        pictures = self._pictures(memory)
        if self._options.evaluator == "joint":
            return self._joined(memory, reports, pictures, values)
        self._check_sight()
        if pictures:
            report = self._seen(pictures, values)
            if self._session.sees_pictures:  # else the service refused them, and the report is of nothing
                reports["vision expert"] = report
        self._check_sight()
        if self._options.uses_tables:
            reports["DVH expert"] = self._read(memory.last, values)
        return self._joined(memory, reports, (), values)

    def _check_sight(self) -> None:
        if self._options.evaluator == "vision" and not self._session.sees_pictures:
            raise SettingsError('the model sees no pictures, so evaluator="vision" has nothing to judge by')

    def _seen(self, pictures: Sequence[Text | Image], values: dict[str, Any]) -> str | None:
        """The vision expert's report; None where it has no usable answer."""
        report = self._session.say("vision expert", conversation("vision_expert", *pictures, **values))
        if isinstance(report, Failed):
            self.unanswered["vision expert"] += 1
            return None
        return report.strip()

    def _read(self, step: Step, values: dict[str, Any]) -> str | None:
        """The DVH expert's report; None where it has no usable answer."""
        criteria = step.plan["criteria"]
        form = report_on(criteria, self._task)
        report = self._session.ask("DVH expert", conversation("dvh_expert", **values), form)
        if isinstance(report, Failed):
            self.unanswered["DVH expert"] += 1
            return None
        return report.text(criteria)

    def _joined(
        self,
        memory: Memory,
        reports: dict[str, str | None],
        pictures: Sequence[Text | Image],
        values: dict[str, Any],
    ) -> Feedback | Failed:
        # Who has seen no dose statistics must find out by looking which criteria fail.
        failing = acceptable = list(self._task.free_criteria)
        if self._options.uses_tables:
            failing = [item.criterion for item in values["shortfalls"]]
            _, acceptable = tables.tight_and_roomy(memory.last.plan["criteria"], self._task)
        messages = conversation("evaluator", *pictures, **values, reports=reports, pictures=bool(pictures))
        feedback = self._session.ask("evaluator", messages, self._form(memory, failing, acceptable))
        if isinstance(feedback, Failed):
            self.unanswered["evaluator"] += 1
        else:
            memory.last.advice = feedback.advice
        return feedback

    def _form(self, memory: Memory, failing: Sequence[str], acceptable: Sequence[str]) -> type[Feedback]:
        """The form of feedback, with the names that may be used."""
        shortcoming = create_model(
            "Shortcoming",
            __base__=Shortcoming,
            criterion=(one_of(failing, fault="unknown_criterion"), ...),
            remedy=(lever_of(self._task, memory.starting_parameters), ...),
        )
        return create_model(
            "Feedback",
            __base__=Feedback,
            acceptable=(some_of(acceptable, most=MOST_ACCEPTABLE, fault="unknown_criterion"), ...),
            failing=(list[shortcoming], Field(min_length=1, max_length=len(failing))),  # type: ignore[valid-type]
            advice=(prose(170), ...),
        )

    def _pictures(self, memory: Memory) -> list[Text | Image]:
        """Of the plan every picture, explained; of the steps remembered in full and of the examples the first."""
        if not (self._options.uses_pictures and self._session.sees_pictures and memory.last.views):
            return []
        others = [(f"Example {i}", reference.views[:1]) for i, reference in enumerate(self._references, 1)]
        others += [(f"Step {s.number}", tuple(s.views[:1])) for s in memory.in_full if s is not memory.last]
        judged = f"Step {memory.last.number}, the plan to judge"
        shown = [_shown(title, view.name, view) for title, views in others for view in views]
        shown += [_shown(judged, view.caption, view) for view in memory.last.views]
        return [part for pair in shown for part in pair]


def _shown(title: str, caption: str, view: View) -> tuple[Text, Image]:
    name = f"{title}: {caption}"
    return Text(text=name), Image(png=view.png, name=name)
