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

from collections.abc import Sequence

from radplan_experiments.commands.invocation import Invocation
from radplan_experiments.options import ParetoOptions

PROGRAM = ("python", "experiments/pareto.py")


def main(argv: Sequence[str] | None = None, program: Sequence[str] = PROGRAM) -> int:
    """Run the sweeps; return the exit code, as `guarded` says it."""
    invoked = Invocation.of(program, argv)
    args = invoked.options(ParetoOptions, __doc__)
    from radplan_experiments.running import sweep  # slow to import: help and mistyped options need not wait for it

    return sweep.run(args, invoked.command)
