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
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ProcessPoolExecutor, wait
from functools import lru_cache
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from tqdm import tqdm

from agents.agent import Agent, make_agent
from experiments.cohort import SITES, Origin, open_cohort
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
    """One episode's record; its best plan is saved at `plan_path` first.

    An agent that raises, or stops without a plan, is recorded as failed, with what it had done until then.
    """
    agent_name, case, seed = key
    env = _environment_of(settings, case)
    environment_seed, agent_seed = seeds_of(key)
    plans: list[Plan] = []
    error = None
    started = time.perf_counter()
    try:
        agent = make_agent(agent_name, env.unwrapped.action_map, seed=agent_seed)  # type: ignore[attr-defined]
        for plan in episode(env, agent, case, environment_seed):
            plans.append(plan)  # one by one, so that they survive an agent that raises
        if not plans:
            error = {"message": "the agent stopped before its first solve", "traceback": ""}
    except (Exception, SystemExit) as raised:  # a third party's agent may raise anything
        error = {"message": f"{type(raised).__name__}: {raised}", "traceback": traceback.format_exc()}
    seconds = time.perf_counter() - started
    scores = [plan.evaluation.score for plan in plans]
    best = int(np.argmax(scores)) if plans else None
    if best is not None:
        write_atomically(plan_path, plans[best].save)
    return {
        "status": COMPLETE if error is None else FAILED,
        "error": error,
        "agent": agent_name,
        "case": case,
        "seed": seed,
        "site": settings.site,
        "protocol": settings.protocol,
        "fidelity": settings.fidelity,
        "budget": settings.budget,
        "best_score": None if best is None else scores[best],
        "final_score": None if best is None else scores[-1],
        "best_step": best,
        "steps": [plan.summary() for plan in plans],
        "environment_seed": environment_seed,
        "agent_seed": agent_seed,
        "seconds": round(seconds, 3),
        "versions": versions(),
    }


def prepare(settings: Settings, case_id: str, path: Path) -> None:
    """Build (or find) a case's dose influence and note what is known of it before anyone plans.

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


def prepare_all(pool: ProcessPoolExecutor, folder: RunFolder) -> dict[str, str]:
    """Prepare every case that still has episodes to play; return what went wrong, by case."""
    todo = dict.fromkeys(case for _, case, _ in folder.todo())
    cases = [case for case in todo if not folder.case_path(case).exists()]
    tasks = {pool.submit(prepare, folder.settings, case, folder.case_path(case)): case for case in cases}
    failed = {}
    for future in _finished(tasks, "dose influence", "case"):
        error = future.exception()
        if isinstance(error, (BrokenExecutor, OSError)):  # the machine's fault, not the case's
            raise error
        if error is not None:
            failed[tasks[future]] = f"{type(error).__name__}: {error}"
    return failed


def play_all(pool: ProcessPoolExecutor, folder: RunFolder, keys: Sequence[Key], command: str) -> None:
    """Play episodes and record each when it is over."""
    futures = [pool.submit(play, folder.settings, key, folder.plan_path(key)) for key in keys]
    for future in _finished(futures, "episodes", "episode"):
        folder.append({**future.result(), "command": command})


def _finished(futures: Collection[Future[Any]], description: str, unit: str) -> Iterator[Future[Any]]:
    """Futures as they finish, with a progress bar whose clock runs where someone watches it."""
    tick = 1.0 if sys.stderr.isatty() else None
    pending = set(futures)
    with tqdm(total=len(pending), desc=description, unit=unit, disable=not pending, file=sys.stderr) as bar:
        while pending:
            done, pending = wait(pending, timeout=tick, return_when=FIRST_COMPLETED)
            bar.update(len(done))
            bar.refresh()
            yield from done
