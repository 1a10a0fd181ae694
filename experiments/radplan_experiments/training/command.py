"""What train.py does once its options are read."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from radplan_agents.reinforcement import shipped
from radplan_experiments.cohort import UsageError
from radplan_experiments.training.loop import train
from radplan_experiments.training.setup import Setup, setup_of

if TYPE_CHECKING:
    from radplan_experiments.commands.train import Args


def run(args: Args, command: str) -> int:
    """Begin or continue a training; return the exit code: 0 done, 1 an error, 2 wrong usage, 130 interrupted."""
    folder = args.out or Path("results/train") / f"{args.algorithm}-{args.site}"
    try:
        for name, least in (("solves", 1), ("parallel", 1), ("interval", 1), ("validation_cases", 1), ("seed", 0)):
            if getattr(args, name) < least:
                raise UsageError(f"--{name.replace('_', '-')} must be at least {least}, got {getattr(args, name)}")
        setup = setup_of(args)
        train(setup, folder, solves=args.solves, interval=args.interval, command=command)
        if args.install:
            _say(f"installed as {install(setup, folder)}")
    except (UsageError, ValueError) as error:
        return _stop(f"error: {error}", 2)
    except KeyboardInterrupt:
        return _stop(f"stopped; go on from the last checkpoint with:\n  {command}", 130)
    except OSError as error:
        return _stop(f"error: {error}; go on from the last checkpoint with:\n  {command}", 1)
    return 0


def install(setup: Setup, folder: Path) -> Path:
    """Copy a trained policy to where its agent finds it; return its path."""
    target = shipped(setup.algorithm, setup.protocol)
    for suffix in (".zip", ".json"):
        shutil.copyfile((folder / "policy").with_suffix(suffix), target.with_suffix(suffix))
    return target


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _stop(text: str, code: int) -> int:
    _say(f"train.py: {text}")
    return code
