"""GPT-RadPlan as an agent (arXiv 2406.15609, section 2.2): evaluate, remember, plan, solve, and again."""

from __future__ import annotations

from typing import Any, Unpack

from radplan_agents.agent import Action, Info, Observation
from radplan_agents.gpt_radplan.effects import outcomes
from radplan_agents.gpt_radplan.evaluator import Evaluator
from radplan_agents.gpt_radplan.library import Library, ReferencePlan
from radplan_agents.gpt_radplan.memory import Memory, Step
from radplan_agents.gpt_radplan.options import Forms, Options
from radplan_agents.gpt_radplan.planner import Planner, Proposed
from radplan_agents.gpt_radplan.schema import Answer
from radplan_agents.gpt_radplan.small.evaluator import SmallEvaluator
from radplan_agents.gpt_radplan.small.planner import SmallPlanner
from radplan_agents.gpt_radplan.task import Task
from radplan_agents.language_model_agent import LanguageModelAgent, ModelArguments
from radplan_agents.llm import Failed
from radplan_agents.plan_changes import Parameters
from radplan_agents.privacy import is_own_patient
from radplan_env.console.desk import Desk
from radplan_env.console.pictures import plan_pictures
from radplan_env.env import RadPlanEnv
from radplan_env.parameters import PlanningParameters
from radplan_env.planning import Summary

EXPERTS: dict[Forms, tuple[type[Evaluator], type[Planner]]] = {
    "open": (Evaluator, Planner),
    "small": (SmallEvaluator, SmallPlanner),
}
"""Evaluator and planner by the forms they use."""


class GPTRadPlanAgent(LanguageModelAgent):
    """A language model in the planner's chair.

    The first plan is the protocol's start parameters. From then on the evaluator says what is wrong with the plan, and
    the planner sets the parameters anew, beginning from an earlier plan. An episode ends at the budget, or when the
    planner says that nothing more can be gained; the best plan of the trajectory is handed over.

    A planner without a usable answer, after two corrections, spends the step on unchanged parameters: nothing stands in
    for the model. Such steps are counted in the record.

    Parameters
    ----------
    env : RadPlanEnv
        The environment.
    options : Options, optional
        What is switched on; by default what the class says.
    library : Library, optional
        Past plans that examples are taken from; by default those that come with the package.
    **model
        As `LanguageModelAgent`.

    Raises
    ------
    SettingsError
        If the evaluator is to judge by pictures alone and the model sees none.
    """

    options = Options()

    def __init__(
        self,
        env: RadPlanEnv,
        *,
        options: Options | None = None,
        library: Library | None = None,
        **model: Unpack[ModelArguments],
    ) -> None:
        super().__init__(env, **model)
        self._options = options or self.options
        self._library = library

    def reset(self, observation: Observation, info: Info) -> None:
        """Begin an episode."""
        task = Task.of(info)
        references = self._find_references()
        case = self._env.system.case
        self._session.shows_own_patient = is_own_patient(case) or any(each.own_patient for each in references)
        self.feedback: Answer | str | Failed | None = None
        """What the evaluator said of the current plan."""
        self.proposal: Proposed | Failed | None = None
        """What the planner wants to try next."""
        self.memory = Memory(self._options.memory_steps)
        self._task = task
        self._references = references
        self._desk = Desk(self._env)
        evaluator, planner = EXPERTS[self._options.forms]
        self._evaluator = evaluator(self._session, task, self._options, references, self._desk)
        self._planner = planner(self._session, task, self._options, references, self._desk)
        self.base: Step | None = None
        """The plan that the one to be planned next begins from."""
        self._stopped = ""

    def act(self, observation: Observation, info: Info) -> Action | PlanningParameters | None:
        """Return the start parameters first, then what the planner makes of the plan; None when it gives up."""
        plan = info.get("plan")
        if plan is None:
            return self._action(self._task.start_parameters)
        self._remember(plan)
        return self.reconsider()

    def reconsider(self) -> Action | PlanningParameters | None:
        """Judge the current plan once more, as after a change of `instructions`, and return what `act` would."""
        step, self._stopped = self.memory.last, ""
        self.feedback = self._evaluator.evaluate(self.memory, self.instructions)
        self.proposal = self._planner.propose(self.memory, self.feedback, self.instructions)
        if isinstance(self.proposal, Failed):
            self.base = step
            return self._again(step)
        self.base = self.proposal.base
        if self.proposal.parameters is None:
            self._stopped = getattr(self.proposal.said, "reasoning", "")
            return None
        return self._action(self.proposal.parameters)

    def go_back(self, number: int) -> Action | PlanningParameters | None:
        """Make an earlier plan the current one, without a solve, and return what `act` would after it."""
        self.memory.go_back(number)
        return self.reconsider()

    def record(self) -> dict[str, Any]:
        """Return what the last episode cost and met with, as plain JSON data.

        What `Session.record` tells, and "references" (examples given), "failed_steps" (spent on unchanged parameters
        as the planner had no usable answer), "unanswered" (by expert), "predictions" and of these
        "predictions_come_true", and "stopped" (the planner's reason, null where it did not stop).
        """
        trajectory = self.memory.trajectory
        checked = [outcome for step in trajectory for outcome in step.outcomes]
        return {
            **self._session.record(),
            "references": len(self._references),
            "failed_steps": sum(bool(step.failure) for step in trajectory) + isinstance(self.proposal, Failed),
            "unanswered": dict(sorted(self._evaluator.unanswered.items())),
            "predictions": len(checked),
            "predictions_come_true": sum(outcome.came_true for outcome in checked),
            "stopped": self._stopped or None,
        }

    def _remember(self, plan: Summary) -> None:
        """Add the plan just solved to the memory, with what was expected of it."""
        assert self._env.plan is not None
        base = None if self.base is None else self._desk.plans[self.base.number - 1]
        proposed = self.proposal if isinstance(self.proposal, Proposed) else None
        clamped = () if proposed is None else proposed.clamped
        solved = self._desk.add(self._env.plan, base, list(clamped))
        step = Step(number=solved.number, plan=plan, base=self.base, clamped=clamped)
        if self._options.uses_pictures and self._session.sees_pictures:
            step.views = plan_pictures(self._desk, solved)
        if isinstance(self.proposal, Failed):
            step.failure = str(self.proposal)
        elif proposed is not None:
            step.outcomes = outcomes(proposed.predictions, proposed.base.plan, plan)
        self.memory.add(step)

    def _find_references(self) -> list[ReferencePlan]:
        if self._options.references == "none":
            return []
        if self._library is None:
            self._library = Library.load()
        system = self._env.system
        library = self._library.for_planners(set_limits=self._options.forms == "open")
        if self._options.references == "fixed":
            return library.first(system.protocol, self._options.reference_count)
        return library.nearest(system.case, system.protocol, self._options.reference_count)

    def _again(self, step: Step) -> Action | PlanningParameters:
        """What plans with a step's parameters once more."""
        small = self._options.forms == "small"
        return self._action(step.parameters if small else PlanningParameters.of_plan(step.plan))

    def _action(self, parameters: Parameters | PlanningParameters) -> Action | PlanningParameters:
        if isinstance(parameters, PlanningParameters):
            return parameters
        return self._env.action_map.to_action(parameters)
