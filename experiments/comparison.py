"""What compare.py does once its options are read."""

from __future__ import annotations

import os
import sys
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING

from agents.agent import load_agent
from experiments import processes, report, runner
from experiments.cohort import SITES, Origin, UsageError, open_cohort, select
from experiments.records import FAILED, RunFolder, RunFolderError, Settings, open_run_folder

if TYPE_CHECKING:
    from experiments.compare import Args


def run(args: Args, command: str) -> int:
    """Run or continue a comparison; return the exit code: 0 done, 1 an error, 2 wrong usage, 130 interrupted.

    Parameters
    ----------
    args : Args
        The options of compare.py.
    command : str
        How the run was started, and can be continued.
    """
    go_on = f"What is finished is kept; go on with:\n  {command}"
    try:
        settings = settings_of(args)
        versions, retry = runner.versions(), args.retry_failed
        with open_run_folder(args.out, settings, command=command, versions=versions, retry_failed=retry) as folder:
            return compare(folder, args.jobs or min(os.cpu_count() or 1, 8), command)
    except (UsageError, RunFolderError) as error:
        return _stop(f"error: {error}", 2)
    except KeyboardInterrupt:
        return _stop(f"stopped. {go_on}", 130)
    except BrokenProcessPool:
        return _stop(f"error: a process died, perhaps for want of memory: try fewer --jobs. {go_on}", 1)
    except OSError as error:
        return _stop(f"error: {error}. {go_on}", 1)


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
    origin = Origin(
        source=args.source or site.source,
        data=tuple(str(path.expanduser().resolve()) for path in args.data),
        split=args.split,
        names=None if args.names is None else str(args.names.expanduser().resolve()),
    )
    default = site.cases if origin.source == site.source else "all"
    return Settings(
        site=args.site,
        protocol=site.protocol,
        source=origin.source,
        data=origin.data,
        split=origin.split,
        names=origin.names,
        cases=select(open_cohort(origin).ids, args.cases or (default,)),
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
