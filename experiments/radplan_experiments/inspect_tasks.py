"""Suites as tasks of inspect_ai: a model plans each case at the planner's console, and is scored by its best plan.

inspect eval radplan_env/radplan --model openai/gpt-5 -T suite=prostate-v1
inspect eval radplan_env/radplan --model … -T suite=head-and-neck-v1 -T data=open-kbp/provided-data --limit 3

Each episode's record lies in OUT/CASE/N, a results folder that `radplan validate` confirms. Needs inspect_ai:
pip install -e '.[inspect]' in the checkout.
"""

from __future__ import annotations

import base64
import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessageSystem, ChatMessageUser, ContentImage, ContentText
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer, stderr
from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.tool import ToolDef, ToolParams
from inspect_ai.tool import ToolError as InspectToolError

from radplan_agents.privacy import is_own_patient
from radplan_agents.tool_planner import manual
from radplan_env.console import Answer, ToolError, tool_descriptions
from radplan_experiments.options import RunOptions
from radplan_experiments.recording import ranking
from radplan_experiments.recording.settings import Settings
from radplan_experiments.running.run_settings import settings_of_suite
from radplan_experiments.running.served_episode import ServedEpisode

AGENT = "inspect"
"""What the planner is called in the record."""

MOST_MESSAGES = 200
"""Of a conversation; a model that goes on and on is stopped."""

_ONE_AT_A_TIME = threading.Lock()  # an episode takes the cores that there are


@task
def radplan(suite: str = "prostate-v1", data: str = "", out: str = "results/inspect") -> Task:
    """A suite: every case is a sample.

    Parameters
    ----------
    suite : str
        Name of the suite.
    data : str
        What its source reads, for head-and-neck-v1 the provided-data folder of OpenKBP.
    out : str
        Folder for the records.
    """
    folders = (Path(data),) if data else ()
    asked = RunOptions(agents=("template",), data=folders)
    return task_of(replace(settings_of_suite(suite, asked), agents=(AGENT,), deterministic=()), Path(out))


def task_of(settings: Settings, out: Path) -> Task:
    """Return the task of a run: its cases are the samples.

    Parameters
    ----------
    settings : Settings
        Whose first agent is what the planner is called in the records.
    out : Path
        Folder for the records.
    """
    samples = [Sample(input="Plan this patient.", id=case) for case in settings.cases]
    return Task(
        dataset=samples, solver=planner(settings, out), scorer=best_score(), message_limit=MOST_MESSAGES, name="radplan"
    )


@solver
def planner(settings: Settings, out: Path) -> Solver:
    """Let the model plan at the console until it stops calling tools."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        episode = await _in_thread(ServedEpisode, settings, str(state.sample_id), out, "inspect eval")
        state.tools = [tool.as_tool() for tool in _tools(episode)]
        described = await _in_thread(episode.call, "task", {})
        told = json.dumps(described.data, ensure_ascii=False)
        state.messages = [
            ChatMessageSystem(content=manual()),
            ChatMessageUser(content=f"Plan this patient:\n{told}"),
        ]
        try:
            return await generate(state, tool_calls="loop")
        finally:
            with anyio.CancelScope(shield=True):
                folder = await _in_thread(episode.close)
            steps = [solved.plan.summary() for solved in episode.console.desk.plans]
            state.metadata["best_points"] = ranking.best_points(steps)
            state.metadata["solves"] = len(steps)
            state.metadata["record"] = None if folder is None else str(folder)

    return solve


@scorer(metrics=[mean(), stderr()])
def best_score() -> Scorer:
    """The score of the best plan, from 0 to 100; 0 without one that the scorecard passes."""

    async def score(state: TaskState, target: Target) -> Score:
        found = state.metadata
        said = f"{found['solves']} solves; record: {found['record'] or 'none, as no plan was made'}"
        return Score(value=float(found["best_points"]), explanation=said)

    return score


def _tools(episode: ServedEpisode) -> list[ToolDef]:
    return [
        ToolDef(
            _tool(episode, name),
            name=name,
            description=description,
            parameters=ToolParams.model_validate(schema),
            parallel=False,
        )
        for name, description, schema in tool_descriptions()
    ]


def _tool(episode: ServedEpisode, name: str) -> Any:
    """Return a tool of the console as inspect_ai calls it."""

    async def execute(**kwargs: Any) -> list[ContentText | ContentImage]:
        try:
            answer: Answer = await _in_thread(episode.call, name, kwargs)
        except ToolError as error:
            raise InspectToolError(str(error)) from error
        content: list[ContentText | ContentImage] = [ContentText(text=json.dumps(answer.data, ensure_ascii=False))]
        if not is_own_patient(episode.case):
            for view in answer.pictures:
                content.append(ContentImage(image=f"data:image/png;base64,{base64.b64encode(view.png).decode()}"))
        return content

    return execute


async def _in_thread(function: Any, *arguments: Any) -> Any:
    def work() -> Any:
        with _ONE_AT_A_TIME:
            return function(*arguments)

    return await anyio.to_thread.run_sync(work)
