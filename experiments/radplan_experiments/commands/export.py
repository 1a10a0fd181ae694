"""Export a plan of a run as DICOM: CT, RTSTRUCT and RTDOSE that any viewer opens together.

  python experiments/export_plan.py results/compare/plans/coordinate/synthetic-test-0/seed_0.npz --out dicom

The dose is of an ideal fluence, before sequencing: it is not of a deliverable plan.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from radplan_env.case import Case
from radplan_env.export import export_dicom
from radplan_env.planning import Plan
from radplan_experiments.auditing.replay import UnusableError, recorded_case
from radplan_experiments.cohort import UsageError
from radplan_experiments.recording.run_folder import RunFolderError, read_run_folder


@dataclass
class Args:
    plan: tyro.conf.Positional[Path]
    """A plan file in the folder of a run: DIR/plans/AGENT/CASE/seed_N.npz."""

    out: Path = Path("dicom")
    """Folder for the DICOM files; it must not hold any yet."""


def main(argv: list[str] | None = None) -> int:
    """Export; return the exit code: 0 done, 2 wrong usage."""
    args = tyro.cli(Args, args=argv, description=__doc__)
    try:
        folder = export(args.plan, args.out)
    except (UsageError, RunFolderError, ValueError, OSError) as error:
        print(f"export_plan.py: error: {error}", file=sys.stderr)
        return 2
    print(folder)
    return 0


def export(plan_path: Path, out: Path) -> Path:
    """Write a stored plan's CT, structures and dose.

    Raises
    ------
    UsageError
        If the plan lies in no run's folder, the case has changed since, or there are DICOM files already.
    ValueError
        If the plan file or the case cannot be read.
    """
    if not plan_path.is_file():
        raise UsageError(f"there is no plan {plan_path}")
    if any(out.glob("*.dcm")):
        raise UsageError(f"{out} holds DICOM files already: give another --out")
    plan = Plan.load(plan_path)
    return export_dicom(_case_of(plan, plan_path), plan.dose_gy, plan.grid, out)


def _case_of(plan: Plan, plan_path: Path) -> Case:
    """The case that a plan was made on, read again from the source of its run."""
    root = next((parent for parent in plan_path.resolve().parents if (parent / "run.json").exists()), None)
    if root is None:
        raise UsageError(f"{plan_path} lies in no folder of a run: there is no run.json above it")
    try:
        return recorded_case(read_run_folder(root), plan.case_id)
    except UnusableError as error:
        raise UsageError(f"{plan.case_id}: {error}") from error
