"""What pareto.py does once its options are read."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import lru_cache, partial
from hashlib import sha256

import numpy as np

from radplan_env.info import PlanSummary
from radplan_env.planning import PlanningSystem
from radplan_experiments.cohort import UsageError
from radplan_experiments.options import ParetoOptions
from radplan_experiments.recording import failures
from radplan_experiments.recording.records import COMPLETE, Record
from radplan_experiments.recording.settings import Settings
from radplan_experiments.reporting import figures, front
from radplan_experiments.reporting.front import Metric, Point
from radplan_experiments.reporting.stages import footnote, stages_of, warning
from radplan_experiments.reporting.tables import Table
from radplan_experiments.running import comparison, run_settings, runner
from radplan_experiments.running.backends import open_backend
from radplan_experiments.writing import slug, write_text


def run(args: ParetoOptions, command: str) -> int:
    """Make or continue the sweeps; return the exit code: 0 done, 1 an error, 2 wrong usage, 130 interrupted."""
    return comparison.guarded(command, lambda: _run(args, command))


def _run(args: ParetoOptions, command: str) -> int:
    site = run_settings.site_of_task(args)
    pair = args.metrics or site.trade_off
    if pair is None:
        raise UsageError(f"--metrics: name the two metrics that are traded, as {site.id} has none by default")
    metrics = Metric.parse(pair[0]), Metric.parse(pair[1])
    settings = _check(args, metrics)
    points = [*_by_weights(args, settings, metrics), *_by_words(args, command)]
    frame, stages = front.frame_of(points, metrics), stages_of(point.plan for point in points)
    note = "Empty where no other plan of the case is as good in both metrics and better in one. " + warning(stages)
    table = Table("pareto", f"{metrics[0]} against {metrics[1]}: {site.id}, {args.fidelity} fidelity", note, frame)
    args.out.mkdir(parents=True, exist_ok=True)
    write_text(args.out / "pareto.csv", frame.to_csv(index=False))
    write_text(args.out / "pareto.md", table.markdown())
    for case in frame["case"].unique():
        figures.save(front.draw(frame, metrics, case, footnote(stages)), args.out / f"pareto_{slug(case)}", pdf=False)
    print(table.markdown())
    comparison.say(f"points in {args.out / 'pareto.csv'}, pictures beside it")
    return 0


def _check(args: ParetoOptions, metrics: tuple[Metric, Metric]) -> Settings:
    """Check what was asked for; return the settings that the plans by weights have."""
    if args.ratios < 0 or not args.largest_ratio > 1:
        raise UsageError("--ratios must be at least 0 and --largest-ratio above 1")
    if not args.wishes and args.ratios == 0:
        raise UsageError("there is nothing to sweep: give --wishes, or --ratios above 0")
    if args.llm and not args.wishes:
        raise UsageError("--llm is for --wishes: give some")
    if len(set(args.wishes)) < len(args.wishes):
        raise UsageError("--wishes: each once")
    plain = dataclasses.replace(args, agents=("template",), llm=None, instructions="")
    slots = run_settings.protocol_of(args).slots
    if args.ratios and (
        metrics[0].structure == metrics[1].structure or not {m.structure for m in metrics} <= set(slots)
    ):
        raise UsageError(
            f"--metrics: the weights of two structures are shifted against each other; name metrics of two of "
            f"{', '.join(slots)}, or give --ratios 0"
        )
    if args.wishes:
        run_settings.settings_of(args)  # complains of the model before anything is planned
    return run_settings.settings_of(plain)


# ------------------------------------------------------------------------------------------------------------- weights


def _by_weights(args: ParetoOptions, settings: Settings, metrics: tuple[Metric, Metric]) -> list[Point]:
    """The template plan with the weights of two structures shifted against each other, for every case."""
    ratios = np.geomspace(1 / args.largest_ratio, args.largest_ratio, args.ratios) if args.ratios > 1 else [1.0]
    todo = [(case, float(ratio)) for case in settings.cases for ratio in ratios if args.ratios]
    if not todo:
        return []
    structures = metrics[0].structure, metrics[1].structure
    with open_backend(len(todo), args.jobs, args.backend, args.ray_address) as backend:
        summaries = backend.map(partial(shifted, settings, structures), todo, "weights", "plan")
    return [
        Point(
            case,
            "weights",
            f"× {np.format_float_positional(ratio, precision=3, fractional=False, trim='-')}",
            summary,
        )
        for (case, ratio), summary in zip(todo, summaries, strict=True)
    ]


def shifted(settings: Settings, structures: tuple[str, str], task: tuple[str, float]) -> PlanSummary:
    """Summary of a case's template plan with the ratio of two structures' weights shifted: one raised, one lowered."""
    case, ratio = task
    system = _system(settings, case)
    ranges = {slot.structure: slot.weight_range for slot in (*system.protocol.targets, *system.protocol.organs)}
    parameters = system.protocol.start_parameters()
    for structure, times in zip(structures, (ratio**0.5, ratio**-0.5), strict=True):
        if structure not in ranges:
            raise UsageError(f"case {case} has no {structure}: name other --metrics or --cases")
        weight = float(np.clip(parameters.structures[structure].weight * times, *ranges[structure]))
        parameters = parameters.replace(structure, weight=weight)
    return system.plan(parameters).summary()


@lru_cache(maxsize=1)
def _system(settings: Settings, case: str) -> PlanningSystem:
    return runner.planning_system(settings, runner.read_case(settings, case))


# --------------------------------------------------------------------------------------------------------------- words


def _by_words(args: ParetoOptions, command: str) -> list[Point]:
    """The plan that each agent ends with, for every wish and case."""
    points: list[Point] = []
    for wish in args.wishes:
        told = dataclasses.replace(
            args,
            instructions=f"{args.instructions} {wish}".strip(),
            model=dataclasses.replace(args.model, replies=args.model.replies or args.out / "replies.sqlite"),
        )
        comparison.say(f"wish: {wish}")
        settings = run_settings.settings_of(told)
        with comparison.run_folder(args.out / "words" / _folder_of(wish), settings, told, command) as folder:
            left_out = comparison.play(folder, told, command) if folder.todo() else {}
            comparison.say_left_out(settings, left_out)
            points += _ends(list(folder.records.values()), wish)
    return points


def _folder_of(wish: str) -> str:
    """A name that can be read, and told from those of other wishes."""
    return f"{slug(wish)[:40]}-{sha256(wish.encode()).hexdigest()[:8]}"


def _ends(records: Sequence[Record], wish: str) -> list[Point]:
    """The last plan of each episode that came to its end; of the others it is said that they did not."""
    for record in records:
        if record["status"] != COMPLETE:
            comparison.say(failures.line(record))
    ended = sorted((r for r in records if r["status"] == COMPLETE), key=lambda r: (r["agent"], r["case"], r["seed"]))
    return [Point(record["case"], record["agent"], wish, record["steps"][-1]) for record in ended]
