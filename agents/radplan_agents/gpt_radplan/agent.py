"""GPT-RadPlan as an agent (arXiv 2406.15609, section 2.2): evaluate, remember, plan, solve, and again."""

from __future__ import annotations

from typing import Any

from radplan_agents.agent import Action, Info, Observation
from radplan_agents.gpt_radplan.effects import outcomes
from radplan_agents.gpt_radplan.evaluator import Evaluator, Feedback
from radplan_agents.gpt_radplan.library import Library, ReferencePlan
from radplan_agents.gpt_radplan.memory import Memory, Step
from radplan_agents.gpt_radplan.options import Options
from radplan_agents.gpt_radplan.planner import Planner, Proposal
from radplan_agents.gpt_radplan.task import Task
from radplan_agents.llm import Failed, Session
from radplan_agents.plan_changes import Parameters
from radplan_agents.privacy import is_own_patient
from radplan_env.env import RadPlanEnv
from radplan_env.planning import Summary
from radplan_env.render.text import dvh_text
from radplan_env.render.views import View, plan_views


class GPTRadPlanAgent:
    """A language model in the planner's chair.

    The first plan is the protocol's start parameters. From then on the evaluator says what is wrong with the plan, and
    the planner changes the parameters, from the current plan or the best so far. An episode ends when the protocol is
    met, at the budget, or when the planner says that nothing more can be gained; the best plan of the trajectory is
    handed over.

    A planner without a usable answer, after two corrections, spends the step on unchanged parameters: nothing stands in
    for the model. Such steps are counted in the record.

    Parameters
    ----------
    env : RadPlanEnv
        The environment.
    seed : int
        Unused: a model's seed is a setting of its session.
    session : Session
        The model.
    instructions : str
        What the user wants, in plain language; may be changed between steps.
    options : Options
        What is switched on.
    library : Library, optional
        Past plans that examples are taken from; by default those that come with the package.

    Raises
    ------
    SettingsError
        If the evaluator is to judge by pictures alone and the model sees none.
    """

    needs_language_model = True

    def __init__(
        self,
        env: RadPlanEnv,
        *,
        seed: int = 0,
        session: Session,
        instructions: str = "",
        options: Options = Options(),  # noqa: B008, frozen
        library: Library | None = None,
    ) -> None:
        self.instructions = instructions
        self._env = env
        self._session = session
        self._options = options
        self._library = library

    def reset(self, observation: Observation, info: Info) -> None:
        """Begin an episode."""
        task = Task.of(info)
        references = self._find_references()
        case = self._env.system.case
        self._session.shows_own_patient = is_own_patient(case) or any(each.own_patient for each in references)
        self.feedback: Feedback | Failed | None = None
        """What the evaluator said of the current plan."""
        self.proposal: Proposal | Failed | None = None
        """What the planner wants to try next."""
        self.memory = Memory(self._options.memory_steps)
        self._task = task
        self._references = references
        self._evaluator = Evaluator(self._session, task, self._options, references)
        self._planner = Planner(self._session, task, self._options, references)
        self._base: Step | None = None
        self._stopped = ""

    def act(self, observation: Observation, info: Info) -> Action | None:
        """Return the start parameters first, then what the planner makes of the plan; None when it gives up."""
        plan = info.get("plan")
        if plan is None:
            return self._action(self._task.start_parameters)
        self._remember(plan)
        return self.reconsider()

    def reconsider(self) -> Action | None:
        """Judge the current plan once more, as after a change of `instructions`, and return what `act` would."""
        step, self._stopped = self.memory.last, ""
        self.feedback = self._evaluator.evaluate(self.memory, self._dvh(), self.instructions)
        answer = self._planner.propose(self.memory, self.feedback, self.instructions)
        if isinstance(answer, Failed):
            self.proposal, self._base = answer, step
            return self._action(step.parameters)
        self.proposal, self._base, parameters = answer
        if parameters is None:
            self._stopped = self.proposal.reasoning
            return None
        return self._action(parameters)

    def plan_again(self, step: Step) -> Action:
        """Return the action that goes back to a step of the memory, in place of what was proposed."""
        self.proposal, self._base = None, step
        return self._action(step.parameters)

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
        step = Step(number=len(self.memory.trajectory) + 1, plan=plan, base=self._base, views=self._views())
        match self.proposal:
            case Failed() as failed:
                step.failure = str(failed)
            case Proposal() as proposal if self._base is not None:
                step.outcomes = outcomes(proposal.predictions, self._base.plan, plan)
        self.memory.add(step)

    def _views(self) -> list[View]:
        """Pictures of the current plan, where the evaluator looks at any."""
        if not (self._options.uses_pictures and self._session.sees_pictures):
            return []
        plan, case = self._env.plan, self._env.system.case
        assert plan is not None
        return plan_views(case, plan.dose_on(case.grid), prescription_gy=self._task.prescription_gy)

    def _dvh(self) -> str:
        plan = self._env.plan
        assert plan is not None
        return dvh_text(plan.evaluation.dvh, prescription_gy=self._task.prescription_gy)

    def _find_references(self) -> list[ReferencePlan]:
        if self._options.references == "none":
            return []
        if self._library is None:
            self._library = Library.load()
        system = self._env.system
        if self._options.references == "fixed":
            return self._library.first(system.protocol, self._options.reference_count)
        return self._library.nearest(system.case, system.protocol, self._options.reference_count)

    def _action(self, parameters: Parameters) -> Action:
        return self._env.action_map.to_action(parameters)
