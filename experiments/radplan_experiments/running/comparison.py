"""What compare.py does once its options are read."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path

from radplan_agents.agent import EpisodeInterruptedError
from radplan_env.plugins import PluginError
from radplan_experiments.cohort import UsageError, names_not_found
from radplan_experiments.options import ComparisonOptions, LanguageModelOptions, RunOptions
from radplan_experiments.recording import failures
from radplan_experiments.recording.run_folder import RunFolder, RunFolderError, open_run_folder
from radplan_experiments.recording.settings import ModelChoice, Settings
from radplan_experiments.recording.standing import altered_cases, not_read, unjudged
from radplan_experiments.reporting import report
from radplan_experiments.running import dispatch, language_model, own_agents, run_settings, runner
from radplan_experiments.running.backends import WorkerDiedError, open_backend
from radplan_experiments.wording import counted, program_name


def run(args: ComparisonOptions, command: str) -> int:
    """Run or continue a comparison; return the exit code.

    0 is done, 1 an error, an agent that failed or a case left out, 2 wrong usage, 130 interrupted.

    Parameters
    ----------
    args : ComparisonOptions
        What to run.
    command : str
        The command line that started the run, and continues it.
    """
    return guarded(command, lambda: compare(run_settings.settings_of(args), args, command))


def compare(settings: Settings, args: ComparisonOptions, command: str) -> int:
    """Play what is not played yet of a run, then report on the whole; return the exit code."""
    with run_folder(args.out, settings, args, command) as folder:
        return _compare(folder, args, command)


def run_folder(path: Path, settings: Settings, args: RunOptions, command: str) -> AbstractContextManager[RunFolder]:
    """Open the folder of a run; see `open_run_folder`."""
    versions = runner.versions()
    return open_run_folder(path, settings, command=command, versions=versions, retry_failed=args.retry_failed)


def guarded(command: str, run: Callable[[], int]) -> int:
    """Run an experiment; what stops it is said in one message, with how to go on, and becomes the exit code.

    0 is done, 1 an error, 2 wrong usage, 130 interrupted.

    Parameters
    ----------
    command : str
        The command line that started it.
    run : callable
        The experiment; it returns an exit code.
    """
    name = program_name(command)
    go_on = f"What is finished is kept; go on with:\n  {command}"
    try:
        return run()
    except (UsageError, RunFolderError, PluginError) as error:
        return _stop(name, f"error: {error}", 2)
    except BrokenPipeError:  # who reads what is printed has seen enough
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return _stop(name, f"stopped. {go_on}", 130)
    except EpisodeInterruptedError as error:
        return _stop(name, f"error: {error}. {go_on}", 1)
    except WorkerDiedError as error:
        return _stop(name, f"error: {error}: try fewer --jobs. {go_on}", 1)
    except OSError as error:
        return _stop(name, f"error: {error}. {go_on}", 1)


def _compare(folder: RunFolder, args: ComparisonOptions, command: str) -> int:
    """Play what is not played yet, then print and draw the comparison."""
    say(f"{folder.path}: {counted(len(folder.records), 'episode')} recorded, {len(folder.todo())} to play")
    if folder.set_aside:
        say(f"moved to set_aside.jsonl, as cut short or to be retried: {counted(folder.set_aside, 'record')}")
    folder.present_digests = own_agents.present_digests(folder.settings)
    for note in own_agents.other_versions(folder, folder.records.values()):
        say(note)
    if absent := names_not_found(runner.origin_of(folder.settings)) if folder.todo() else ():
        say(f"--names: no patient has {', '.join(map(repr, absent))}")
    without_model = run_settings.without_model(args, folder.settings)
    say_left_out(folder.settings, without_model)
    left_out = play(folder, args, command) if folder.todo() else {}
    say_left_out(folder.settings, left_out)
    failed = failures.lines(folder.records.values(), str(folder.path / failures.FILE))
    for line in [*failures.gone_early(folder.records.values()), *failed]:
        say(line)
    print(report.write(folder, without_model | left_out, draw=args.figures))
    beside = "figures beside them" if args.figures else f"figures by: radplan report {folder.path}"
    say(f"report in {folder.path / 'report.html'}, tables in {folder.path / 'tables.md'}, {beside}")
    return 1 if failed or set(left_out) & set(folder.settings.cases) else 0


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
            choice = folder.settings.model
            assert choice is not None
            say_withheld(args, choice)
            model = stack.enter_context(language_model.reached(args, folder.path, choice))
        tasks = len(folder.todo())
        backend = stack.enter_context(open_backend(tasks, args.jobs, args.backend, args.ray_address))
        unplanned = dispatch.prepare_all(backend, folder)
        for line in [*not_read(folder), *unjudged(folder)]:
            say(line)
        blind = [] if model is None else language_model.blind(agents, model)
        no_pictures = dict.fromkeys(blind, "it judges by pictures alone, and the model sees none")
        left_out = unplanned | altered_cases(folder) | no_pictures
        keys = [key for key in folder.todo() if not left_out.keys() & {key[0], key[1]}]
        if not keys and not folder.records:
            raise UsageError("nothing can be planned. " + " ".join(left_out.values()))
        dispatch.play_all(backend, folder, keys, command, model)
    return left_out


def say_left_out(settings: Settings, left_out: Mapping[str, str]) -> None:
    """Say which cases and agents are left out, and why."""
    for name, problem in left_out.items():
        say(f"{'case ' if name in settings.cases else ''}{name} is left out: {problem}")


def say_withheld(args: LanguageModelOptions, choice: ModelChoice) -> None:
    """Say that pictures stay on this machine, where they do though nobody asked for it."""
    if choice.vision != args.model.vision:
        say(
            f"pictures of your own patients stay on this machine: {choice.name} is outside it and gets numbers alone; "
            "--send-images-off-site sends it pictures as well"
        )


def say(text: str) -> None:
    print(text, file=sys.stderr)


def _stop(name: str, text: str, code: int) -> int:
    say(f"{name}: {text}")
    return code
