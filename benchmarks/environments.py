"""Steps per second of the vector environment, against Gymnasium's SyncVectorEnv and AsyncVectorEnv.

A step is one plan of one sub-environment: a warm-started solve with its metrics, score and observation.
Sub-environments are on one synthetic prostate, or each on its own. All three take the same actions and must earn the
same rewards, to the last bit. Before the clock starts, dose-influence matrices and a first plan have been made.

AsyncVectorEnv has a process for each sub-environment; the other two share this one.

Last, what sub-environments on one patient could gain at most if they shared work: the time of a step that products with
K take, and that together with Hessians, if either cost nothing (Amdahl). Targets' Hessians are shared already. And the
CPU seconds of a warm step, verdict included, and of a new patient.

  python benchmarks/environments.py
  python benchmarks/environments.py --environments 1 4 --steps 2 --patients one
  python benchmarks/environments.py --site head_and_neck --data open-kbp/provided-data --environments --steps 3
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice, product
from pathlib import Path
from typing import Any, Literal

# Run as a script: find our packages from any directory, and not our files as top-level modules.
if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import gymnasium
import numpy as np
import tyro
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv, VectorEnv
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.machine import Figure, print_figures, print_machine
from benchmarks.profiling import PRODUCTS, shares
from radplan_env import Case
from radplan_env.sites import environment_id, site_id
from radplan_env.sources import openkbp, synthetic

SEED = 0

Layout = Literal["one", "different"]
Settings = Mapping[str, Any]
Vectors = VectorEnv[Any, Any, Any]


@dataclass
class Args:
    environments: tuple[int, ...] = (1, 4, 8, 16)
    """Numbers of sub-environments."""

    steps: int = 3
    """Timed steps of every sub-environment, after the first, which starts cold."""

    patients: tuple[Layout, ...] = ("one", "different")
    """Whether the sub-environments are all on one patient, or each on its own."""

    fidelity: Literal["fast", "standard", "paper"] = "fast"
    """Dose grid and bixel size."""

    site: Literal["prostate", "head_and_neck"] = "prostate"
    """Synthetic prostates, or training patients of OpenKBP."""

    data: Path = Path("../shared/data/openkbp/provided-data")
    """Folder of the OpenKBP patients."""


def ours(cases: Sequence[Case], settings: Settings) -> Vectors:
    cohort = list({case.id: case for case in cases}.values())
    envs = gymnasium.make_vec(num_envs=len(cases), vectorization_mode="vector_entry_point", cases=cohort, **settings)
    envs.reset(options={"case": cases[0].id})
    for number, case in enumerate(cases):
        envs.reset(options={"case": case.id, "reset_mask": np.arange(len(cases)) == number})
    return envs


def sync(cases: Sequence[Case], settings: Settings) -> Vectors:
    envs = SyncVectorEnv([partial(gymnasium.make, cases=[case], **settings) for case in cases])
    envs.reset()
    return envs


def asynchronous(cases: Sequence[Case], settings: Settings) -> Vectors:
    # A fork of this process would inherit OpenMP's threads, which numba refuses.
    multiprocessing.set_forkserver_preload(["radplan_env.env"])
    makers = [partial(gymnasium.make, cases=[case], **settings) for case in cases]
    envs = AsyncVectorEnv(makers, context="forkserver")
    envs.reset()
    return envs


WAYS: Mapping[str, Callable[[Sequence[Case], Settings], Vectors]] = {
    "SyncVectorEnv": sync,
    "AsyncVectorEnv": asynchronous,
    "RadPlanVectorEnv": ours,
}
"""Each makes a vector environment and begins an episode on each of the cases."""


def timed(envs: Vectors, steps: int) -> tuple[float, NDArray[np.float64]]:
    """Steps per second, all sub-environments together, and the rewards (steps, sub-environments)."""
    actions = np.random.default_rng(SEED).uniform(-1, 1, (steps + 1, *envs.action_space.shape)).astype(np.float32)  # type: ignore[misc]
    envs.step(actions[0])
    started = time.perf_counter()
    rewards = [envs.step(each)[1] for each in actions[1:]]
    return envs.num_envs * steps / (time.perf_counter() - started), np.array(rewards)


def warm_step(case: Case, settings: Settings, steps: int) -> dict[str, Figure]:
    """CPU seconds of a warm step, verdict included; and how many times more a batch on one patient could make at most.

    By the shares of a step on one core.
    """
    with closing(ours([case], settings)) as envs:
        actions = np.random.default_rng(SEED).uniform(-1, 1, (2 * steps + 1, *envs.action_space.shape))  # type: ignore[misc]
        first, *others = actions.astype(np.float32)
        envs.step(first)
        seconds = []
        for each in others[:steps]:
            began = time.process_time()
            envs.step(each)
            seconds.append(time.process_time() - began)
        parts = shares(lambda: [envs.step(each) for each in others[steps:]])
    print("share of a warm step: " + ", ".join(f"{part} {share:.0%}" for part, share in parts.items()))
    products = sum(parts.get(part, 0.0) for part in PRODUCTS)
    figures = {
        "CPU seconds of a warm step": round(float(np.median(seconds)), 2),
        "batch at most, products with K free": round(1 / (1 - products), 2),
        "batch at most, Hessians free as well": round(1 / (1 - products - parts.get("Hessian", 0.0)), 2),
    }
    print(", ".join(f"{name}: {figure}" for name, figure in figures.items()))
    return {**figures}


def new_patient(case: Case, settings: Settings) -> dict[str, Figure]:
    """CPU seconds from a case to an episode on it: K, its rays and points, and what the verdict needs."""
    began = time.process_time()
    with closing(ours([case], settings)):
        seconds = round(time.process_time() - began, 2)
    print(f"CPU seconds of a new patient: {seconds}")
    return {"CPU seconds of a new patient": seconds}


def main(args: Args) -> None:
    print_machine(("numpy", "numba", "gymnasium"))
    count = max([2, *(args.environments if "different" in args.patients else ())])
    prostate = args.site == "prostate"
    patients = synthetic.load("train", count) if prostate else islice(openkbp.load(args.data, "train"), count)
    cohort = list(tqdm(patients, desc="patients", leave=False))
    settings = {
        "id": f"radplan_env:{environment_id(site_id(args.site))}",
        "fidelity": args.fidelity,
        "budget": 2 * args.steps + 1,
        "relative_step": 0.1,
        "progress": False,
    }
    figures: dict[str, Figure] = {}
    identical = True
    print(f"steps per second, {args.fidelity!r}\npatients   environments  " + "  ".join(WAYS) + "  × Sync  × Async")
    for layout, count in tqdm(list(product(args.patients, args.environments)), desc="measuring", leave=False):
        cases = cohort[:count] if layout == "different" else cohort[:1] * count
        speed, rewards = {}, {}
        for way, make in WAYS.items():
            with closing(make(cases, settings)) as envs:
                speed[way], rewards[way] = timed(envs, args.steps)
        identical &= all(np.array_equal(each, rewards["SyncVectorEnv"]) for each in rewards.values())
        ratios = [speed["RadPlanVectorEnv"] / speed[peer] for peer in ("SyncVectorEnv", "AsyncVectorEnv")]
        columns = "  ".join(f"{value:{len(way)}.2f}" for way, value in speed.items())
        tqdm.write(f"{layout:9}  {count:12}  {columns}  {ratios[0]:6.2f}  {ratios[1]:7.2f}")
        for way, value in speed.items():
            figures[f"{way} {count} {layout}"] = round(value, 3)
        figures[f"ratio to SyncVectorEnv {count} {layout}"] = round(ratios[0], 3)
        figures[f"ratio to AsyncVectorEnv {count} {layout}"] = round(ratios[1], 3)
    print(f"rewards identical: {identical}")
    figures |= warm_step(cohort[0], settings, args.steps)
    figures |= new_patient(cohort[1], settings)
    print_figures("environments", {**figures, "identical": identical})


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
