"""Export a plan of a run as DICOM: CT, RTSTRUCT, RTDOSE and, of a deliverable plan, RTPLAN.

  python experiments/export_plan.py results/compare/plans/coordinate/synthetic-test-0/seed_0.npz --out dicom

Any viewer opens them together. A plan without a deliverable stage has no RTPLAN: its dose is of an ideal fluence,
before sequencing.
"""

from __future__ import annotations

from collections.abc import Sequence

from radplan_experiments.commands.invocation import Invocation
from radplan_experiments.options import ExportOptions

PROGRAM = ("python", "experiments/export_plan.py")


def main(argv: Sequence[str] | None = None, program: Sequence[str] = PROGRAM) -> int:
    """Export; return the exit code, as `guarded` says it."""
    invoked = Invocation.of(program, argv)
    args = invoked.options(ExportOptions, __doc__)
    from radplan_experiments.auditing import exporting  # slow to import: help and mistyped options need not wait for it
    from radplan_experiments.running import comparison

    return comparison.guarded(invoked.command, lambda: exporting.run(args))
