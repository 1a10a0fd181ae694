"""Does a language model see what is wrong with a plan?

Plans of training patients are optimised, each with other weights. Errors are planted in their doses: a cold end of
the target, a hot spot outside, a missed elective node, one organ spared at another's cost, left and right swapped. The
model is shown each plan without and with each error, in the pictures that planning agents are shown of theirs, and is
asked whether there is an error. The table has the sensitivity for each error, and the false alarms.

  OPENAI_API_KEY=… python experiments/read_plans.py --llm MODEL
      twenty plans of four synthetic training prostates
  python experiments/read_plans.py --llm MODEL --site head-and-neck --data provided-data --plans 8
  python experiments/read_plans.py --llm MODEL --errors cold_end hot_outside

Stop it whenever you like: the same command asks nothing twice.
"""

from __future__ import annotations

from collections.abc import Sequence

from radplan_experiments.commands.invocation import Invocation
from radplan_experiments.reading.options import ReadOptions

PROGRAM = ("python", "experiments/read_plans.py")


def main(argv: Sequence[str] | None = None, program: Sequence[str] = PROGRAM) -> int:
    """Print sensitivity and false alarms; return the exit code, as `guarded` says it."""
    invoked = Invocation.of(program, argv)
    args = invoked.options(ReadOptions, __doc__)
    from radplan_experiments.reading import reading  # slow to import: help and mistyped options need not wait for it
    from radplan_experiments.running import comparison

    return comparison.guarded(invoked.command, lambda: reading.run(args))
