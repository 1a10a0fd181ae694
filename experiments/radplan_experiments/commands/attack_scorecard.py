"""Make plans that no physicist would sign, and see what the scorecard says of them.

Each attack drives the planning parameters, or a limit, to an extreme that an agent may find while it looks for points.
The table shows the score, what the plan is refused for, and what is wrong with it. An attack that is not refused and
scores near the template, or above it, while something in its row is out of bounds is a hole in the scorecard.

  python experiments/attack_scorecard.py
      the first three synthetic training prostates
  python experiments/attack_scorecard.py --site head-and-neck --data provided-data --cases pt_247
"""

from __future__ import annotations

from collections.abc import Sequence

from radplan_experiments.commands.invocation import Invocation
from radplan_experiments.options import AttackOptions

PROGRAM = ("python", "experiments/attack_scorecard.py")


def main(argv: Sequence[str] | None = None, program: Sequence[str] = PROGRAM) -> int:
    """Print a row for each case and attack; return the exit code, as `guarded` says it."""
    invoked = Invocation.of(program, argv)
    args = invoked.options(AttackOptions, __doc__)
    from radplan_experiments.auditing import attacks  # slow to import: help and mistyped options need not wait for it
    from radplan_experiments.running import comparison

    return comparison.guarded(invoked.command, lambda: attacks.run(args))
