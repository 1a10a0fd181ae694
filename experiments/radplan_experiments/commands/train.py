"""Train a planner by reinforcement learning: PPO and SAC on relative actions, DQN on moves up and down.

Episodes begin with the plan of the protocol's start parameters; the reward of a step is what it adds to the plan's
score. Every so often the policy plans the validation cases, at fidelity fast, and the best so far is kept:

  DIR/policy.zip, DIR/policy.json    the best policy, and the account of its training: solves, curve, command
  DIR/checkpoint.zip                 where the training stands
  DIR/tensorboard                    curves: tensorboard --logdir DIR (pip install 'radplan_env[rl]')

Stop the training whenever you like: the same command goes on from the last checkpoint. A command with more --solves
trains a finished policy further.

Training sees training cases only: of OpenKBP the training patients, of the synthetic pelvises those of "endless", a
new patient in every episode, none of which is a validation or test case.

Hyperparameters are in experiments/radplan_experiments/training/hyperparameters, a file per algorithm.

  python experiments/train.py --algorithm ppo
      the prostate policy that `compare.py --agents ppo` plays
  python experiments/train.py --algorithm sac --site head-and-neck --data provided-data --install
      a policy for head & neck, put where compare.py finds it
"""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro


@dataclass
class Args:
    algorithm: Literal["ppo", "sac", "dqn"] = "ppo"
    """What trains the policy."""

    site: Literal["prostate", "head-and-neck"] = "prostate"
    """Treatment site: which environment and protocol."""

    data: Path | None = None
    """The provided-data folder of OpenKBP, for head-and-neck."""

    solves: int = 6000
    """Solves that the policy asks for in all; each episode takes one more for its start plan, which is counted."""

    parallel: int = 8
    """Episodes side by side."""

    interval: int = 500
    """Solves between two checkpoints; the policy is evaluated at each."""

    validation_cases: int = 5
    """How many validation cases the policy is evaluated on."""

    seed: int = 0
    """Seed of everything that is drawn. A training that was interrupted draws anew from where it goes on."""

    hyperparameters: Path | None = None
    """YAML file of your own, as those in experiments/radplan_experiments/training/hyperparameters."""

    install: bool = False
    """Put the policy into agents/policies, where compare.py finds it."""

    out: Path | None = None
    """Folder of the training; results/train/ALGORITHM-SITE by default."""


def main(argv: list[str] | None = None) -> int:
    """Train; return the exit code: 0 done, 1 an error, 2 wrong usage, 130 interrupted."""
    script, arguments = ("experiments/train.py", argv) if argv is not None else (sys.argv[0], sys.argv[1:])
    args = tyro.cli(Args, args=arguments, description=__doc__)
    try:
        from radplan_experiments.training import (
            command,  # slow to import: help and mistyped options need not wait for it
        )
    except ModuleNotFoundError as error:
        if error.name not in ("stable_baselines3", "torch"):
            raise
        print("train.py: error: training needs pip install 'radplan_env[rl]'", file=sys.stderr)
        return 2
    return command.run(args, command=shlex.join(["python", script, *arguments]))
