"""Plays an episode: an agent, a case, a seed."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

import radplan_agents
from radplan_agents.agent import Agent, EpisodeInterruptedError
from radplan_agents.llm import Session
from radplan_agents.privacy import is_own_patient
from radplan_agents.registry import make_agent, track_of
from radplan_env.case import Case
from radplan_env.env import RadPlanEnv
from radplan_env.info import PlanSummary
from radplan_env.planning import DeliverySettings, Plan, PlanningSystem
from radplan_experiments.cohort import Origin, environment_of, open_cohort, unrecognised
from radplan_experiments.recording import apertures, failures, fluences, ranking
from radplan_experiments.recording.records import COMPLETE, FAILED, Delivered, Failure, Key, Outcome, Record
from radplan_experiments.recording.run_folder import RunFolder
from radplan_experiments.recording.settings import Settings
from radplan_experiments.running.language_model import LanguageModel, library_of, reads_library, talks
from radplan_experiments.running.own_agents import source_digest
from radplan_experiments.wording import counted
from radplan_experiments.writing import write_atomically, write_json

PACKAGES = ("radplan-env", "numpy", "scipy", "numba", "pyRadPlan", "gymnasium")


def episode(env: gymnasium.Env[Any, Any], agent: Agent, case: str, seed: int) -> Iterator[Plan]:
    """Let an agent plan a case; yield the plan of each solve."""
    for _ in radplan_agents.play(agent, env, seed=seed, options={"case": case}):
        yield env.unwrapped.plan  # type: ignore[attr-defined]


def seeds_of(key: Key) -> tuple[int, int]:
    """Seeds of the environment and the agent, from the episode's name alone: their order is no matter."""
    digest = hashlib.sha256(json.dumps(key).encode()).digest()
    environment, agent = np.random.SeedSequence(list(digest)).generate_state(2)
    return int(environment), int(agent)


def play(folder: RunFolder, key: Key, model: LanguageModel | None = None) -> Record:
    """One episode's record; the fluences of its plans and the plan it hands over are saved first.

    An agent that raises, or stops without a plan, is recorded as failed, with what it had done until then.

    Parameters
    ----------
    folder : RunFolder
        The run's; its records are not used.
    key : Key
        Agent, case and seed.
    model : LanguageModel, optional
        For the agents that talk to one.

    Raises
    ------
    EpisodeInterruptedError
        If the agent cannot go on for reasons that are not its own: there is nothing to record.
    """
    env = _environment_of(folder.settings, key[1])
    started = time.perf_counter()
    done = _attempt(env, folder, key, model)
    base: RadPlanEnv = env.unwrapped  # type: ignore[assignment]
    record = record_of_plans(base, folder, key, done.plans, done.agent_record, done.error)
    return {**record, "seconds": round(time.perf_counter() - started, 3), "agent_cpu_seconds": done.agent_cpu_seconds}


def record_of_plans(
    env: RadPlanEnv,
    folder: RunFolder,
    key: Key,
    plans: Sequence[Plan],
    agent_record: dict[str, Any] | None = None,
    error: Failure | None = None,
) -> Record:
    """Return the record of an episode, whoever has played it; its fluences and the plan handed over are saved first."""
    settings, (agent, case, seed) = folder.settings, key
    came_to = outcome([plan.summary() for plan in plans])
    plans, against, delivered = list(plans), None, None
    if (chosen := came_to["handed_over"]) is not None:
        plans[chosen] = env.system.with_rounding(plans[chosen])
        delivered = deliver(settings, env.system, plans[chosen])
        keep(folder, key, plans, delivered or plans[chosen])
        against = env.system.against_reference(delivered or plans[chosen])
    told = told_of(delivered)
    return {
        "status": COMPLETE if error is None else FAILED,
        "error": error,
        "agent": agent,
        "case": case,
        "seed": seed,
        "site": settings.site,
        "protocol": settings.protocol.name,
        "scorecard": settings.scorecard.identity,
        "fidelity": settings.fidelity,
        "budget": settings.budget,
        "best_score": came_to["best_score"],
        "final_score": came_to["final_score"],
        "handed_over": came_to["handed_over"],
        "delivered": told["delivered"],
        "delivered_plan": told["delivered_plan"],
        "against_reference": against,
        "steps": [plan.summary() for plan in plans],
        "agent_record": agent_record,
        "agent_source": source_digest(agent),
        "track": track_of(agent),
        "seconds": 0.0,
        "versions": versions(),
    }


@dataclass
class _Attempt:
    """The plans of an episode, what the agent says of it, how it failed if it did, and what its own process took."""

    plans: list[Plan] = field(default_factory=list)
    agent_record: dict[str, Any] | None = None
    error: Failure | None = None
    agent_cpu_seconds: float | None = None


def _attempt(env: gymnasium.Env[Any, Any], folder: RunFolder, key: Key, model: LanguageModel | None) -> _Attempt:
    """Play an episode. A third party's agent may raise anything."""
    base: RadPlanEnv = env.unwrapped  # type: ignore[assignment]
    before = base.system.solves
    done = _Attempt()
    plans = done.plans
    agent: Agent | None = None
    try:
        session = _session(folder, key, model)
        if session is not None:
            session.shows_own_patient = is_own_patient(base.system.case)
        agent = _agent(base, folder, key, session)
        for plan in episode(env, agent, key[1], seeds_of(key)[0]):
            plans.append(plan)  # one by one, so that they survive an agent that raises
            if session is not None:
                session.step(len(plans), f"Plan {len(plans)} is solved: score {plan.evaluation.score:.2f}.")
        done.agent_record = record_of(agent)
    except EpisodeInterruptedError:
        raise
    except (Exception, SystemExit) as raised:
        at = failures.place(raised, key[0])
        done.error = {
            "message": f"{type(raised).__name__}: {raised}",
            "at": at,
            "traceback": traceback.format_exc(),
        }
        with suppress(Exception):  # who has failed may have nothing more to say
            done.agent_record = record_of(agent)
        return done
    done.agent_cpu_seconds = getattr(agent, "cpu_seconds", None)
    hidden = base.system.solves - before - len(plans)
    if not plans:
        done.error = {"message": "the agent stopped before its first solve", "traceback": ""}
    elif hidden > 0:
        message = f"the agent made {counted(hidden, 'solve')} behind the environment's back"
        done.error = {"message": message, "traceback": ""}
    return done


def _session(folder: RunFolder, key: Key, model: LanguageModel | None) -> Session | None:
    """The conversation with the model of an episode whose agent talks to one."""
    name, _, seed = key
    if model is None or not talks(name):
        return None
    transcript = RunFolder(model.folder, folder.settings).transcript_path(key)  # where it can be watched
    return model.session(seed, transcript)


def _agent(env: RadPlanEnv, folder: RunFolder, key: Key, session: Session | None) -> Agent:
    """The agent of an episode, with its session if it talks to a model."""
    name = key[0]
    settings: dict[str, Any] = {}
    if session is not None:
        settings = {"session": session, "instructions": folder.settings.instructions}
    if folder.settings.library is not None and reads_library(name):
        settings["library"] = library_of(folder.settings.library)
    return make_agent(name, env, seed=seeds_of(key)[1], **settings)


def record_of(agent: Agent | None) -> dict[str, Any] | None:
    """What an agent says of its last episode, None if it says nothing.

    Raises
    ------
    TypeError, ValueError
        If it is no dict of plain JSON data.
    """
    record = getattr(agent, "record", None)
    if record is None:
        return None
    plain: dict[str, Any] | None = json.loads(json.dumps(record(), allow_nan=False))
    if not isinstance(plain, dict | None):
        raise TypeError(f"record() of an agent returns a dict or None, not {plain!r}")
    return plain


def deliver(settings: Settings, system: PlanningSystem, plan: Plan) -> Plan | None:
    """The plan that an episode hands over as it is delivered; None where plans are ideal."""
    if (chosen := settings.delivery) is None:
        return None
    if chosen.when == "final":
        return system.deliver(plan, chosen.technique, chosen.machine, chosen.arcs).plan
    return system.judged_in_full(plan)


def told_of(delivered: Plan | None) -> Delivered:
    """What a record says of the delivered plan."""
    if delivered is None:
        return {"delivered": None, "delivered_plan": None}
    summary = delivered.summary()
    return {"delivered": summary["delivered"], "delivered_plan": summary}


def keep(folder: RunFolder, key: Key, plans: Sequence[Plan], chosen: Plan) -> None:
    """Store fluence and apertures of every solve of an episode, and whole the plan that it hands over."""
    solved = [plan.solution.fluence for plan in plans]
    write_atomically(folder.fluences_path(key), lambda path: fluences.save(path, solved))
    if deliveries := [plan.delivery for plan in plans if plan.delivery is not None]:
        write_atomically(folder.apertures_path(key), lambda path: apertures.save(path, deliveries))
    write_atomically(folder.plan_path(key), chosen.save)


def outcome(steps: Sequence[PlanSummary]) -> Outcome:
    """What an episode comes to, from the summaries of its plans."""
    best = ranking.best(steps)
    return {
        "best_score": None if best is None else steps[best]["score"],
        "final_score": steps[-1]["score"] if steps else None,
        "handed_over": ranking.handed_over(steps),
    }


def prepare(settings: Settings, case_id: str, path: Path) -> None:
    """See that a case can be planned and delivered, and note what is known of it before anyone plans."""
    system = planning_system(settings, read_case(settings, case_id))
    if settings.delivery is not None:
        system.check_delivery(settings.delivery)
    write_json(path, facts(system))


def facts(system: PlanningSystem) -> dict[str, Any]:
    """What is known of a case, and what the protocol says of its reference plan, where it has one."""
    case, reference = system.case, system.reference
    taken = [f"{own} is planned as {name}" for name, own in system.protocol.case_name.items() if own != name]
    return {
        "case": case.id,
        "digest": case.digest(),
        "synthetic": case.synthetic,
        "missing": list(system.protocol.missing),
        "unmapped": list(case.unmapped),
        "notes": [*case.notes, *taken],
        "reference": None if reference is None else {**reference.to_dict(), "scaled_by": system.reference_scaled_by},
    }


def read_case(settings: Settings, case_id: str) -> Case:
    """The case of an id of the run."""
    return open_cohort(origin_of(settings))[case_id]


def origin_of(settings: Settings) -> Origin:
    """Where the cases of a run come from."""
    return Origin(
        settings.source,
        settings.data,
        settings.split,
        settings.names,
        settings.reference_dose,
        structures=unrecognised(settings.protocol),
    )


def planning_system(settings: Settings, case: Case) -> PlanningSystem:
    """The planning system that the environment uses for a case."""
    return PlanningSystem(case, settings.protocol, progress=False, delivery=_each(settings), **_task(settings))


def _task(settings: Settings) -> dict[str, Any]:
    """What planning system and environment are told alike."""
    return {
        "fidelity": settings.fidelity,
        "scorecard": settings.scorecard.name,
        "gantry_angles_deg": settings.gantry_angles_deg or None,
        "collimator_angles_deg": settings.collimator_angles_deg or None,
        "beam_model": settings.beam_model.name,
    }


def _each(settings: Settings) -> DeliverySettings:
    """How every plan is delivered. Where only the one handed over is, agents plan ideal ones."""
    chosen = settings.delivery
    return DeliverySettings() if chosen is None or chosen.when == "final" else chosen


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
    """The environment of one case; the last one is kept, as a case's episodes follow each other."""
    return environment_of_case(settings, case_id)


def environment_of_case(settings: Settings, case_id: str, *, progress: bool = False) -> gymnasium.Env[Any, Any]:
    """Make the environment of one case.

    It is reset here once: a matrix that cannot be read is no agent's failure.
    """
    delivery = _each(settings)
    env: gymnasium.Env[Any, Any] = gymnasium.make(
        environment_of(settings.site),
        technique=delivery.technique,
        machine=delivery.machine,
        arcs=delivery.arcs,
        protocol=settings.protocol,
        cases=[read_case(settings, case_id)],
        budget=settings.budget,
        progress=progress,
        **_task(settings),
    )
    env.reset(options={"case": case_id})
    return env
