"""Trace what two dose metrics of a patient trade for each other, by wishes in words and by weights.

Weights: the template plan with the weights of the two structures shifted against each other, a solve for each ratio.
It needs no model and shows what the inner loop can give.

Words (with --llm): a language-model agent plans the case once for each wish, such as "spare the rectum above all"; its
point is the plan its episode ends with, as the score, which picks the plan to hand over, knows nothing of wishes.

A plan is dominated if another is at least as good in both metrics and better in one; tables and picture say which are.

  python experiments/pareto.py
      rectum against bladder in a synthetic prostate, by weights
  python experiments/pareto.py --llm MODEL --wishes "spare the rectum above all" "balance both" "spare the bladder"
      and what a language model makes of three wishes
  python experiments/pareto.py --site head-and-neck --data provided-data --metrics "Parotid_L mean" "Cavity_Oral mean"

Results lie in DIR/pareto.csv, DIR/pareto.md and DIR/pareto_CASE.png, the episodes of each wish in DIR/words. Stop it
whenever you like: the same command goes on where it stopped.

Plans are ideal fluences, before sequencing: they are not deliverable plans yet.
"""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from radplan_experiments.options import RunOptions


@dataclass
class Args(RunOptions):
    metrics: tuple[str, str] | None = None
    """The two metrics, each a structure and what is measured of it; by default the mean doses of two organs."""

    ratios: int = 9
    """Points of the sweep over weights; 0 leaves it out."""

    largest_ratio: float = 1000.0
    """The ratio of the two weights goes from the template's divided by this to the template's times this."""

    wishes: tuple[str, ...] = ()
    """What language-model agents are told, one episode for each, after --instructions."""

    cases: tuple[str, ...] = ("1",)
    """How many cases (the first so many), "all", or their ids; each has a front of its own."""

    agents: tuple[str, ...] = ("gpt-radplan",)
    """Agents that are given the wishes."""

    out: Path = Path("results/pareto")
    """Folder for the results; episodes of the same settings in it are not played again."""


def main(argv: list[str] | None = None) -> int:
    """Run the sweeps; return the exit code: 0 done, 1 an error, 2 wrong usage, 130 interrupted."""
    script, arguments = ("experiments/pareto.py", argv) if argv is not None else (sys.argv[0], sys.argv[1:])
    args = tyro.cli(Args, args=arguments, description=__doc__)
    from radplan_experiments.running import sweep

    return sweep.run(args, command=shlex.join(["python", script, *arguments]))
