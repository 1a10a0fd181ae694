"""Write tables, figures and report of a results folder again.

radplan report DIR
"""

from __future__ import annotations

from collections.abc import Sequence

from radplan_experiments.commands.invocation import Invocation
from radplan_experiments.options import ReportOptions

PROGRAM = ("radplan", "report")


def main(argv: Sequence[str] | None = None, program: Sequence[str] = PROGRAM) -> int:
    """Report; return the exit code, as `guarded` says it."""
    invoked = Invocation.of(program, argv)
    args = invoked.options(ReportOptions, __doc__)
    from radplan_experiments.recording.run_folder import read_run_folder  # slow to import, as in every command
    from radplan_experiments.reporting import report
    from radplan_experiments.running import comparison

    def again() -> int:
        print(report.write(read_run_folder(args.folder), {}, draw=args.figures))
        return 0

    return comparison.guarded(invoked.command, again)
