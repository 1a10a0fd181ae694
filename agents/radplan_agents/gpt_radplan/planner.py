"""The planning module of the paper (section 2.2): feedback in, the next planning parameters out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationInfo, create_model, model_validator
from pydantic_core import PydanticCustomError

from radplan_agents.gpt_radplan import pictures
from radplan_agents.gpt_radplan.library import ReferencePlan
from radplan_agents.gpt_radplan.memory import Memory, Step
from radplan_agents.gpt_radplan.options import Options
from radplan_agents.gpt_radplan.prompts import conversation
from radplan_agents.gpt_radplan.schema import Answer, one_of
from radplan_agents.gpt_radplan.task import Task
from radplan_agents.gpt_radplan.told import examples_told, told
from radplan_agents.llm import Failed, Session, each_picture_once
from radplan_agents.plan_changes import Parameters
from radplan_env.console import ToolError
from radplan_env.console.arguments import Change, LimitArgument
from radplan_env.console.desk import Desk
from radplan_env.parameters import PlanningParameters


@dataclass(frozen=True)
class Proposed:
    """What a planner wants to try next.

    Parameters
    ----------
    said : Answer
        Its reply.
    base : Step
        The step whose plan it begins from.
    parameters : PlanningParameters or Parameters, optional
        To plan with; None where it is to stop.
    clamped : tuple of str
        What it asked for and could not be done.
    predictions : sequence
        Criteria, and which way each will go.
    """

    said: Answer
    base: Step
    parameters: PlanningParameters | Parameters | None
    clamped: tuple[str, ...] = ()
    predictions: Sequence[Any] = ()


class Setting(Answer):
    """Weight and objective dose of a structure; what is null is the base's."""

    structure: str
    weight: Annotated[float, Field(ge=0)] | None = None
    objective_dose_gy: Annotated[float, Field(ge=0)] | None = None


class CheckedProposal(Answer):
    """What a planner wants to try next, checked as it is read: that it can be planned, or that it is time to stop.

    Parameters
    ----------
    reasoning : str
        Why, or why nothing more can be gained.
    action : str
        "stop", or to plan again.
    """

    reasoning: str
    action: str

    @model_validator(mode="after")
    def _can_be_planned(self, info: ValidationInfo) -> Self:
        assert info.context is not None
        info.context["checks"].check(self)
        return self


class ProposalChecks(ABC):
    """What a proposal is checked against."""

    memory: Memory

    @abstractmethod
    def moved(self, proposal: Any) -> Any:
        """Return what a proposal leads to.

        Raises
        ------
        PydanticCustomError
            If it cannot be planned.
        """

    def check(self, proposal: CheckedProposal) -> None:
        """Refuse what cannot be done.

        Raises
        ------
        PydanticCustomError
            "stopped_too_soon" where the last step has gained; what `moved` raises.
        """
        if proposal.action == "stop":
            check_stopping(self.memory)
        else:
            self.moved(proposal)


class Proposal(CheckedProposal):
    """What the planner wants to try next.

    Parameters
    ----------
    action : {"plan", "stop"}
        Whether to plan again.
    base : int
        Number of the step that the plan begins from: what is not set is that plan's.
    settings : list of Setting
    limits : list of LimitArgument, optional
        All of them: they replace the base's; None keeps those.
    """

    action: Literal["plan", "stop"]
    base: int
    settings: list[Setting] = Field(default_factory=list)
    limits: list[LimitArgument] | None = None

    @property
    def change(self) -> Change:
        """The same as the planner's console takes it.

        Raises
        ------
        PydanticCustomError
            "changed_twice" where a structure is set twice.
        """
        names = [setting.structure for setting in self.settings]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise PydanticCustomError("changed_twice", "{what} is set twice", {"what": twice})
        return Change(
            weights={each.structure: each.weight for each in self.settings if each.weight is not None},
            objective_doses={
                each.structure: each.objective_dose_gy for each in self.settings if each.objective_dose_gy is not None
            },
            limits=self.limits,
            base=self.base,
        )

    def __str__(self) -> str:
        if self.action == "stop":
            return f"would stop: {self.reasoning}"
        return f"{self.reasoning}\nFrom plan {self.base}:"


@dataclass(frozen=True)
class Checks(ProposalChecks):
    """What a proposal is checked against and applied to: the plans at the desk."""

    desk: Desk
    memory: Memory

    def moved(self, proposal: Proposal) -> tuple[PlanningParameters, tuple[str, ...]]:
        """Return the parameters that a proposal leads to, and what of it was clamped.

        Raises
        ------
        PydanticCustomError
            "already_tried" where the episode has a plan with these parameters, "changed_twice", or the fault that the
            planner's console finds, such as "unknown_structure" or "excluding_limits".
        """
        try:
            parameters, _, clamped = self.desk.parameters_for(proposal.change)
        except ToolError as error:
            raise PydanticCustomError(error.fault, "{said}", {"said": str(error)}) from None
        for solved in self.desk.plans:
            tried = solved.plan.parameters
            if (tried.structures, tried.limits) == (parameters.structures, parameters.limits):
                refuse_repetition(solved.number, solved.score)
        return parameters, tuple(clamped)


def check_stopping(memory: Memory) -> None:
    """Raise PydanticCustomError ("stopped_too_soon") where the last step has gained."""
    if memory.has_gained:
        raise PydanticCustomError(
            "stopped_too_soon", "no plan was better than this last one: try once more before you stop"
        )


def refuse_repetition(number: int, score: float) -> None:
    """Raise PydanticCustomError ("already_tried")."""
    raise PydanticCustomError(
        "already_tried",
        "step {number} had these very parameters and scored {score}: try something else",
        {"number": number, "score": f"{score:.1f}"},
    )


class Planner:
    """Turns feedback into parameters: a = g(p; I, δ, f), with what was tried and examples.

    Parameters
    ----------
    session : Session
        The model.
    task : Task
        What is planned.
    options : Options
        Whether it sees pictures.
    references : sequence of ReferencePlan
        Examples: plans, and the parameters that made them.
    desk : Desk
        The plans of the episode.
    """

    def __init__(
        self, session: Session, task: Task, options: Options, references: Sequence[ReferencePlan], desk: Desk
    ) -> None:
        self._session = session
        self._task = task
        self._options = options
        self._references = references
        self._desk = desk

    def propose(self, memory: Memory, feedback: Answer | str | Failed | None, instructions: str) -> Proposed | Failed:
        """Return what to plan next.

        Parameters
        ----------
        memory : Memory
            The trajectory; its last step is the current plan.
        feedback : str, Failed or None
            What the evaluator says of it.
        instructions : str
            What the user wants, in plain language.
        """
        shown: pictures.Shown = ()
        if self._options.uses_pictures and self._session.sees_pictures:
            shown = pictures.of_examples(self._references) + pictures.of_steps(memory.before_in_full)
            shown = each_picture_once(shown + pictures.of_plan(memory, judged=False))
        messages = conversation(
            "planner",
            *shown,
            **told(self._desk, memory, self._task),
            task=self._task,
            memory=memory,
            feedback=feedback if isinstance(feedback, str) else "",
            instructions=instructions,
            examples=examples_told(self._references, self._task),
            pictures=bool(shown),
        )
        checks = Checks(self._desk, memory)
        proposal = self._session.ask("planner", messages, _form(self._task, memory), context={"checks": checks})
        if isinstance(proposal, Failed):
            return proposal
        base = memory.trajectory[proposal.base - 1] if proposal.action == "plan" else memory.last
        parameters, clamped = checks.moved(proposal) if proposal.action == "plan" else (None, ())
        return Proposed(proposal, base, parameters, clamped)


def _form(task: Task, memory: Memory) -> type[Proposal]:
    """The form of a proposal, with the names that may be used."""
    setting = create_model(
        "Setting", __base__=Setting, structure=(one_of(task.structures, fault="unknown_structure"), ...)
    )
    return create_model(
        "Proposal",
        __base__=Proposal,
        base=(Annotated[int, Field(ge=1, le=len(memory.trajectory))], ...),
        settings=(list[setting], Field(default_factory=list)),  # type: ignore[valid-type]
    )
