"""Let agents plan the same cases with the same budget of solves, and compare what they reach.

Every episode is recorded in DIR/episodes.jsonl with each of its solves, and the plan it hands over in DIR/plans: one
that meets the protocol, else the one of the best score.
Stop the run whenever you like: the same command goes on where it stopped. It ends with tables
(DIR/tables.md, DIR/tables) and figures (DIR/figures).

  python experiments/compare.py
      three synthetic prostates, the three agents that come with the repository
  python experiments/compare.py --site head-and-neck --data provided-data --agents template coordinate
      the OpenKBP test patients, beside their reference plans
  python experiments/compare.py --site prostate --source dicom --data PATIENT --fidelity paper
      your own patient
  python experiments/compare.py --agents coordinate mypackage.mymodule:MyAgent --seeds 5 --jobs 8
      your own agent against the rule-based planner

Plans are ideal fluences, before sequencing: they are not deliverable plans yet.
"""

from __future__ import annotations

import os
import shlex
import sys
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

# Run as a script: find our packages from any directory, and not our files as top-level modules.
if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import tyro

from agents.agent import load_agent
from experiments import processes, report, runner
from experiments.cohort import SITES, Origin, UsageError, open_cohort, select
from experiments.records import FAILED, RunFolder, RunFolderError, Settings, open_run_folder


@dataclass
class Args:
    site: Literal["prostate", "head-and-neck", "tg119"] = "prostate"
    """Treatment site: which environment and protocol."""

    source: Literal["synthetic", "openkbp", "dicom", "matrad"] | None = None
    """Where cases come from. By default synthetic for prostate, openkbp for head-and-neck, matrad for
    tg119."""

    data: tuple[Path, ...] = ()
    """What to read: OpenKBP's provided-data folder, DICOM folders or .mat files, one for each patient. Not
    needed for synthetic cases, nor for TG-119, which comes with pyRadPlan."""

    names: Path | None = None
    """YAML file with the structure names of DICOM or matRad data that are not known by themselves, a line
    each: "Prostate PTV: PTV_7020"; null leaves a structure out."""

    split: Literal["train", "validation", "test"] = "test"
    """Part of the cohort. Tune agents on train and validation, report test. DICOM and matRad data have no
    splits."""

    cases: tuple[str, ...] = ()
    """How many cases (the first so many), "all", or their ids. By default 3 synthetic prostates, all of
    anything else."""

    agents: tuple[str, ...] = ("template", "random", "coordinate")
    """Agents by name, or your own as package.module:Class."""

    budget: int = 10
    """Solves (inner optimisations) an agent may spend on a case."""

    seeds: int = 1
    """Episodes of each agent on each case, with different random seeds."""

    fidelity: Literal["fast", "standard", "paper"] = "fast"
    """Dose grid and bixels: fast for trying out, paper for numbers to report (2.5 mm dose grid, 5 mm
    bixels)."""

    jobs: int = 0
    """Processes, each of which holds one dose-influence matrix in memory; 0 is one per core, at most 8. The
    results do not depend on it."""

    retry_failed: bool = False
    """Play episodes again whose agent failed. Without it they count as played."""

    out: Path = Path("results/compare")
    """Folder for the results. An unfinished run of the same settings in it is continued."""


def main(argv: list[str] | None = None) -> int:
    """Run the comparison; return the exit code: 0 done, 1 an error, 2 wrong usage, 130 interrupted."""
    arguments = sys.argv[1:] if argv is None else argv
    args = tyro.cli(Args, args=arguments, description=__doc__, config=(tyro.conf.OmitArgPrefixes,))
    command = shlex.join(["python", "experiments/compare.py" if argv is not None else sys.argv[0], *arguments])
    try:
        settings = settings_of(args)
        with open_run_folder(
            args.out, settings, command=command, versions=runner.versions(), retry_failed=args.retry_failed
        ) as folder:
            return compare(folder, args.jobs or min(os.cpu_count() or 1, 8), command)
    except (UsageError, RunFolderError) as error:
        return _stop(f"error: {error}", 2)
    except KeyboardInterrupt:
        return _stop(f"stopped. What is finished is kept; go on with:\n  {command}", 130)
    except BrokenProcessPool:
        return _stop(
            f"error: a process died, perhaps for want of memory: try fewer --jobs. Go on with:\n  {command}",
            1,
        )
    except OSError as error:
        return _stop(f"error: {error}. What is finished is kept; go on with:\n  {command}", 1)


def settings_of(args: Args) -> Settings:
    """Check what was asked for and fill in what depends on the site.

    Raises
    ------
    UsageError
        If something asked for is not there.
    """
    for name, least in (("budget", 1), ("seeds", 1), ("jobs", 0)):
        if getattr(args, name) < least:
            raise UsageError(f"--{name} must be at least {least}, got {getattr(args, name)}")
    if not args.agents or len(set(args.agents)) < len(args.agents):
        raise UsageError("--agents: name one or more, each once")
    for agent in args.agents:
        try:
            load_agent(agent)
        except (ValueError, TypeError, ImportError) as error:
            raise UsageError(f"--agents: {error}") from error
    site = SITES[args.site]
    source = args.source or site.source
    origin = Origin(
        source=source,
        data=tuple(str(path.expanduser().resolve()) for path in args.data),
        split=args.split,
        names=None if args.names is None else str(args.names.expanduser().resolve()),
    )
    ids = open_cohort(origin).ids
    default = site.cases if source == site.source else "all"
    return Settings(
        site=args.site,
        protocol=site.protocol,
        source=source,
        data=origin.data,
        split=args.split,
        names=origin.names,
        cases=select(ids, args.cases or (default,)),
        agents=args.agents,
        budget=args.budget,
        seeds=args.seeds,
        fidelity=args.fidelity,
    )


def compare(folder: RunFolder, jobs: int, command: str) -> int:
    """Play what is not played yet, then print and draw the comparison."""
    _say(f"{folder.path}: {len(folder.records)} episodes recorded, {len(folder.todo())} to play")
    if folder.set_aside:
        _say(f"{folder.set_aside} records, cut short or to be retried, moved to set_aside.jsonl")
    unplanned: dict[str, str] = {}
    if folder.todo():
        with processes.workers(min(jobs, len(folder.todo()))) as workers:
            unplanned = runner.prepare_all(workers, folder)
            keys = [key for key in folder.todo() if key[1] not in unplanned]
            if not keys and not folder.records:
                raise UsageError("no case can be planned. " + " ".join(unplanned.values()))
            runner.play_all(workers, folder, keys, command)
    for case, problem in unplanned.items():
        _say(f"case {case} is left out: {problem}")
    for record in folder.records.values():
        if record["status"] == FAILED:
            _say(report.failure_line(record))
    print(report.write(folder, unplanned))
    _say(f"tables in {folder.path / 'tables.md'}, figures in {folder.path / 'figures'}")
    return 1 if unplanned else 0


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _stop(text: str, code: int) -> int:
    _say(f"compare.py: {text}")
    return code


if __name__ == "__main__":
    sys.exit(main())
