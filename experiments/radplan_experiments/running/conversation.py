"""What converse.py does once its options are read."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from radplan_agents.agent import Action, EpisodeInterruptedError
from radplan_agents.gpt_radplan import GPTRadPlanAgent
from radplan_agents.gpt_radplan.planner import Proposed
from radplan_agents.llm import Failed
from radplan_agents.plan_changes import plan_changes
from radplan_agents.registry import load_agent, make_agent
from radplan_env.env import RadPlanEnv
from radplan_env.parameters import PlanningParameters
from radplan_env.planning import Plan
from radplan_env.render import plan_text
from radplan_env.render.views import change_view
from radplan_experiments.cohort import UsageError
from radplan_experiments.options import ConverseOptions, LanguageModelOptions, RunOptions, TaskOptions
from radplan_experiments.recording import ranking
from radplan_experiments.recording.records import Key
from radplan_experiments.recording.run_folder import RunFolder, open_run_folder
from radplan_experiments.recording.settings import Settings
from radplan_experiments.running import comparison, language_model, run_settings, runner
from radplan_experiments.running.step_text import first_text, step_text
from radplan_experiments.writing import new_folder, slug, write_json

Chosen = Action | PlanningParameters

AGENT = "conversation"
"""What physicist and agent together are called in the record."""

PROMPT = "[Enter] go on, words, undo, table, accept [N] or stop> "


class Conversation:
    """The terminal and a Markdown file that keeps what was seen and said in it.

    Parameters
    ----------
    path : Path
        The file.
    read : callable
        Asks for a line; EOFError where there are no more.
    """

    def __init__(self, path: Path, read: Callable[[str], str]) -> None:
        self.folder = path.parent
        """Of the file, and of pictures beside it."""
        self._path = path
        self._read = read

    def show(self, title: str, text: str) -> None:
        """Show something under a title."""
        print(f"\n{title}\n\n{text}", flush=True)
        self._keep(f"## {title}\n\n```text\n{text}\n```\n\n")

    def show_picture(self, title: str, picture: Path) -> None:
        """Say where a picture lies, which is in the file's folder."""
        print(f"\n{title}: {picture}", flush=True)
        self._keep(f"![{title}]({picture.name})\n\n")

    def ask(self) -> str:
        """Return what the physicist says; "stop" at the end of the input."""
        try:
            line = self._read(PROMPT).strip()
        except EOFError:
            line = "stop"
        self._keep(f"> **physicist**: {line or '(go on)'}\n\n")
        return line

    def _keep(self, text: str) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(text)


@dataclass
class Dialogue:
    """One episode, steered by agent and physicist.

    Parameters
    ----------
    env : RadPlanEnv
        Reset to the case.
    agent : GPTRadPlanAgent
        Reset to it, too.
    conversation : Conversation
        Where it is talked.
    """

    env: RadPlanEnv
    agent: GPTRadPlanAgent
    conversation: Conversation
    plans: list[Plan] = field(default_factory=list)
    _path: list[int] = field(default_factory=list)
    """Numbers of the plans that lead to the current one, without those that were undone."""
    _began: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        """How long it has been held."""
        return round(time.perf_counter() - self._began, 3)

    def hold(self, action: Chosen | None) -> int | None:
        """Plan and talk until one of both ends it; return the number of the plan kept, None if there is none.

        Parameters
        ----------
        action : ndarray or PlanningParameters, optional
            The agent's first.
        """
        while action is not None:
            observation, _, terminated, truncated, info = self.env.step(action)
            assert self.env.plan is not None
            self.plans.append(self.env.plan)
            self._path.append(len(self.plans))
            self._show_plan()
            if terminated or truncated:
                why = "The plan meets every criterion." if terminated else "The solves are used up."
                self.conversation.show("The end", f"{why} Say accept N to keep another plan than the best.")
                return self._answer(None, over=True)[1]
            comparison.say("(asking the model)")
            action = self.agent.act(observation, info)
            self._show_thoughts()
            action, kept = self._answer(action)
            if kept is not None:
                return kept
        return self.best()

    def _answer(self, action: Chosen | None, *, over: bool = False) -> tuple[Chosen | None, int | None]:
        """What the physicist makes of a proposed action: the action to take, or the number of the plan to keep."""
        while True:
            line = self.conversation.ask()
            word, _, rest = line.partition(" ")
            if line == "stop" or (line == "" and action is None):
                return None, self.best()
            if word == "accept" and (not rest or rest.isdigit()):
                number = int(rest or self._path[-1])
                if 1 <= number <= len(self.plans):
                    return None, number
                self.conversation.show("Not understood", f"there are plans 1 to {len(self.plans)}")
            elif line == "table":
                self.conversation.show(f"Plan {self._path[-1]}", plan_text(self.plans[self._path[-1] - 1].summary()))
            elif over:
                self.conversation.show("Not understood", "no solves are left: say accept N, or stop to keep the best")
            elif line == "":
                return action, None
            elif line == "undo":
                if len(self._path) > 1:
                    action = self._undone()
                else:
                    self.conversation.show("Not understood", "there is no plan before this one")
            else:
                self._tell(f"After plan {self._path[-1]}: {line}")
                comparison.say("(asking the model)")
                action = self.agent.reconsider()
                self._show_thoughts()

    def _undone(self) -> Chosen | None:
        """Back to the plan before, which the physicist prefers: no solve; the agent thinks anew from there."""
        rejected, before = self._path.pop(), self._path[-1]
        self._tell(f"Plan {rejected} was rejected in favour of plan {before}: go on from that one in another way.")
        self.conversation.show(f"Back to plan {before}", first_text(self.plans[before - 1].summary()))
        comparison.say("(asking the model)")
        action = self.agent.go_back(before)
        self._show_thoughts()
        return action

    def _show_plan(self) -> None:
        """Show the plan just made: what has changed since the plan that it began from, and a picture."""
        number, plan, base = len(self.plans), self.plans[-1], self.agent.base
        title = f"Plan {number} of {self.env.budget}"
        if base is None:
            self.conversation.show(title, first_text(plan.summary()))
        else:
            before = self.plans[base.number - 1].summary()
            self.conversation.show(f"{title}, against plan {base.number}", step_text(before, plan.summary()))
        case, folder = self.env.system.case, self.conversation.folder
        plan.show(case, title=f"Plan {number}").savefig(picture := folder / f"plan_{number}.png")
        self.conversation.show_picture("Dose, DVHs and criteria", picture)
        if base is not None:
            rx_gy = plan.protocol.primary.prescription_gy
            doses = (each.dose_on(case.grid) for each in (plan, self.plans[base.number - 1]))
            picture = folder / f"plan_{number}_against_{base.number}.png"
            picture.write_bytes(change_view(case, *doses, prescription_gy=rx_gy).png)
            self.conversation.show_picture("What has changed", picture)

    def _tell(self, text: str) -> None:
        """Add to what the agent is to heed in everything that follows."""
        self.agent.instructions = f"{self.agent.instructions}\n{text}".strip()

    def best(self) -> int | None:
        """Number of the plan that an episode hands over, None before the first."""
        best = ranking.handed_over([plan.summary() for plan in self.plans])
        return None if best is None else best + 1

    def _show_thoughts(self) -> None:
        """Show what the agent says of the plan, and what it wants to change."""
        feedback, proposal = self.agent.feedback, self.agent.proposal
        if feedback is not None:
            said = f"gave no usable answer: {feedback}" if isinstance(feedback, Failed) else str(feedback)
            self.conversation.show("The evaluator", said)
        assert proposal is not None
        self.conversation.show("The planner", _proposal_text(proposal))


def _proposal_text(proposal: Proposed | Failed) -> str:
    if isinstance(proposal, Failed):
        return f"gave no usable answer, so the parameters stay as they are: {proposal}"
    if proposal.parameters is None:
        return str(proposal.said)
    base, after = proposal.base.plan, proposal.parameters
    new: Any
    if isinstance(after, PlanningParameters):
        asked = after.to_dict()
        new = {**base, "parameters": asked["structures"], "limits": asked["limits"]}
    else:
        new = {**base, "parameters": after}
    lines = [*plan_changes(base, new), *(f"not done as asked: {line}" for line in proposal.clamped)]
    return "\n".join([str(proposal.said), *(f"- {line}" for line in lines)])


def run(args: ConverseOptions, command: str, read: Callable[[str], str] = input) -> int:
    """Hold a conversation; return the exit code.

    Parameters
    ----------
    args : ConverseOptions
        The options of converse.py.
    command : str
        The command line, for the record.
    read : callable
        Asks for a line.

    Raises
    ------
    UsageError
        If something asked for is not there.
    EpisodeInterruptedError
        If the model's service fails; what was planned until then is recorded.
    """
    settings = settings_of(args)
    choice = settings.model
    assert choice is not None
    comparison.say_withheld(args, choice)
    (case_id,) = settings.cases
    key = AGENT, case_id, 0
    library = None if settings.library is None else language_model.library_of(settings.library)
    with ExitStack() as stack:
        folder = new_folder(args.out / slug(case_id))
        run = stack.enter_context(open_run_folder(folder, settings, command=command, versions=runner.versions()))
        model = stack.enter_context(language_model.reached(args, args.out, choice))
        env = runner.environment_of_case(settings, case_id, progress=sys.stderr.isatty())
        base: RadPlanEnv = env.unwrapped  # type: ignore[assignment]
        session = model.session(0, run.transcript_path(key))
        agent = make_agent(args.agent, base, session=session, instructions=settings.instructions, library=library)
        assert isinstance(agent, GPTRadPlanAgent)
        observation, info = base.reset(seed=runner.seeds_of(key)[0], options={"case": case_id})
        agent.reset(observation, info)
        dialogue = Dialogue(base, agent, Conversation(folder / "conversation.md", read))
        try:
            kept = dialogue.hold(agent.act(observation, info))
        except (EpisodeInterruptedError, KeyboardInterrupt):
            _keep(dialogue, dialogue.best(), run, key, args.agent)
            raise
        _keep(dialogue, kept, run, key, args.agent)
    return 0


def settings_of(args: ConverseOptions) -> Settings:
    """Return the settings of the run that the conversation is recorded as.

    Raises
    ------
    UsageError
        If something asked for is not there.
    """
    try:
        if not issubclass(load_agent(args.agent), GPTRadPlanAgent):
            raise UsageError(f"--agent: {args.agent} cannot be talked to; choose gpt-radplan or a variant of it")
    except (ValueError, TypeError, ImportError) as error:
        raise UsageError(f"--agent: {error}") from error
    shared = {each.name for options in (LanguageModelOptions, TaskOptions) for each in fields(options)}
    asked = RunOptions(**{name: getattr(args, name) for name in shared}, agents=(args.agent,))
    settings = run_settings.settings_of(asked)
    if len(settings.cases) != 1:
        raise UsageError(f"--cases: a conversation is about one case, not {len(settings.cases)}")
    return replace(settings, agents=(AGENT,), deterministic=())


def _keep(dialogue: Dialogue, kept: int | None, run: RunFolder, key: Key, talked_with: str) -> None:
    """Save the plan that was kept, and record the episode as compare.py would."""
    if kept is None:
        comparison.say(f"no plan was made; what was said is in {run.path}")
        return
    plan = dialogue.plans[kept - 1]
    plan.save(run.path / "plan.npz")
    said = {**dialogue.agent.record(), "talked_with": talked_with, "plan_chosen": kept}
    record = runner.record_of_plans(dialogue.env, run, key, dialogue.plans, said)
    run.append({**record, "seconds": dialogue.seconds})
    write_json(run.case_path(key[1]), runner.facts(dialogue.env.system))
    score = plan.evaluation.score
    dialogue.conversation.show("Kept", f"plan {kept}, score {score:.1f} of 100: {run.path / 'plan.npz'}")
