"""A language model plans by calling the console's tools; it decides what to look at and what to try."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Generator
from importlib import resources
from typing import Any

from radplan_agents.agent import Info, Observation
from radplan_agents.language_model_agent import LanguageModelAgent, optimiser
from radplan_agents.llm import Failed, Image, ToolCall, ToolSpec, assistant, system, tool_result, user
from radplan_agents.privacy import is_own_patient
from radplan_agents.tool_planner.conversation import Conversation
from radplan_env.console import TOOLS, Answer, Console, ToolError, tool_descriptions
from radplan_env.parameters import PlanningParameters

LOOKS = 10
"""Calls without a solve between two plans, refused ones included; further ones are refused."""

STUBBORN = 5
"""So many more, all of them refused, and the conversation ends."""

REPEATED = 3
"""So often one and the same call is refused, and the conversation ends: the model goes round."""

TOGETHER = 8
"""Calls of one reply that are carried out."""

MOST_FAILED = 2
"""Questions without a usable reply, each after two corrections, that end the conversation."""

NO_TOOL = (
    'No tool was called. Go on with {"tool": "plan", "arguments": {}}, which plans as the last plan was, with what you '
    'would change among the arguments, or end with {"tool": "finish", "arguments": {}}.'
)

Work = Generator[PlanningParameters, None, None]


class ToolPlannerAgent(LanguageModelAgent):
    """A language model at the planner's console: one conversation, native tool calls.

    Services without tool calls are told of the tools in words and answer with JSON. Looking is bounded: after `LOOKS`
    calls without a solve only planning and finishing are left. Faults are counted in the record, and none loses the
    episode: where the conversation ends before the first plan, the template is planned, and the record says so.
    """

    def reset(self, observation: Observation, info: Info) -> None:
        """Begin an episode."""
        self._session.shows_own_patient = is_own_patient(self._env.system.case)
        self._console = Console(self._env)
        task = json.dumps(self._console.call("task", {}).data, ensure_ascii=False)
        wish = f"\n\nThe physician asks: {self.instructions}" if self.instructions else ""
        self._conversation = Conversation(system(self.manual()), user(f"Plan this patient:\n{task}{wish}"))
        self._counts: Counter[str] = Counter()
        self._refused: Counter[tuple[str, str]] = Counter()
        self._since_plan = 0
        self._stopped = ""
        self._work = self._episode()

    def act(self, observation: Observation, info: Info) -> PlanningParameters | None:
        """Return what the model plans next, after it has looked at what it likes; None when it has finished."""
        self._observation = observation
        return next(self._work, None)

    def manual(self) -> str:
        """Return what the model is told before anything else."""
        return manual(LOOKS)

    def advice(self) -> dict[str, Any]:
        """Return what an answer to `plan` and `what_if` tells beside what the console tells; nothing."""
        return {}

    def record(self) -> dict[str, Any]:
        """Return what the last episode cost and met with, as plain JSON data.

        What `Session.record` and `Console.record` tell, "conversation" (counts of looks, parallel calls and the like),
        and "stopped": why the conversation ended, null where the budget ended it.
        """
        return {
            **self._session.record(),
            **self._console.record(),
            "conversation": {name: count for name, count in sorted(self._counts.items()) if count},
            "stopped": "finished" if self._console.finished else self._stopped or None,
        }

    def _episode(self) -> Work:
        yield from self._talk()
        if not self._console.desk.plans:
            self._counts["template_planned_instead"] += 1
            yield self._console.desk.start

    def _talk(self) -> Work:
        """Ask and carry out until the model finishes, or cannot go on."""
        while not self._console.finished and not self._stopped:
            messages = self._conversation.messages(len(self._console.desk.plans))
            called = self._session.call("tool planner", messages, _specs())
            if isinstance(called, Failed):
                self._counts["failed_questions"] += 1
                if self._counts["failed_questions"] >= MOST_FAILED:
                    self._stopped = f"no usable reply: {called.faults[-1].name}"
                self._conversation.add(user(NO_TOOL))
                continue
            self._counts["parallel_calls"] += len(called.calls) > 1
            self._counts["calls_with_text"] += bool(called.text)
            calls = _told_apart(called.calls)
            self._conversation.add(assistant(called.text, calls))
            pictures: list[Image] = []
            for number, call in enumerate(calls):
                pictures += yield from self._carried_out(call, too_many=number >= TOGETHER)
            if pictures:
                self._conversation.add_pictures(pictures, len(self._console.desk.plans))

    def _carried_out(self, call: ToolCall, *, too_many: bool) -> Generator[PlanningParameters, None, list[Image]]:
        """Carry out a call, write its answer into the conversation, and return the pictures it shows."""
        solves = call.name in TOOLS and TOOLS[call.name].solves
        before = len(self._console.desk.plans)
        try:
            if too_many:
                raise ToolError("too_many_calls", f"more than {TOGETHER} calls in one reply are not carried out")
            self._check_looking(call.name, solves=solves)
            answer: Answer = yield from self._console.turn(call.name, _arguments(call))
        except ToolError as error:
            self._counts[error.fault] += 1
            self._since_plan += 1
            self._conversation.add(tool_result(call, f"Not done: {error}"), before)
            self._check_repetition(call, error)
            return []
        after = len(self._console.desk.plans)
        self._since_plan = 0 if after > before else self._since_plan + 1
        sees = self._session.sees_pictures
        beside = self.advice() if solves else {"looks_left": max(LOOKS - self._since_plan, 0)}
        said = {**answer.data, **beside}
        if answer.pictures and not sees:
            said["picture"] = "not shown, as this model is shown no pictures"
        text = json.dumps(said, ensure_ascii=False)
        if solves:
            self._conversation.add(tool_result(call, text), after)
        else:
            self._counts["looks"] += 1
            self._conversation.add_look(call, text, after)
        return [Image(png=view.png, name=view.caption) for view in answer.pictures] if sees else []

    def _check_looking(self, name: str, *, solves: bool) -> None:
        """Refuse to look on and on; whoever goes on all the same ends the conversation.

        Raises
        ------
        ToolError
            "endless_looking".
        """
        if self._since_plan >= LOOKS + STUBBORN:
            self._stopped = "endless looking"
        if self._since_plan >= LOOKS and not solves and name != "finish":
            raise ToolError("endless_looking", f"{LOOKS} calls since the last plan are the most: plan, or finish")

    def _check_repetition(self, call: ToolCall, error: ToolError) -> None:
        """End the conversation of a model that makes one refused call again and again."""
        if error.fault != "endless_looking":  # which has an end of its own
            self._refused[call.name, call.arguments] += 1
            if self._refused[call.name, call.arguments] >= REPEATED:
                self._stopped = "one refused call again and again"


def manual(looks: int | None = None) -> str:
    """Return what a planner at the console should know.

    Parameters
    ----------
    looks : int, optional
        How many calls without a solve there may be between two plans; any number by default.
    """
    text = resources.files(__package__).joinpath("system.md").read_text(encoding="utf-8").strip()
    bound = "." if looks is None else f" but bounded: between two plans at most {looks} calls, refused ones included."
    return text.format(bound=bound, optimiser=optimiser())


def _specs() -> tuple[ToolSpec, ...]:
    return tuple(
        ToolSpec(name=name, description=description, schema_of_arguments=schema)
        for name, description, schema in tool_descriptions()
    )


def _told_apart(calls: tuple[ToolCall, ...]) -> tuple[ToolCall, ...]:
    """Calls with ids of their own, where a service gives several the same."""
    ids = [call.id for call in calls]
    if len(set(ids)) == len(ids):
        return calls
    return tuple(call.model_copy(update={"id": f"{call.id}_{number}"}) for number, call in enumerate(calls, 1))


def _arguments(call: ToolCall) -> dict[str, Any]:
    """The arguments of a call.

    Raises
    ------
    ToolError
        "malformed_arguments" where they are no JSON object.
    """
    try:
        found = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError) as error:
        raise ToolError("malformed_arguments", f"the arguments are no JSON: {error}") from None
    if not isinstance(found, dict):
        raise ToolError("malformed_arguments", "the arguments are to be one JSON object")
    return found
