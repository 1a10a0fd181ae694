"""What build_library.py does once its options are read: plan, then make a library of the best plans."""

from __future__ import annotations

import shutil
import sys

from tqdm import tqdm

from radplan_agents.gpt_radplan.library import Library, ReferencePlan
from radplan_env.planning import Plan
from radplan_experiments.cohort import UsageError
from radplan_experiments.options import LibraryOptions
from radplan_experiments.recording import failures
from radplan_experiments.recording.ranking import rank
from radplan_experiments.recording.records import FAILED, Record, key_of, plan_handed_over
from radplan_experiments.recording.run_folder import RunFolder
from radplan_experiments.running import comparison, run_settings
from radplan_experiments.running.runner import read_case
from radplan_experiments.wording import counted


def build(args: LibraryOptions, command: str) -> int:
    """Plan what is not planned yet and write the library anew; return the exit code.

    Raises
    ------
    UsageError
        If the cases are not for training, or none could be planned.
    """
    if args.split != "train":
        raise UsageError(f"--split {args.split}: a library is made of training cases, or results would be of no worth")
    with comparison.run_folder(args.out, run_settings.settings_of(args), args, command) as folder:
        left_out = comparison.play(folder, args, command) if folder.todo() else {}
        for record in folder.records.values():
            if record["status"] == FAILED:
                left_out.setdefault(record["case"], failures.line(record))
        for name, problem in left_out.items():
            comparison.say(f"{name}: {problem}")
        library = library_of(folder)
        place, unfinished = folder.path / "library", folder.path / "library.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        library.save(unfinished)
        shutil.rmtree(place, ignore_errors=True)
        unfinished.replace(place)
        comparison.say(f"{counted(len(library.plans), 'plan')} in {place}")
    return 1 if left_out else 0


def library_of(folder: RunFolder) -> Library:
    """Make a library of the best plan of each case of a run.

    Raises
    ------
    UsageError
        If the run has no plans.
    """
    best = [record for case in folder.settings.cases if (record := _best_of(folder, case)) is not None]
    if not best:
        raise UsageError("no case could be planned: there is nothing to make a library of")
    bar = tqdm(best, desc="library", unit="plan", file=sys.stderr)
    return Library(tuple(_reference_plan(folder, record) for record in bar))


def _best_of(folder: RunFolder, case: str) -> Record | None:
    """The episode with the best plan of a case; of equals the first."""
    records = [r for r in folder.records.values() if r["case"] == case and r["handed_over"] is not None]
    return max(records, key=lambda r: rank(plan_handed_over(r)), default=None)


def _reference_plan(folder: RunFolder, record: Record) -> ReferencePlan:
    plan = Plan.load(folder.plan_path(key_of(record)))
    case = read_case(folder.settings, record["case"])
    return ReferencePlan.of(case, folder.settings.protocol, plan, record["steps"])
