"""An episode at the planner's console: calls in, answers out, every one of them kept."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from typing import Any

from radplan_env.env import RadPlanEnv
from radplan_env.parameters import PlanningParameters

from .arguments import Change, Faults, ToolError, checked, well_formed
from .desk import Desk, Solved
from .tools import TOOLS, Answer, Tool

Turn = Generator[PlanningParameters, None, Answer]
"""A call under way: it yields parameters for `RadPlanEnv.step` and goes on once that step is done."""


class Console:
    """The planner's console over an episode of an environment.

    `call` carries a call out, its solves included. Who steps the environment elsewhere, as an agent does, takes
    `turn` instead and steps with what it yields.

    Parameters
    ----------
    env : RadPlanEnv
        Reset; every step of the episode is the console's.
    """

    def __init__(self, env: RadPlanEnv) -> None:
        self._env = env
        self.desk = Desk(env)
        self.calls: list[dict[str, Any]] = []
        """Every call: tool, arguments, plans there were before it, and the fault of one that was refused."""

    @property
    def finished(self) -> bool:
        """Whether the planner has finished."""
        return self.desk.finished

    def call(self, name: str, arguments: Mapping[str, Any]) -> Answer:
        """Carry out a call and return its answer.

        Parameters
        ----------
        name : str
            One of `TOOLS`.
        arguments : Mapping
            By name, as the tool's schema says.

        Raises
        ------
        ToolError
            If it cannot be carried out; it has cost no solve.
        """
        turn = self.turn(name, arguments)
        while True:
            try:
                parameters = next(turn)
            except StopIteration as end:
                answer: Answer = end.value
                return answer
            self._env.step(parameters)

    def turn(self, name: str, arguments: Mapping[str, Any]) -> Turn:
        """Return a call as a generator of parameters to step with, whose value is the answer; errors as `call`'s."""
        entry: dict[str, Any] = {"tool": name, "arguments": plain(arguments), "plans_before": len(self.desk.plans)}
        self.calls.append(entry)
        try:
            answer: Answer = yield from self._carried_out(name, arguments)
        except ToolError as error:
            entry["refused"] = error.fault
            raise
        return answer

    def record(self) -> dict[str, Any]:
        """Return what was done at the console, as plain JSON data: every call, and the faults by count."""
        refused = Counter(call["refused"] for call in self.calls if "refused" in call)
        chosen = self.desk.chosen
        return {
            "console_calls": list(self.calls),
            "console_faults": dict(sorted(refused.items())),
            "plan_chosen": None if chosen is None else chosen.number,
        }

    def _carried_out(self, name: str, arguments: Mapping[str, Any]) -> Turn:
        if self.desk.finished:
            raise ToolError("episode_over", "the episode is over: you have finished")
        if name not in TOOLS:
            raise ToolError("unknown_tool", f"there is no tool {name!r}; there are: {', '.join(TOOLS)}")
        tool = TOOLS[name]
        result = tool.function(self.desk, **self._checked(tool, arguments))
        if isinstance(result, Answer):
            return result
        parameters = next(result)
        while True:
            yield parameters
            try:
                parameters = result.send(self._take_up)
            except StopIteration as end:
                answer: Answer = end.value
                return answer

    def _checked(self, tool: Tool, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of a call; of a plan whose arguments are amiss, their content is looked at as well."""
        faults = Faults()
        with faults.kept():
            return checked(tool.arguments, arguments)
        if tool.name == "plan":
            with faults.kept():
                self.desk.parameters_for(well_formed(Change, arguments))
        raise faults.one()

    def _take_up(self, base: Solved | None, clamped: list[str]) -> Solved:
        plan = self._env.plan
        assert plan is not None
        return self.desk.add(plan, base, clamped)


def plain(value: Any) -> Any:
    """Return arguments as the record keeps them: JSON, cut short where somebody sends a book."""
    text = json.dumps(value, default=str)
    return json.loads(text) if len(text) <= _LONGEST else text[:_LONGEST] + "…"


_LONGEST = 4000


def tool_descriptions() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield name, description and JSON Schema of every tool."""
    for tool in TOOLS.values():
        yield tool.name, tool.description, tool.schema
