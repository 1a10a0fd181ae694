"""The evaluator by forms: criteria and remedies are chosen from lists, and prose is kept short."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field, create_model

from radplan_agents.gpt_radplan import evaluator, pictures, tables
from radplan_agents.gpt_radplan.memory import Memory
from radplan_agents.gpt_radplan.schema import Answer, one_of, prose, some_of
from radplan_agents.gpt_radplan.small.dvh_report import MOST_NAMED, report_on
from radplan_agents.gpt_radplan.small.facts import facts
from radplan_agents.gpt_radplan.small.levers import lever_of
from radplan_agents.llm import Failed
from radplan_env.render.text import dvh_text

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

    def __str__(self) -> str:
        failing = [f"- {item.criterion}: {item.remedy}" for item in self.failing]
        acceptable = ", ".join(self.acceptable) or "nothing"
        return "\n".join([f"Acceptable: {acceptable}", "Failing:", *failing, f"Advice: {self.advice}"])


class SmallEvaluator(evaluator.Evaluator):
    """Judges plans by forms."""

    prompts = "small/"

    def _told(self, memory: Memory) -> dict[str, Any]:
        plan, curves = memory.last.plan, self._desk.plans[memory.last.number - 1].plan.evaluation.dvh
        examples = [reference.summary for reference in self._references]
        return {
            **facts(memory, memory.last, self._task),
            "most_acceptable": MOST_ACCEPTABLE,
            "most_named": MOST_NAMED,
            "feedback": None,  # it is still to be given
            "goals": tables.goals_table(plan["criteria"]),
            "criteria": tables.criteria_table(plan["criteria"], self._task, examples),
            "statistics": tables.statistics_table(plan),
            "dvh": dvh_text(curves, prescription_gy=self._task.prescription_gy),
        }

    def _read(self, memory: Memory, values: dict[str, Any]) -> str | Failed:
        criteria = memory.last.plan["criteria"]
        messages = self._conversation("dvh_expert", **values)
        report = self._session.ask("DVH expert", messages, report_on(criteria, self._task))
        return report if isinstance(report, Failed) else report.text(criteria)

    def _joined(self, memory: Memory, values: dict[str, Any]) -> Answer | str | Failed:
        # Who has seen no dose statistics must find out by looking which criteria fail.
        failing = acceptable = list(self._task.free_criteria)
        if self._options.uses_tables:
            failing = [item.criterion for item in values["shortfalls"]]
            _, acceptable = tables.tight_and_roomy(memory.last.plan["criteria"], self._task)
        shown: pictures.Shown = ()
        if self._options.evaluator == "joint":
            shown = pictures.of_examples(self._references) + pictures.of_steps(memory.before_in_full)
            shown = self._visible(shown + pictures.of_plan(memory, judged=True))
        messages = self._conversation("evaluator", *shown, pictures=bool(shown), **values)
        feedback = self._session.ask("evaluator", messages, self._form(memory, failing, acceptable))
        if isinstance(feedback, Feedback):
            memory.last.feedback = feedback.advice
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
