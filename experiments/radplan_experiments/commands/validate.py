"""Confirm the numbers in a folder of results, yours or another's.

Every plan is computed again from its fluence, and every number recorded of it compared.

  radplan validate DIR
  radplan validate DIR --data provided-data
      where the data lie elsewhere than they did for whoever ran it
"""

from __future__ import annotations

from collections.abc import Sequence

from radplan_experiments.commands.invocation import Invocation
from radplan_experiments.options import ValidateOptions

PROGRAM = ("radplan", "validate")


def main(argv: Sequence[str] | None = None, program: Sequence[str] = PROGRAM) -> int:
    """Confirm the results; return the exit code, 1 also for a number that is not confirmed."""
    invoked = Invocation.of(program, argv)
    args = invoked.options(ValidateOptions, __doc__)
    from radplan_experiments.auditing import (
        validation,  # slow to import: help and mistyped options need not wait for it
    )
    from radplan_experiments.running import comparison

    return comparison.guarded(invoked.command, lambda: validation.validate(args.folder, data=args.data, jobs=args.jobs))
