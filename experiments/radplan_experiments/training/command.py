"""What train.py does once its options are read."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from radplan_agents.reinforcement import installed
from radplan_experiments.cohort import UsageError
from radplan_experiments.options import TrainOptions
from radplan_experiments.training.curves import curves_sent
from radplan_experiments.training.loop import train
from radplan_experiments.training.setup import Setup, setup_of


def run(args: TrainOptions, command: str) -> int:
    """Begin or continue a training; return the exit code 0.

    Raises
    ------
    UsageError
        If an option is out of bounds, cases are not there, or hyperparameters cannot be used.
    """
    folder = args.out or Path("results/train") / f"{args.algorithm}-{args.site}"
    for name, least in (("solves", 1), ("parallel", 1), ("interval", 1), ("validation_cases", 1), ("seed", 0)):
        if getattr(args, name) < least:
            raise UsageError(f"--{name.replace('_', '-')} must be at least {least}, got {getattr(args, name)}")
    try:
        setup = setup_of(args)
        with curves_sent(args.wandb, setup, folder):
            train(setup, folder, solves=args.solves, interval=args.interval, command=command)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if args.install:
        print(f"installed as {install(setup, folder)}: play it as {setup.algorithm}:own", file=sys.stderr)
    return 0


def install(setup: Setup, folder: Path) -> Path:
    """Copy a trained policy to where its agent finds it; return its path."""
    target = installed(setup.algorithm, setup.protocol)
    target.parent.mkdir(parents=True, exist_ok=True)
    for suffix in (".zip", ".json"):
        shutil.copyfile((folder / "policy").with_suffix(suffix), target.with_suffix(suffix))
    return target
