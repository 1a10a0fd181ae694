"""Judge the plans of a results folder by the protocol as it is now, and report on them.

radplan rescore DIR --out OTHER
"""

from __future__ import annotations

from collections.abc import Sequence

from radplan_experiments.commands.invocation import Invocation
from radplan_experiments.options import RescoreOptions

PROGRAM = ("radplan", "rescore")


def main(argv: Sequence[str] | None = None, program: Sequence[str] = PROGRAM) -> int:
    """Judge the plans again; return the exit code, as `guarded` says it."""
    invoked = Invocation.of(program, argv)
    args = invoked.options(RescoreOptions, __doc__)
    from radplan_experiments.auditing import rescoring  # slow to import: help and mistyped options need not wait for it
    from radplan_experiments.running import comparison

    def rescore() -> int:
        return rescoring.rescore(args.folder, args.out, data=args.data, jobs=args.jobs, command=invoked.command)

    return comparison.guarded(invoked.command, rescore)
