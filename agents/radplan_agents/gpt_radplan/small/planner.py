"""The planner by forms: it moves a few weights and objective doses from the best or the last plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, WithJsonSchema, create_model
from pydantic_core import PydanticCustomError

from radplan_agents.gpt_radplan import planner, tables
from radplan_agents.gpt_radplan.memory import Memory, Step
from radplan_agents.gpt_radplan.planner import CheckedProposal, ProposalChecks, Proposed, refuse_repetition
from radplan_agents.gpt_radplan.prompts import conversation
from radplan_agents.gpt_radplan.schema import Answer, one_of, prose
from radplan_agents.gpt_radplan.small.evaluator import Feedback
from radplan_agents.gpt_radplan.small.facts import facts
from radplan_agents.gpt_radplan.small.levers import Lever, lever_of
from radplan_agents.gpt_radplan.task import Task
from radplan_agents.llm import Failed
from radplan_agents.plan_changes import Effect, Parameters, changes
from radplan_env.actions import DOSE_DECIMALS, WEIGHT_DIGITS

MOST_PREDICTIONS = 2

LARGEST_FACTOR = 5.0
"""A step multiplies a weight by at most this, and divides it by at most this."""

LARGEST_STEP_GY = 20.0
"""A step moves an objective dose by at most this."""

MOST_CHANGES = 4
"""How many parameters a step may change."""

Action = Literal["change", "stop"]


class Change(Answer):
    """A change of one structure's weight or objective dose.

    Parameters
    ----------
    lever : str
        What moves which way, such as "raise the weight of Rectum".
    amount : float
        Factor that the weight is multiplied or divided by, or Gy that the objective dose moves by. To halve a weight
        models say 0.5 as often as 2: to lower a weight, a factor below 1 stands for its reciprocal. 1 changes nothing.
    """

    lever: str
    amount: Annotated[float, Field(gt=0)]
    reason: str

    @property
    def moves(self) -> Lever:
        """Which parameter of which structure goes which way."""
        lever = Lever.spoken(self.lever)
        assert lever is not None
        return lever


class Prediction(Answer):
    """Which way a criterion will go."""

    criterion: str
    effect: Effect


class Proposal(CheckedProposal):
    """What the planner wants to try next.

    Parameters
    ----------
    action : {"change", "stop"}
        Whether to plan again.
    start_from : {"best", "last"}
        Plan that the changes begin from.
    changes : list of Change
        Of named structures; none where the action is to stop.
    predictions : list of Prediction
        What the changes will do.
    """

    action: Action
    start_from: str
    changes: list[Change]
    predictions: list[Prediction]

    def __str__(self) -> str:
        if self.action == "stop":
            return f"would stop: {self.reasoning}"
        changes = [f"- {change.lever}: {change.amount:g}: {change.reason}" for change in self.changes]
        expected = [f"- {prediction.criterion}: {prediction.effect}" for prediction in self.predictions]
        return "\n".join(
            [self.reasoning, "Because:", *changes, "Expected:", *expected, f"From the {self.start_from} plan:"]
        )


@dataclass(frozen=True)
class Checks(ProposalChecks):
    """What a proposal is applied to and checked against."""

    task: Task
    memory: Memory

    def base(self, proposal: Proposal) -> Step:
        """The step whose plan the changes begin from."""
        return self.memory.starts[proposal.start_from]

    def moved(self, proposal: Proposal) -> Parameters:
        """Return the parameters after a proposal's changes; at the end of its range a parameter stops.

        Raises
        ------
        PydanticCustomError
            "out_of_bounds", "changed_twice", "no_change", or "already_tried" where the episode has a plan with these
            parameters; each says what would do.
        """
        base = self.base(proposal).parameters
        parameters = {structure: dict(values) for structure, values in base.items()}
        for change in proposal.changes:
            structure, quantity, value = self._changed(base, change)
            if parameters[structure][quantity] != base[structure][quantity]:
                what = f"the {change.moves.parameter} of {structure}"
                raise PydanticCustomError("changed_twice", "{what} is changed twice", {"what": what})
            parameters[structure][quantity] = value
        if parameters == base:
            raise PydanticCustomError(
                "no_change", "nothing changes, as these parameters are at the ends of their ranges: try another"
            )
        if (step := self.memory.find(parameters)) is not None:
            refuse_repetition(step.number, step.score)
        return parameters

    def _changed(self, base: Parameters, change: Change) -> tuple[str, str, float]:
        """Which quantity of which structure changes, and its new value, rounded as actions are."""
        lever = change.moves
        up = lever.direction == "raise"
        if lever.parameter == "weight":
            quantity, old = "weight", base[lever.structure]["weight"]
            amount = 1 / change.amount if not up and change.amount < 1 else change.amount
            factor = _bounded(change, amount, LARGEST_FACTOR, least=1.0)
            value = float(f"{old * factor if up else old / factor:.{WEIGHT_DIGITS}g}")
        else:
            quantity, old = "objective_dose_gy", base[lever.structure]["objective_dose_gy"]
            step_gy = _bounded(change, change.amount, LARGEST_STEP_GY, least=0.0)
            value = round(old + step_gy if up else old - step_gy, DOSE_DECIMALS)
        low, high = self.task.ranges[lever.structure][quantity]
        return lever.structure, quantity, min(max(value, low), high)


def _bounded(change: Change, amount: float, most: float, *, least: float) -> float:
    if not least <= amount <= most:
        raise PydanticCustomError(
            "out_of_bounds",
            'the amount to "{lever}" must be between {least} and {most}',
            {"lever": change.lever, "least": f"{least:g}", "most": f"{most:g}"},
        )
    return amount


class SmallPlanner(planner.Planner):
    """Turns feedback into parameters by a form."""

    def propose(self, memory: Memory, feedback: Answer | str | Failed | None, instructions: str) -> Proposed | Failed:
        """Return what to plan next; see `planner.Planner.propose`."""
        checks = Checks(self._task, memory)
        messages = conversation(
            "small/planner",
            **facts(memory, memory.best, self._task),
            task=self._task,
            options=self._options,
            memory=memory,
            feedback=feedback if isinstance(feedback, Feedback) else None,
            instructions=instructions,
            parameters=tables.parameters_table(memory.best.parameters, self._task),
            differences=changes(memory.best.parameters, memory.last.parameters),
            references=self._references,
            parameters_of=[tables.parameters_table(r.parameters, self._task) for r in self._references],
            most_changes=MOST_CHANGES,
            most_predictions=MOST_PREDICTIONS,
            largest_factor=LARGEST_FACTOR,
            largest_step_gy=LARGEST_STEP_GY,
        )
        form = _proposal_for(self._task, memory)
        proposal = self._session.ask("planner", messages, form, context={"checks": checks})
        if isinstance(proposal, Failed):
            return proposal
        parameters = checks.moved(proposal) if proposal.action == "change" else None
        return Proposed(proposal, checks.base(proposal), parameters, predictions=proposal.predictions)


def _proposal_for(task: Task, memory: Memory) -> type[Proposal]:
    """The form of a proposal, with the names that may be used."""
    levers = lever_of(task, memory.starting_parameters)
    actions = ("change",) if memory.has_gained else ("change", "stop")
    change = create_model("Change", __base__=Change, lever=(levers, ...), reason=(prose(60), ...))
    prediction = create_model(
        "Prediction", __base__=Prediction, criterion=(one_of(task.free_criteria, fault="unknown_criterion"), ...)
    )
    return create_model(
        "Proposal",
        __base__=Proposal,
        reasoning=(prose(150), ...),
        action=(Annotated[Action, WithJsonSchema({"type": "string", "enum": list(actions)})], ...),
        start_from=(one_of(tuple(memory.starts), fault="unknown_start"), ...),
        changes=(list[change], Field(max_length=MOST_CHANGES)),  # type: ignore[valid-type]
        predictions=(list[prediction], Field(max_length=MOST_PREDICTIONS)),  # type: ignore[valid-type]
    )
