"""The evaluation module of the paper (section 2.2): a plan in, feedback on how to improve it out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from radplan_agents.gpt_radplan import pictures
from radplan_agents.gpt_radplan.library import ReferencePlan
from radplan_agents.gpt_radplan.memory import Memory
from radplan_agents.gpt_radplan.options import Options
from radplan_agents.gpt_radplan.pictures import Shown
from radplan_agents.gpt_radplan.prompts import conversation
from radplan_agents.gpt_radplan.schema import Answer
from radplan_agents.gpt_radplan.task import Task
from radplan_agents.gpt_radplan.told import told
from radplan_agents.llm import Failed, Message, Session, SettingsError, each_picture_once
from radplan_env.console.desk import Desk


class Evaluator:
    """Judges plans as `Options.evaluator` says: f = g(p; I, δ), in prose.

    The vision expert looks at the pictures of the plan, its DVHs among them; the DVH expert reasons on the tables; the
    evaluator has both reports, the pictures and the history.

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
    desk : Desk
        The plans of the episode.
    """

    prompts = ""
    """Folder of the templates."""

    def __init__(
        self, session: Session, task: Task, options: Options, references: Sequence[ReferencePlan], desk: Desk
    ) -> None:
        self._session = session
        self._task = task
        self._options = options
        self._references = references
        self._desk = desk
        self.unanswered: Counter[str] = Counter()
        """How often each expert had no usable answer."""

    def evaluate(self, memory: Memory, instructions: str) -> Answer | str | Failed | None:
        """Return feedback on the current plan; None where nobody judges.

        Parameters
        ----------
        memory : Memory
            The trajectory; its last step is the plan, with its pictures where anybody looks at them.
        instructions : str
            What the user wants, in plain language.
        """
        if self._options.evaluator == "none":
            return None
        values = {
            **self._told(memory),
            "task": self._task,
            "options": self._options,
            "memory": memory,
            "references": self._references,
            "instructions": instructions,
        }
        reports: dict[str, str | None] = {}
        if self._options.evaluator != "joint":
            self._check_sight()
            if self._options.uses_pictures and self._session.sees_pictures and memory.last.views:
                report = self._seen(memory, values)
                if self._session.sees_pictures:  # else the service refused them, and the report is of nothing
                    reports["vision expert"] = report
            self._check_sight()
            if self._options.uses_tables:
                reports["DVH expert"] = self._counted("DVH expert", self._read(memory, values))
        feedback = self._joined(memory, {**values, "reports": reports})
        self._counted("evaluator", feedback)
        return feedback

    def _told(self, memory: Memory) -> dict[str, Any]:
        """What the templates say of plan and history."""
        return told(self._desk, memory, self._task)

    def _read(self, memory: Memory, values: dict[str, Any]) -> str | Failed:
        """The DVH expert's report."""
        return self._session.say("DVH expert", self._conversation("dvh_expert", **values))

    def _joined(self, memory: Memory, values: dict[str, Any]) -> Answer | str | Failed:
        """The feedback, with the experts' reports among the values."""
        shown = pictures.of_steps(memory.before_in_full) + pictures.of_plan(memory, judged=True)
        if self._options.evaluator == "joint":
            shown = pictures.of_examples(self._references) + shown
        shown = self._visible(shown)
        messages = self._conversation("evaluator", *shown, pictures=bool(shown), **values)
        feedback = self._session.say("evaluator", messages)
        if isinstance(feedback, str):
            memory.last.feedback = feedback
        return feedback

    def _visible(self, shown: Shown) -> Shown:
        """The pictures that the evaluator is shown: none where nobody looks at any."""
        sees = self._options.uses_pictures and self._session.sees_pictures
        return each_picture_once(shown) if sees else ()

    def _conversation(self, expert: str, *shown: Any, **values: Any) -> list[Message]:
        return conversation(f"{self.prompts}{expert}", *shown, **values)

    def _check_sight(self) -> None:
        if self._options.evaluator == "vision" and not self._session.sees_pictures:
            raise SettingsError('the model sees no pictures, so evaluator="vision" has nothing to judge by')

    def _seen(self, memory: Memory, values: dict[str, Any]) -> str | None:
        """The vision expert's report; None where it has no usable answer."""
        shown = pictures.of_examples(self._references) + pictures.of_steps(memory.before_in_full)
        shown = each_picture_once(shown + pictures.of_plan(memory, judged=True))
        return self._counted(
            "vision expert",
            self._session.say("vision expert", self._conversation("vision_expert", *shown, **values)),
        )

    def _counted(self, expert: str, said: Answer | str | Failed) -> str | None:
        """What an expert said, if it is a text; an expert without a usable answer is counted."""
        if isinstance(said, Failed):
            self.unanswered[expert] += 1
        return said.strip() if isinstance(said, str) else None
