"""Plan training patients and keep what was learnt, as examples for gpt-radplan.

Agents plan the patients as in compare.py. Of each patient the best plan is kept, with its
parameters, DVH table, picture, anatomy (by which it is found for patients that are alike) and what changes of
parameters did on the way to it. Training patients only: examples must not come from those that results are reported on.

Stop the run whenever you like: the same command goes on where it stopped.

  python experiments/build_library.py
      six synthetic prostates, planned by the rule-based agent
  python experiments/build_library.py --site head-and-neck --data provided-data --cases all --out results/library
      the OpenKBP training patients
  python experiments/compare.py --agents gpt-radplan --llm MODEL --library results/library/library
      use it

The library, DIR/library, names no patient, but it holds pictures of their CT: guard it as you guard the data.
"""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from radplan_experiments.options import RunOptions


@dataclass
class Args(RunOptions):
    split: Literal["train", "validation", "test"] = "train"
    """Part of a synthetic or OpenKBP cohort; anything but train is refused."""

    cases: tuple[str, ...] = ("6",)
    """How many cases (the first so many), "all", or their ids."""

    agents: tuple[str, ...] = ("coordinate",)
    """Who plans, by name or as package.module:Class; of several, the best plan is kept."""

    out: Path = Path("results/library")
    """Folder for the run, and in it the library; a run of the same settings in it is continued."""


def main(argv: list[str] | None = None) -> int:
    """Build a library; return the exit code: 0 done, 1 an error, 2 wrong usage, 130 interrupted."""
    script, arguments = ("experiments/build_library.py", argv) if argv is not None else (sys.argv[0], sys.argv[1:])
    args = tyro.cli(Args, args=arguments, description=__doc__)
    from radplan_experiments.running import comparison, past_plans

    command = shlex.join(["python", script, *arguments])
    return comparison.guarded(command, lambda: past_plans.build(args, command))
