"""What compare.py does once its options are read."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from agents.agent import EpisodeInterruptedError
from agents.llm import NoModelError, SettingsError
from experiments import language_model, processes, report, runner
from experiments.cohort import SITES, Origin, UsageError, open_cohort, select
from experiments.options import RunOptions, TaskOptions
from experiments.records import FAILED, ModelChoice, RunFolder, RunFolderError, Settings, open_run_folder


def run(args: RunOptions, command: str) -> int:
    """Run or continue a comparison; return the exit code: 0 done, 1 an error, 2 wrong usage, 130 interrupted.

    Parameters
    ----------
    args : RunOptions
        What to run.
    command : str
        How the run was started, and can be continued: python, the script and its arguments.
    """
    return guarded(command, lambda: _run(args, command))


def _run(args: RunOptions, command: str) -> int:
    with run_folder(args.out, settings_of(args), args, command) as folder:
        return compare(folder, args, command)


def run_folder(path: Path, settings: Settings, args: RunOptions, command: str) -> AbstractContextManager[RunFolder]:
    """Open the folder of a run; see `open_run_folder`."""
    versions = runner.versions()
    return open_run_folder(path, settings, command=command, versions=versions, retry_failed=args.retry_failed)


def guarded(command: str, run: Callable[[], int]) -> int:
    """Run an experiment; what stops it is said in one message, with how to go on, and becomes the exit code.

    Parameters
    ----------
    command : str
        How it was started: python, the script and its arguments.
    run : callable
        The experiment; it returns an exit code.
    """
    script = Path(shlex.split(command)[1]).name
    go_on = f"What is finished is kept; go on with:\n  {command}"
    try:
        return run()
    except (UsageError, RunFolderError) as error:
        return _stop(script, f"error: {error}", 2)
    except KeyboardInterrupt:
        return _stop(script, f"stopped. {go_on}", 130)
    except EpisodeInterruptedError as error:
        return _stop(script, f"error: {error}. {go_on}", 1)
    except BrokenProcessPool:
        return _stop(script, f"error: a process died, perhaps for want of memory: try fewer --jobs. {go_on}", 1)
    except OSError as error:
        return _stop(script, f"error: {error}. {go_on}", 1)


def settings_of(args: RunOptions) -> Settings:
    """Check what was asked for and fill in what depends on the site.

    Agents that need a language model are left out where none is named or it has no key.

    Raises
    ------
    UsageError
        If something asked for is not there.
    """
    for name, least in (("budget", 1), ("seeds", 1), ("jobs", 0)):
        if getattr(args, name) < least:
            raise UsageError(f"--{name} must be at least {least}, got {getattr(args, name)}")
    origin = origin_of(args)
    agents, model = _agents_and_model(args)
    return Settings(
        site=args.site,
        protocol=SITES[args.site].protocol,
        source=origin.source,
        data=origin.data,
        split=origin.split,
        names=origin.names,
        cases=cases_of(args),
        agents=agents,
        budget=args.budget,
        seeds=args.seeds,
        fidelity=args.fidelity,
        model=model,
        instructions=args.instructions,
        library=_library(args, agents),
    )


def origin_of(task: TaskOptions) -> Origin:
    """Where the cases of a task come from."""
    return Origin(
        source=task.source or SITES[task.site].source,
        data=tuple(str(path.expanduser().resolve()) for path in task.data),
        split=task.split,
        names=None if task.names is None else str(task.names.expanduser().resolve()),
    )


def cases_of(task: TaskOptions) -> tuple[str, ...]:
    """Ids of the cases of a task."""
    site, origin = SITES[task.site], origin_of(task)
    default = site.cases if origin.source == site.source else "all"
    return select(open_cohort(origin).ids, task.cases or (default,))


def _agents_and_model(args: RunOptions) -> tuple[tuple[str, ...], ModelChoice | None]:
    """The agents that can play, and the model of those that talk to one."""
    if not args.agents or len(set(args.agents)) < len(args.agents):
        raise UsageError("--agents: name one or more, each once")
    try:
        talking = [agent for agent in args.agents if language_model.talks(agent)]
    except (ValueError, TypeError, ImportError) as error:
        raise UsageError(f"--agents: {error}") from error
    if not talking:
        if args.llm or args.instructions:
            raise UsageError("--llm and --instructions are for agents that talk to a language model: name one")
        return args.agents, None
    try:
        return args.agents, language_model.choose(args)
    except NoModelError as error:
        others = tuple(agent for agent in args.agents if agent not in talking)
        if not others:
            raise UsageError(str(error)) from error
        return others, None
    except SettingsError as error:
        raise UsageError(f"--llm: {error}") from error


def _without_model(args: RunOptions, settings: Settings) -> dict[str, str]:
    """Agents asked for that do not play as they have no language model, and how to give them one."""
    absent = [agent for agent in args.agents if agent not in settings.agents]
    try:
        if absent:
            language_model.choose(args)
    except NoModelError as error:
        return dict.fromkeys(absent, str(error))
    return {}


def _library(args: RunOptions, agents: Sequence[str]) -> str | None:
    """Where the examples lie, after a look whether they can be read."""
    if args.library is None:
        return None
    if not any(map(language_model.reads_library, agents)):
        raise UsageError("--library is for gpt-radplan, which does not play")
    path = str(args.library.expanduser().resolve())
    language_model.library_of(path)
    return path


def compare(folder: RunFolder, args: RunOptions, command: str) -> int:
    """Play what is not played yet, then print and draw the comparison."""
    say(f"{folder.path}: {len(folder.records)} episodes recorded, {len(folder.todo())} to play")
    if folder.set_aside:
        say(f"{folder.set_aside} records, cut short or to be retried, moved to set_aside.jsonl")
    without_model = _without_model(args, folder.settings)
    say_left_out(folder.settings, without_model)
    left_out = play(folder, args, command) if folder.todo() else {}
    say_left_out(folder.settings, left_out)
    for record in folder.records.values():
        if record["status"] == FAILED:
            say(report.failure_line(record))
    print(report.write(folder, without_model | left_out))
    say(f"tables in {folder.path / 'tables.md'}, figures in {folder.path / 'figures'}")
    return 1 if set(left_out) & set(folder.settings.cases) else 0


def play(folder: RunFolder, args: RunOptions, command: str) -> dict[str, str]:
    """Play every episode that has no record yet; return the cases and agents left out, and why.

    Raises
    ------
    EpisodeInterruptedError
        If the language model's service fails: what is finished is kept.
    UsageError
        If no case can be planned.
    """
    with ExitStack() as stack:  # the model outlives the workers that call it
        agents = dict.fromkeys(agent for agent, _, _ in folder.todo())
        model = None
        if any(map(language_model.talks, agents)):
            model = stack.enter_context(language_model.reached(args, folder.path))
        jobs = args.jobs or min(os.cpu_count() or 1, 8)
        workers = stack.enter_context(processes.workers(min(jobs, len(folder.todo()))))
        unplanned = runner.prepare_all(workers, folder)
        blind = [] if model is None else language_model.blind(agents, model)
        left_out = unplanned | dict.fromkeys(blind, "it judges by pictures alone, and the model sees none")
        keys = [key for key in folder.todo() if not left_out.keys() & {key[0], key[1]}]
        if not keys and not folder.records:
            raise UsageError("nothing can be planned. " + " ".join(left_out.values()))
        runner.play_all(workers, folder, keys, command, model)
    return left_out


def say_left_out(settings: Settings, left_out: Mapping[str, str]) -> None:
    """Say which cases and agents are left out, and why."""
    for name, problem in left_out.items():
        say(f"{'case ' if name in settings.cases else ''}{name} is left out: {problem}")


def say(text: str) -> None:
    print(text, file=sys.stderr)


def _stop(script: str, text: str, code: int) -> int:
    say(f"{script}: {text}")
    return code
