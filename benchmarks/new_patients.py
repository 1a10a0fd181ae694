"""A new patient in every episode: how long reset() takes, and a short PPO training on patients never seen before.

The environment is RadPlan/Prostate-v0 at fidelity `fast` over `synthetic.load("endless", voxel_size_mm=5)`: each reset
generates a pelvis from a seed of its own and computes its dose-influence matrix; nothing is kept on the disk.

  python benchmarks/new_patients.py
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any
from unittest.mock import patch

# Run as a script: find our packages from any directory.
if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import gymnasium
import numpy as np
import tyro
from stable_baselines3 import PPO
from tqdm import tqdm

from benchmarks.machine import print_figures, print_machine
from radplan_env.influence import ENGINES
from radplan_env.sources import synthetic


@dataclass
class Args:
    resets: int = 10
    """New patients whose reset is timed; the median counts."""
    steps: int = 64
    """Steps (solves) of the PPO training."""
    budget: int = 5
    """Solves of an episode: each ends and brings a new patient after so many."""


class Stopwatch:
    """Seconds spent in a function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.seconds, self.calls = function, 0.0, 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        start = perf_counter()
        try:
            return self.function(*args, **kwargs)
        finally:
            self.seconds += perf_counter() - start
            self.calls += 1


@contextmanager
def stopwatches() -> Iterator[tuple[Stopwatch, Stopwatch]]:
    """Time the generation of cases and the computation of K."""
    generate, compute = Stopwatch(synthetic.generate), Stopwatch(ENGINES["radplan"])
    with patch.object(synthetic, "generate", generate), patch.dict(ENGINES, radplan=compute):
        yield generate, compute


def main(args: Args) -> None:
    print_machine(("numpy", "numba", "gymnasium", "stable-baselines3", "torch"))
    os.environ.pop("RADPLAN_CACHE_DIR", None)  # nothing is kept on the disk
    env = gymnasium.make(
        "radplan_env:RadPlan/Prostate-v0",
        cases=synthetic.load("endless", voxel_size_mm=5),
        budget=args.budget,
        progress=False,
    )
    env.reset(seed=0)
    env.step(env.action_space.sample())  # loads what is compiled
    seconds = []
    with stopwatches() as (generate, compute):
        for _ in tqdm(range(args.resets), "resets", leave=False):
            start = perf_counter()
            env.reset()
            seconds.append(perf_counter() - start)
        anatomy, matrix = generate.seconds / generate.calls, compute.seconds / compute.calls
    median = float(np.median(seconds))
    print(
        f"reset() to the first observation of a new patient: {median:.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"
    )
    print(f"  of which, on average, {anatomy:.2f} s the anatomy and {matrix:.2f} s K")

    steps = min(args.steps, 64)
    model = PPO("MultiInputPolicy", env, n_steps=steps, batch_size=min(steps, 32), n_epochs=4, seed=0, device="cpu")
    with stopwatches() as (generate, compute):
        start = perf_counter()
        model.learn(args.steps, progress_bar=False)
        elapsed = perf_counter() - start
    done = model.num_timesteps
    shares = {"anatomy": generate.seconds / elapsed, "K": compute.seconds / elapsed}
    print(f"PPO: {done} steps on {compute.calls} new patients in {elapsed:.0f} s, {done / elapsed:.2f} steps/s")
    print(f"  of which {100 * shares['K']:.0f} % K and {100 * shares['anatomy']:.0f} % the anatomy")
    print_figures(
        "new_patients",
        {
            "reset_seconds": median,
            "anatomy_seconds": anatomy,
            "matrix_seconds": matrix,
            "ppo_steps": done,
            "ppo_patients": compute.calls,
            "ppo_steps_per_second": done / elapsed,
            "ppo_share_matrix": shares["K"],
            "ppo_share_anatomy": shares["anatomy"],
        },
    )


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
