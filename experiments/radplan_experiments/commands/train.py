"""Train a planner by reinforcement learning: PPO and SAC on relative actions, DQN on moves up and down.

Episodes begin with the plan of the protocol's start parameters; the reward of a step is what it adds to the plan's
score. Every so often the policy plans the validation cases, at fidelity fast, and the best so far is kept:

  DIR/policy.zip, DIR/policy.json    the best policy, and the account of its training: solves, curve, command
  DIR/checkpoint.zip                 where the training stands
  DIR/tensorboard                    curves: tensorboard --logdir DIR (pip install -e '.[rl]' in the checkout)

The bar shows the points that an episode gained over its start plan, mean of the last hundred, and what validation gave.

Stop the training whenever you like: the same command goes on from the last checkpoint. A command with more --solves
trains a finished policy further.

Training sees training cases only: of OpenKBP the training patients, of the synthetic pelvises those of "endless", a
new patient in every episode, none of which is a validation or test case.

Hyperparameters are in experiments/radplan_experiments/training/hyperparameters, a file per algorithm.

  python experiments/train.py --algorithm ppo
      the prostate policy that `compare.py --agents ppo` plays
  python experiments/train.py --algorithm sac --site head-and-neck --data provided-data --install
      a policy for head & neck, put where compare.py --agents sac:own finds it
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from radplan_env import extras
from radplan_experiments.commands.invocation import Invocation
from radplan_experiments.options import TrainOptions

PROGRAM = ("python", "experiments/train.py")


def main(argv: Sequence[str] | None = None, program: Sequence[str] = PROGRAM) -> int:
    """Train; return the exit code, as `guarded` says it."""
    invoked = Invocation.of(program, argv)
    args = invoked.options(TrainOptions, __doc__)
    try:
        from radplan_experiments.running import (
            comparison,  # slow to import: help and mistyped options need not wait for it
        )
        from radplan_experiments.training import command
    except ModuleNotFoundError as error:
        if error.name not in ("stable_baselines3", "torch"):
            raise
        print(f"{invoked.name}: error: training needs {extras.command('rl')}", file=sys.stderr)
        return 2
    return comparison.guarded(invoked.command, lambda: command.run(args, invoked.command))
