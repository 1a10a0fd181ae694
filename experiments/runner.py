"""Plays episodes: agents × cases × seeds, on one or more processes."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import sys
import time
import traceback
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from functools import lru_cache
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from tqdm import tqdm

from agents.agent import Agent, make_agent
from experiments.cohort import SITES, Origin, open_cohort
from experiments.processes import Workers, count_solve
from experiments.records import (
    COMPLETE,
    FAILED,
    Key,
    Record,
    RunFolder,
    Settings,
    write_atomically,
    write_json,
)
from radplan_env.case import Case
from radplan_env.plan import Plan, PlanningSystem
from radplan_env.protocol import load_protocol

PACKAGES = ("radplan-env", "numpy", "scipy", "numba", "pyRadPlan", "gymnasium")


def episode(env: gymnasium.Env[Any, Any], agent: Agent, case: str, seed: int) -> Iterator[Plan]:
    """Let an agent plan a case; yield the plan of each solve."""
    observation, info = env.reset(seed=seed, options={"case": case})
    agent.reset(observation, info)
    over = False
    while not over and (action := agent.act(observation, info)) is not None:
        observation, _, terminated, truncated, info = env.step(action)
        over = terminated or truncated
        yield env.unwrapped.plan  # type: ignore[attr-defined]


def seeds_of(key: Key) -> tuple[int, int]:
    """Seeds of the environment and the agent, from the episode's name alone: their order is no matter."""
    digest = hashlib.sha256(json.dumps(key).encode()).digest()
    environment, agent = np.random.SeedSequence(list(digest)).generate_state(2)
    return int(environment), int(agent)


def play(settings: Settings, key: Key, plan_path: Path) -> Record:
    """One episode's record; the plan it hands over is saved at `plan_path` first.

    An agent that raises, or stops without a plan, is recorded as failed, with what it had done until then.
    """
    agent, case, seed = key
    env = _environment_of(settings, case)
    started = time.perf_counter()
    plans, error = _attempt(env, key)
    seconds = time.perf_counter() - started
    chosen = handed_over(plans)
    if chosen is not None:
        write_atomically(plan_path, plans[chosen].save)
    scores = [plan.evaluation.score for plan in plans]
    return {
        "status": COMPLETE if error is None else FAILED,
        "error": error,
        "agent": agent,
        "case": case,
        "seed": seed,
        "site": settings.site,
        "protocol": settings.protocol,
        "fidelity": settings.fidelity,
        "budget": settings.budget,
        "best_score": max(scores, default=None),
        "final_score": scores[-1] if scores else None,
        "handed_over": chosen,
        "steps": [plan.summary() for plan in plans],
        "seconds": round(seconds, 3),
        "versions": versions(),
    }


def _attempt(env: gymnasium.Env[Any, Any], key: Key) -> tuple[list[Plan], dict[str, str] | None]:
    """The plans of an episode and, if the agent failed, how: a third party's agent may raise anything."""
    name, case, _ = key
    environment_seed, agent_seed = seeds_of(key)
    plans: list[Plan] = []
    try:
        agent = make_agent(name, env.unwrapped.action_map, seed=agent_seed)  # type: ignore[attr-defined]
        for plan in episode(env, agent, case, environment_seed):
            plans.append(plan)  # one by one, so that they survive an agent that raises
            count_solve()
    except (Exception, SystemExit) as raised:
        return plans, {"message": f"{type(raised).__name__}: {raised}", "traceback": traceback.format_exc()}
    if not plans:
        return plans, {"message": "the agent stopped before its first solve", "traceback": ""}
    return plans, None


def handed_over(plans: Sequence[Plan]) -> int | None:
    """Index of the plan an episode hands over: one that meets every criterion, else the best score's."""
    judged = [plan.evaluation for plan in plans]
    return max(range(len(plans)), key=lambda i: (judged[i].met, judged[i].score), default=None)


def prepare(settings: Settings, case_id: str, path: Path) -> None:
    """See that a case can be planned, and note what is known of it before anyone plans.

    That includes what the protocol says of its reference plan, where it has one.
    """
    case = read_case(settings, case_id)
    system = planning_system(settings, case)
    reference = system.reference
    write_json(
        path,
        {
            "case": case_id,
            "digest": case.digest(),
            "synthetic": case.synthetic,
            "missing": list(system.protocol.missing),
            "unmapped": list(case.unmapped),
            "reference": None if reference is None else reference.to_dict(),
        },
    )


def read_case(settings: Settings, case_id: str) -> Case:
    """The case of an id of the run."""
    return open_cohort(Origin(settings.source, settings.data, settings.split, settings.names))[case_id]


def planning_system(settings: Settings, case: Case) -> PlanningSystem:
    """The planning system that the environment uses for a case."""
    protocol = load_protocol(settings.protocol)
    return PlanningSystem(case, protocol, fidelity=settings.fidelity, progress=False)


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


@lru_cache(maxsize=1)
def _environment_of(settings: Settings, case_id: str) -> gymnasium.Env[Any, Any]:
    """The environment of one case; the last one is kept, as a case's episodes follow each other.

    It is reset here once: a matrix that cannot be read is no agent's failure.
    """
    env: gymnasium.Env[Any, Any] = gymnasium.make(
        SITES[settings.site].environment,
        cases=[read_case(settings, case_id)],
        fidelity=settings.fidelity,
        budget=settings.budget,
        progress=False,
    )
    env.reset(options={"case": case_id})
    return env


def prepare_all(workers: Workers, folder: RunFolder) -> dict[str, str]:
    """Prepare every case that still has episodes to play; return what went wrong, by case."""
    todo = dict.fromkeys(case for _, case, _ in folder.todo())
    cases = [case for case in todo if not folder.case_path(case).exists()]
    tasks = {workers.pool.submit(prepare, folder.settings, case, folder.case_path(case)): case for case in cases}
    failed = {}
    for future in _finished(tasks, "dose influence", "case", workers):
        error = future.exception()
        if isinstance(error, (BrokenExecutor, OSError)):  # the machine's fault, not the case's
            raise error
        if error is not None:
            failed[tasks[future]] = f"{type(error).__name__}: {error}"
    return failed


def play_all(workers: Workers, folder: RunFolder, keys: Sequence[Key], command: str) -> None:
    """Play episodes and record each when it is over."""
    futures = [workers.pool.submit(play, folder.settings, key, folder.plan_path(key)) for key in keys]
    for future in _finished(futures, "episodes", "episode", workers):
        folder.append({**future.result(), "command": command})


def _finished(futures: Collection[Future[Any]], description: str, unit: str, workers: Workers) -> Iterator[Future[Any]]:
    """Futures as they finish, with a progress bar whose clock runs where someone watches it."""
    tick = 1.0 if sys.stderr.isatty() else None
    pending = set(futures)
    with tqdm(total=len(pending), desc=description, unit=unit, disable=not pending, file=sys.stderr) as bar:
        while pending:
            done, pending = wait(pending, timeout=tick, return_when=FIRST_COMPLETED)
            if solves := workers.counter.value:
                bar.set_postfix(solves=solves, refresh=False)
            bar.update(len(done))
            bar.refresh()
            yield from done
