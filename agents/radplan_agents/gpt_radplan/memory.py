"""The trajectory of an episode, and what of it is worth remembering (the paper's memory module, section 2.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from radplan_agents.criteria import failing_names
from radplan_agents.gpt_radplan.effects import Outcome
from radplan_agents.plan_changes import Parameters, effect_line, plan_changes
from radplan_env.planning import Summary
from radplan_env.render.views import View


@dataclass(eq=False)
class Step:
    """One plan of the trajectory.

    Parameters
    ----------
    number : int
        Counted from 1.
    plan : Summary
        The plan.
    base : Step, optional
        The plan that the change began from; None for the first.
    outcomes : sequence of Outcome
        What the planner predicted, and what came of it.
    failure : str
        Why the planner had no usable answer, so that the parameters stayed; else empty.
    clamped : sequence of str
        What the planner asked for and could not be done.
    feedback : str
        What the evaluator said on seeing this plan.
    views : sequence of View
        Its pictures, where anybody looks at any.
    """

    number: int
    plan: Summary
    base: Step | None = None
    outcomes: Sequence[Outcome] = ()
    failure: str = ""
    clamped: Sequence[str] = ()
    feedback: str = ""
    views: Sequence[View] = field(default=(), repr=False)

    @property
    def score(self) -> float:
        """The plan's score."""
        return float(self.plan["score"])

    @property
    def parameters(self) -> Parameters:
        """The plan's parameters."""
        parameters: Parameters = self.plan["parameters"]
        return parameters

    @property
    def asked(self) -> tuple[Parameters, list[Any]]:
        """What the plan was made with: parameters and limits."""
        return self.parameters, self.plan["limits"]

    @property
    def failing(self) -> list[str]:
        """Names of the criteria it fails."""
        return failing_names(self.plan)

    @property
    def changes(self) -> list[str]:
        """What was changed from the plan it began from."""
        return [] if self.base is None else plan_changes(self.base.plan, self.plan)

    @property
    def effect(self) -> str:
        """What the change did."""
        return "" if self.base is None else effect_line(self.base.plan, self.plan)


class Memory:
    """The steps of an episode.

    Parameters
    ----------
    steps : int
        How many of the last are remembered in full (the paper's L); 0 remembers nothing but the current plan.
    """

    def __init__(self, steps: int) -> None:
        self._in_full = steps
        self.trajectory: list[Step] = []

    def add(self, step: Step) -> None:
        """Add the step that has just been solved."""
        self.trajectory.append(step)

    def go_back(self, number: int) -> Step:
        """Make the plan of a number the current one; those after it stay as what was tried before.

        Raises
        ------
        ValueError
            If there is no such plan.
        """
        step = next((step for step in self.trajectory if step.number == number), None)
        if step is None:
            raise ValueError(f"there is no plan {number}")
        self.trajectory.remove(step)
        self.trajectory.append(step)
        return step

    @property
    def last(self) -> Step:
        """The current plan."""
        return self.trajectory[-1]

    @property
    def best(self) -> Step:
        """The plan with the highest score, the earliest among equals; without memory, the current plan."""
        return max(self.trajectory, key=lambda step: step.score) if self._in_full else self.last

    @property
    def starts(self) -> dict[str, Step]:
        """The plans that a change may begin from, by name: the last and, where it is another, the best before it."""
        return {"last": self.last} if self.best.asked == self.last.asked else {"best": self.best, "last": self.last}

    @property
    def starting_parameters(self) -> list[Parameters]:
        """The parameters of the plans that a change may begin from."""
        return [step.parameters for step in self.starts.values()]

    @property
    def has_gained(self) -> bool:
        """Whether the last step reached more than any before it, as the first does."""
        return all(step.score < self.last.score for step in self.trajectory[:-1])

    @property
    def in_full(self) -> list[Step]:
        """The last steps and, wherever it lies, the best."""
        recent = self._worth_remembering()[-self._in_full :] if self._in_full else []
        return recent if not recent or self.best in recent else [self.best, *recent]

    @property
    def in_brief(self) -> list[Step]:
        """The steps before them."""
        if not self._in_full:
            return []
        full = self.in_full
        return [step for step in self._worth_remembering() if step not in full]

    @property
    def before_in_full(self) -> list[Step]:
        """The steps remembered in full but for the last."""
        return [step for step in self.in_full if step is not self.last]

    @property
    def before(self) -> list[Step]:
        """The remembered steps before the last."""
        return [step for step in (self._worth_remembering() if self._in_full else []) if step is not self.last]

    def find(self, parameters: Parameters) -> Step | None:
        """Return the remembered step that was planned with these parameters."""
        known = self.trajectory if self._in_full else [self.last]
        return next((step for step in known if step.parameters == parameters), None)

    def _worth_remembering(self) -> list[Step]:
        """The steps that tried something: parameters planned again, as after a failure, say nothing new."""
        seen = []
        kept = []
        for step in self.trajectory:
            if step.asked not in seen:
                seen.append(step.asked)
                kept.append(step)
        return kept
