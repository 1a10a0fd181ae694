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

from collections.abc import Sequence

from radplan_experiments.commands.invocation import Invocation
from radplan_experiments.options import LibraryOptions

PROGRAM = ("python", "experiments/build_library.py")


def main(argv: Sequence[str] | None = None, program: Sequence[str] = PROGRAM) -> int:
    """Build a library; return the exit code, as `guarded` says it."""
    invoked = Invocation.of(program, argv)
    args = invoked.options(LibraryOptions, __doc__)
    from radplan_experiments.running import (  # slow to import: help and mistyped options need not wait for it
        comparison,
        past_plans,
    )

    return comparison.guarded(invoked.command, lambda: past_plans.build(args, invoked.command))
