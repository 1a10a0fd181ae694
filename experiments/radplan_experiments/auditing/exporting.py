"""A stored plan as DICOM."""

from __future__ import annotations

import sys
from pathlib import Path

from radplan_env.case import Case
from radplan_env.export import export_dicom, plan_uid
from radplan_env.export_plan import export_rtplan
from radplan_env.planning import Plan
from radplan_experiments.auditing.replay import UnusableError, recorded_case
from radplan_experiments.cohort import UsageError
from radplan_experiments.options import ExportOptions
from radplan_experiments.recording.run_folder import read_run_folder
from radplan_experiments.writing import fill_atomically

RTPLAN = "RTPLAN.dcm"


def run(args: ExportOptions) -> int:
    """Export; return the exit code 0.

    Raises
    ------
    UsageError
        As `export`, and if the plan file or the case cannot be read.
    """
    try:
        folder = export(args.plan, args.out)
    except ValueError as error:
        raise UsageError(str(error)) from error
    ideal = "CT, RTSTRUCT and RTDOSE; no RTPLAN, as the plan has no deliverable stage"
    print("CT, RTSTRUCT, RTDOSE and RTPLAN" if (folder / RTPLAN).exists() else ideal, file=sys.stderr)
    new = "Their UIDs and frame of reference are new: open them together, not over the files planned on."
    print(new, file=sys.stderr)
    print(folder)
    return 0


def export(plan_path: Path, out: Path) -> Path:
    """Write a stored plan's CT, structures, dose and, if it is deliverable, RTPLAN.

    Raises
    ------
    UsageError
        If the plan lies in no run's folder, the case has changed since, or the folder is not empty.
    ValueError
        If the plan file or the case cannot be read.
    """
    if not plan_path.is_file():
        raise UsageError(f"there is no plan {plan_path}")
    if any(out.iterdir()) if out.is_dir() else out.exists():
        raise UsageError(f"{out} is not empty: give another --out")
    plan = Plan.load(plan_path)
    case = _case_of(plan, plan_path)
    fill_atomically(out, lambda folder: _export(plan, case, folder))
    return out


def _export(plan: Plan, case: Case, folder: Path) -> None:
    export_dicom(case, plan.dose_gy, plan.grid, folder)
    if plan.delivery is not None:
        prescriptions = {target.structure: target.prescription_gy for target in plan.protocol.targets}
        instance = plan_uid(case.digest(), plan.dose_gy, plan.grid)
        export_rtplan(case, plan.delivery, prescriptions, folder / RTPLAN, instance_uid=instance)


def _case_of(plan: Plan, plan_path: Path) -> Case:
    """The case that a plan was made on, read again from the source of its run."""
    root = next((parent for parent in plan_path.resolve().parents if (parent / "run.json").exists()), None)
    if root is None:
        raise UsageError(f"{plan_path} lies in no folder of a run: there is no run.json above it")
    try:
        return recorded_case(read_run_folder(root), plan.case_id)
    except UnusableError as error:
        raise UsageError(f"{plan.case_id}: {error}") from error
