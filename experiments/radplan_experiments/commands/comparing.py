"""What compare.py does: play a comparison or a suite, or do something with results that are there."""

from __future__ import annotations

from collections.abc import Sequence

from radplan_experiments.auditing import merge, rescoring, validation
from radplan_experiments.cohort import UsageError
from radplan_experiments.options import CompareOptions, ResultsOptions
from radplan_experiments.recording.run_folder import read_run_folder
from radplan_experiments.reporting import report
from radplan_experiments.running import comparison
from radplan_experiments.running.run_settings import protocol_named, settings_of, settings_of_suite
from radplan_experiments.suites import load_suite

SET_BY_SUITE = (
    *("--site", "--protocol", "--scorecard", "--gantry-angles-deg", "--collimator-angles-deg", "--beam-model"),
    *("--source", "--split", "--cases", "--budget", "--seeds", "--fidelity"),
    *("--technique", "--machine", "--arcs", "--deliver"),
)

BESIDE = {
    "--validate": ("--data", "--jobs"),
    "--report": ("--no-figures",),
    "--rescore": ("--out", "--protocol", "--scorecard", "--data", "--jobs"),
    "--merge": ("--out", "--no-figures"),
}
"""What else may be asked for, by what is done with results that are there."""


def run(args: CompareOptions, given: Sequence[str], command: str) -> int:
    """Do what was asked for; return the exit code.

    0 is done, 1 an error, an episode that failed or a plan not confirmed, 2 wrong usage, 130 interrupted.

    Parameters
    ----------
    args : CompareOptions
        What was asked for.
    given : sequence of str
        The options that were named: one that would have no effect beside the others is refused.
    command : str
        The command line that started it, and continues it.
    """
    return comparison.guarded(command, lambda: _run(args, given, command))


def _run(args: CompareOptions, given: Sequence[str], command: str) -> int:
    check_together(given)
    if any(option in BESIDE for option in given):
        return _with_results(args.results, args, command)
    if args.suite is None:
        return comparison.compare(settings_of(args), args, command)
    settings = settings_of_suite(args.suite, args)
    if missing := load_suite(args.suite).missing(settings.cases):
        comparison.say(f"this will not be {args.suite}: {', '.join(missing)} missing")
    return comparison.compare(settings, args, command)


def check_together(given: Sequence[str]) -> None:
    """Refuse options that do not go together.

    Raises
    ------
    UsageError
        The message names them.
    """
    for option in given:
        if option not in BESIDE:
            continue
        if others := [other for other in given if other != option and other not in BESIDE[option]]:
            goes = " and ".join(BESIDE[option]) or "nothing else"
            raise UsageError(f"{option} goes with {goes}: leave out {' '.join(others)}")
        if "--out" in BESIDE[option] and "--out" not in given:
            raise UsageError(f"{option} needs a folder for its results: --out")
    if "--suite" in given and (clashing := [option for option in given if option in SET_BY_SUITE]):
        raise UsageError(f"--suite sets {' '.join(clashing)} itself: leave out one or the other")


def _with_results(results: ResultsOptions, args: CompareOptions, command: str) -> int:
    if results.validate is not None:
        return validation.validate(results.validate, data=args.data, jobs=args.jobs)
    if results.report is not None:
        print(report.write(read_run_folder(results.report), {}, draw=args.figures))
        return 0
    if results.rescore is not None:
        return rescoring.rescore(
            results.rescore,
            args.out,
            protocol=None if args.protocol is None else protocol_named(args.protocol),
            scorecard=args.scorecard,
            data=args.data,
            jobs=args.jobs,
            command=command,
        )
    return merge.merge(results.merge, args.out, command=command, draw=args.figures)
