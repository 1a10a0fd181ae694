"""The planner's console as an environment of TRL: ``GRPOTrainer(environment_factory=…)``.

::

    env = RadPlanEnv(cases=…, budget=4)
    trainer = GRPOTrainer(model, train_dataset=…, environment_factory=lambda: PlanningEnvironment(env.sibling()))

Siblings share the cases and their dose-influence matrices. TRL takes every public method but `reset` and `get_reward`
for a tool, with its signature and docstring; they are made of the console's tools. What one raises goes to the model.
"""

from __future__ import annotations

import inspect
import json
import types
from collections.abc import Callable
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from radplan_env.console import TOOLS, Console, Tool, ToolError
from radplan_env.env import RadPlanEnv

NO_PLAN = -1.0
"""Reward of an episode without a plan, below that of any with one."""


class PlanningEnvironment:
    """One rollout at the planner's console.

    Parameters
    ----------
    env : RadPlanEnv
        Of its own: a sibling of another.
    """

    def __init__(self, env: RadPlanEnv) -> None:
        self._env = env
        self._console: Console | None = None

    def reset(self, *, case: str | None = None, seed: int | None = None, **row: Any) -> str:
        """Begin an episode and return the task, for the prompt.

        Parameters
        ----------
        case : str, optional
            Id of the case, a column of the data set; by default one is drawn.
        seed : int, optional
            Of what is drawn.
        **row
            Other columns, which are not looked at.
        """
        self._env.reset(seed=seed, options=None if case is None else {"case": case})
        self._console = Console(self._env)
        return self._call("task", {})

    def get_reward(self) -> float:
        """Return the reward of the episode, for group-relative training: dense, and clipped nowhere.

        It is the best plan's points / 100, without the stop at 0 that scores may have; one that the scorecard refuses
        has 1 taken off. Terms of scorecard v1 are strictly monotone, so that different plans do not tie.
        """
        plans = [] if self._console is None else self._console.desk.plans
        judged = [solved.plan.evaluation for solved in plans]
        return max(
            (sum(each.terms.values()) / 100 - (each.screened is False) for each in judged),
            default=NO_PLAN,
        )

    def _call(self, name: str, arguments: dict[str, Any]) -> str:
        if self._console is None:
            raise ToolError("episode_over", "no episode has begun")
        return json.dumps(self._console.call(name, arguments).data, ensure_ascii=False)


def _method(tool: Tool) -> Callable[..., str]:
    """Return a tool as a method with a plain signature and a docstring as TRL reads it."""

    def method(self: PlanningEnvironment, **arguments: Any) -> str:
        return self._call(tool.name, {name: value for name, value in arguments.items() if value is not None})

    hints = get_type_hints(tool.function, include_extras=True)
    given = list(inspect.signature(tool.function).parameters.values())[1:]
    types_of = {each.name: _plain_type(hints[each.name]) for each in given}
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [inspect.Parameter(p.name, keyword, default=p.default, annotation=types_of[p.name]) for p in given]
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    method.__signature__ = inspect.Signature([own, *parameters], return_annotation=str)  # type: ignore[attr-defined]
    method.__annotations__ = {**types_of, "return": str}
    method.__name__ = tool.name
    method.__qualname__ = f"{PlanningEnvironment.__name__}.{tool.name}"
    lines = [f"    {each.name}: {_description(hints[each.name])}" for each in given]
    arguments = "\n\nArgs:\n" + "\n".join(lines) if lines else ""
    method.__doc__ = f"{tool.description}{arguments}\n\nReturns:\n    The answer, as JSON."
    return method


def _description(hint: Any) -> str:
    found = [each for each in get_args(hint) if isinstance(each, FieldInfo)]
    return next((each.description for each in found if each.description), "")


def _plain_type(hint: Any) -> Any:
    """Return a type without descriptions, and with a dict for what is a form of ours."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _plain_type(arguments[0])
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return dict
    if origin in (Union, types.UnionType):
        return Union[tuple(map(_plain_type, arguments))]  # noqa: UP007, made at run time
    if origin in (list, dict):
        return origin[tuple(map(_plain_type, arguments))]
    return hint


for _tool in TOOLS.values():
    if _tool.name not in ("task", "slice_image"):  # the prompt has the task; answers are text
        setattr(PlanningEnvironment, _tool.name, _method(_tool))
