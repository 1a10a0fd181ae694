"""The planning module of the paper (section 2.2): feedback in, the next planning parameters out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationInfo, WithJsonSchema, create_model, model_validator
from pydantic_core import PydanticCustomError

from radplan_agents.gpt_radplan import tables
from radplan_agents.gpt_radplan.evaluator import Feedback
from radplan_agents.gpt_radplan.facts import facts
from radplan_agents.gpt_radplan.levers import Lever, lever_of
from radplan_agents.gpt_radplan.library import ReferencePlan
from radplan_agents.gpt_radplan.memory import Memory, Step
from radplan_agents.gpt_radplan.options import Options
from radplan_agents.gpt_radplan.prompts import conversation
from radplan_agents.gpt_radplan.schema import Answer, one_of, prose
from radplan_agents.gpt_radplan.task import Task
from radplan_agents.llm import Failed, Session
from radplan_agents.plan_changes import Effect, Parameters, changes
from radplan_env.actions import DOSE_DECIMALS, WEIGHT_DIGITS

MOST_PREDICTIONS = 2

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


class Proposal(Answer):
    """What the planner wants to try next.

    Parameters
    ----------
    reasoning : str
        Why, or why nothing more can be gained.
    action : {"change", "stop"}
        Whether to plan again.
    start_from : {"best", "last"}
        Plan that the changes begin from.
    changes : list of Change
        Of named structures; none where the action is to stop.
    predictions : list of Prediction
        What the changes will do.
    """

    reasoning: str
    action: Action
    start_from: str
    changes: list[Change]
    predictions: list[Prediction]

    @model_validator(mode="after")
    def _can_be_planned(self, info: ValidationInfo) -> Self:
        assert info.context is not None
        info.context["desk"].check(self)
        return self


@dataclass(frozen=True)
class Desk:
    """What a proposal is applied to and checked against."""

    task: Task
    options: Options
    memory: Memory

    def check(self, proposal: Proposal) -> None:
        """Refuse what cannot be done.

        Raises
        ------
        PydanticCustomError
            "stopped_too_soon" where the last step has gained; what `moved` raises.
        """
        if proposal.action == "change":
            self.moved(proposal)
        elif self.memory.has_gained:
            raise PydanticCustomError(
                "stopped_too_soon", "no plan was better than this last one: try once more before you stop"
            )

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
            raise PydanticCustomError(
                "already_tried",
                "step {number} had these very parameters and scored {score}: try something else",
                {"number": step.number, "score": f"{step.score:.1f}"},
            )
        return parameters

    def _changed(self, base: Parameters, change: Change) -> tuple[str, str, float]:
        """Which quantity of which structure changes, and its new value, rounded as actions are."""
        lever = change.moves
        up = lever.direction == "raise"
        if lever.parameter == "weight":
            quantity, old = "weight", base[lever.structure]["weight"]
            amount = 1 / change.amount if not up and change.amount < 1 else change.amount
            factor = _bounded(change, amount, self.options.largest_weight_factor, least=1.0)
            value = float(f"{old * factor if up else old / factor:.{WEIGHT_DIGITS}g}")
        else:
            quantity, old = "objective_dose_gy", base[lever.structure]["objective_dose_gy"]
            step_gy = _bounded(change, change.amount, self.options.largest_dose_change_gy, least=0.0)
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


class Planner:
    """Turns feedback into parameters.

    Parameters
    ----------
    session : Session
        The model.
    task : Task
        What is planned.
    options : Options
        How far a step may go.
    references : sequence of ReferencePlan
        Examples: parameters, and what changing them did.
    """

    def __init__(self, session: Session, task: Task, options: Options, references: Sequence[ReferencePlan]) -> None:
        self._session = session
        self._task = task
        self._options = options
        self._references = references

    def propose(
        self, memory: Memory, feedback: Feedback | Failed | None, instructions: str
    ) -> tuple[Proposal, Step, Parameters | None] | Failed:
        """Return a proposal, the step it begins from, and the parameters it leads to: None where it is to stop.

        Parameters
        ----------
        memory : Memory
            The trajectory; its last step is the current plan.
        feedback : Feedback, Failed or None
            What the evaluator says of it.
        instructions : str
            What the user wants, in plain language.
        """
        desk = Desk(self._task, self._options, memory)
        messages = conversation(
            "planner",
            **facts(memory, memory.best, self._task, self._options),
            feedback=feedback if isinstance(feedback, Feedback) else None,
            instructions=instructions,
            parameters=tables.parameters_table(memory.best.parameters, self._task),
            differences=changes(memory.best.parameters, memory.last.parameters),
            references=self._references,
            parameters_of=[tables.parameters_table(r.parameters, self._task) for r in self._references],
            most_predictions=MOST_PREDICTIONS,
        )
        form = _proposal_for(self._task, self._options, memory)
        proposal = self._session.ask("planner", messages, form, context={"desk": desk})
        if isinstance(proposal, Failed):
            return proposal
        return proposal, desk.base(proposal), desk.moved(proposal) if proposal.action == "change" else None


def _proposal_for(task: Task, options: Options, memory: Memory) -> type[Proposal]:
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
        changes=(list[change], Field(max_length=options.most_changes)),  # type: ignore[valid-type]
        predictions=(list[prediction], Field(max_length=MOST_PREDICTIONS)),  # type: ignore[valid-type]
    )
