"""Put results folders that differ in agents, cases or seeds together, and report on the whole.

radplan merge DIR DIR --out OTHER
"""

from __future__ import annotations

from collections.abc import Sequence

from radplan_experiments.commands.invocation import Invocation
from radplan_experiments.options import MergeOptions

PROGRAM = ("radplan", "merge")


def main(argv: Sequence[str] | None = None, program: Sequence[str] = PROGRAM) -> int:
    """Put the folders together; return the exit code, as `guarded` says it."""
    invoked = Invocation.of(program, argv)
    args = invoked.options(MergeOptions, __doc__)
    from radplan_experiments.auditing import merge  # slow to import: help and mistyped options need not wait for it
    from radplan_experiments.running import comparison

    def together() -> int:
        return merge.merge(args.folders, args.out, command=invoked.command, draw=args.figures)

    return comparison.guarded(invoked.command, together)
