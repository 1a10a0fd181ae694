"""Judge the plans of a results folder anew, and report on them.

radplan rescore DIR --out OTHER
    by the run's own protocol, as its folder holds it, and its scorecard, as that is now
radplan rescore DIR --protocol prostate --out OTHER
    by the package's protocol, as it is now
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
    from radplan_experiments.running.run_settings import protocol_named

    def rescore() -> int:
        return rescoring.rescore(
            args.folder,
            args.out,
            protocol=None if args.protocol is None else protocol_named(args.protocol),
            scorecard=args.scorecard,
            data=args.data,
            jobs=args.jobs,
            command=invoked.command,
        )

    return comparison.guarded(invoked.command, rescore)
