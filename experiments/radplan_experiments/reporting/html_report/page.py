"""What the report says, gathered for its template."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from radplan_agents.plan_changes import limits_held
from radplan_agents.registry import REGISTRY
from radplan_env.influence import fidelity_named
from radplan_env.planning import Summary
from radplan_env.scorecards import Scorecard, load_scorecard
from radplan_experiments.recording import failures
from radplan_experiments.recording.records import Record, key_of, plan_handed_over
from radplan_experiments.recording.run_folder import RunFolder
from radplan_experiments.recording.settings import Settings
from radplan_experiments.recording.standing import digests, standing
from radplan_experiments.reporting import frames, notes, transcripts
from radplan_experiments.reporting.answer import answer
from radplan_experiments.reporting.drawings import trajectory_episodes
from radplan_experiments.reporting.html_report.command import command, without_paths
from radplan_experiments.reporting.html_report.picture import Picture
from radplan_experiments.reporting.solves import Solve, solves_of
from radplan_experiments.reporting.stages import stages_of_records, warning
from radplan_experiments.reporting.stats import ENOUGH_CASES
from radplan_experiments.reporting.stored_plans import example_case
from radplan_experiments.reporting.tables import UNKNOWN, Table
from radplan_experiments.writing import slug, write_text

FILE = "report.html"

FIGURES = (
    *("score_differences", "sample_efficiency", "performance_profile", "probability_of_improvement"),
    *("mean_dvhs", "differences"),
)
TRAJECTORY = "trajectory_"
TRANSCRIPTS = ("transcripts", "What the language model saw and said")
"""The section of runs with transcripts, after the trajectories."""

SECTIONS = (
    ("overview", "Scores"),
    ("dvhs", "Plans and dose-volume histograms"),
    ("doses", "Doses and criteria"),
    ("differences", "Doses, patient by patient"),
    ("curves", "Score for effort"),
    ("trajectories", "Planning trajectories"),
    ("task", "What was played"),
    ("score", "How to read the numbers"),
    ("failures", "Failures and what is left out"),
    ("effort", "What it took"),
    ("places", "What ran where"),
    ("reproduce", "How to reproduce it"),
    ("limits", "Known limits"),
    ("cite", "Citation"),
)

_NUMBER = re.compile(r"[-−+]?\d[\d.]*( ?%)?( [(\[][-−+\d., ]+[)\]])*|–")


@dataclass(frozen=True)
class Trajectory:
    """An episode in words and, unless figures were left out, as a picture; the limits of the plan it handed over."""

    record: Record
    picture: Picture | None
    solves: list[Solve]
    limits: list[str]


def shown(settings: Settings, records: Sequence[Record]) -> set[str]:
    """Names of the figures that the report holds; the others lie beside it."""
    told = trajectory_episodes(settings, records)
    return {*FIGURES, *_example_figures(told).values(), *map(_trajectory_figure, told)}


def _trajectory_figure(record: Record) -> str:
    return f"{TRAJECTORY}{slug(record['agent'])}"


def _example_figures(told: Sequence[Record]) -> dict[str, str]:
    """Figures of the example patient, by their place in the page: the plan of the first agent told of, and all DVHs."""
    if not told:
        return {}
    best = told[0]
    return {"example_plan": f"plan_{slug(best['agent'])}", "example_dvhs": f"dvh_{slug(best['case'])}"}


def write(
    folder: RunFolder,
    references: Mapping[str, Summary],
    left_out: Mapping[str, str],
    tables: Sequence[Table],
    pictures: Mapping[str, Picture] | None,
) -> Path:
    """Write DIR/report.html.

    Parameters
    ----------
    folder : RunFolder
        The run.
    references : Mapping[str, dict]
        Plan summaries of the reference plans, by case.
    left_out : Mapping[str, str]
        What is missing from the run or its figures, and why.
    tables : sequence of Table
    pictures : Mapping[str, Picture], optional
        Its figures, by name; None if they were not drawn.
    """
    drawn, pictures = pictures is not None, pictures or {}
    records = sorted(folder.records.values(), key=key_of)
    settings = folder.settings
    protocol, scorecard = settings.protocol, _scorecard(settings)
    example = example_case(records)
    told = trajectory_episodes(settings, records)
    examples = _example_figures(told).items()
    said = transcripts.gather(folder, records, example)
    text = _template().render(
        sections=_sections(with_transcripts=said is not None),
        enough_cases=ENOUGH_CASES,
        fidelity=_fidelity(settings.fidelity),
        example=example,
        scored_cases=len({record["case"] for record in frames.complete(records)}),
        own_agents=[agent for agent in settings.agents if agent not in REGISTRY.built_in],
        question=f"{protocol.title}: who plans it best for the same effort?",
        answer=answer(settings, records),
        standing=[without_paths(line, settings) for line in standing(folder)],
        warnings=[without_paths(line, settings) for line in notes.warnings(folder, records, references)],
        before_sequencing=warning(stages_of_records(records)),
        settings=settings,
        protocol=protocol,
        terms=[] if scorecard is None else scorecard.terms(protocol),
        term_ends=Scorecard.ends if scorecard is None else scorecard.ends,
        scoring=[] if scorecard is None else scorecard.rules,
        model=notes.language_model(folder, records),
        tables={table.name: table for table in tables},
        drawn=drawn,
        pictures={**pictures, **{place: pictures[name] for place, name in examples if name in pictures}},
        best=told[0]["agent"] if told else None,
        has_references=bool(references),
        trajectories=_trajectories(told, pictures),
        transcripts=said,
        failures=_failures(folder, records),
        left_out={name: without_paths(why, settings) for name, why in left_out.items()},
        places=_places(records),
        command=command(settings),
        versions=notes.versions(records),
        digests=digests(folder),
    )
    path = folder.path / FILE
    write_text(path, text)
    return path


def _sections(*, with_transcripts: bool) -> list[tuple[str, str]]:
    """Anchors and titles of the page's sections."""
    sections = list(SECTIONS)
    if with_transcripts:
        sections.insert([anchor for anchor, _ in SECTIONS].index("trajectories") + 1, TRANSCRIPTS)
    return sections


def _scorecard(settings: Settings) -> Scorecard | None:
    """The scorecard that the run was scored by, where it is installed."""
    try:
        return load_scorecard(settings.scorecard.name)
    except ValueError:
        return None


def _trajectories(told: Sequence[Record], pictures: Mapping[str, Picture]) -> list[Trajectory]:
    return [
        Trajectory(
            record,
            pictures.get(_trajectory_figure(record)),
            solves_of(record["steps"]),
            limits_held(plan_handed_over(record)),
        )
        for record in told
    ]


def _failures(folder: RunFolder, records: Sequence[Record]) -> list[dict[str, Any]]:
    """Failed episodes, those that failed alike together; the first of them by its place."""
    alike: dict[tuple[str, str], list[Record]] = {}
    for record in failures.failed(records):
        message = without_paths(failures.message(record), folder.settings)
        alike.setdefault((record["agent"], message), []).append(record)
    return [
        {"agent": agent, "message": message, "first": failures.episode(own[0]), "episodes": len(own)}
        for (agent, message), own in alike.items()
    ]


def _places(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Episodes, solves and hours by machine, and how many workers each had."""
    found: dict[str, list[Record]] = {}
    for record in records:
        where = record.get("ran_on", {})
        name = " ".join(where[key] for key in ("host", "node") if key in where)
        found.setdefault(name or "not recorded", []).append(record)
    return [
        {
            "machine": name,
            "workers": len({record["ran_on"]["worker"] for record in own if "ran_on" in record}) or UNKNOWN,
            "agents": ", ".join(
                f"{agent} {count}" for agent, count in sorted(Counter(r["agent"] for r in own).items())
            ),
            "episodes": len(own),
            "solves": sum(len(record["steps"]) for record in own),
            "hours": sum(record["seconds"] for record in own) / 3600,
        }
        for name, own in sorted(found.items())
    ]


def _fidelity(name: str) -> str:
    fidelity = fidelity_named(name)
    return f"{name}: {fidelity.dose_grid_mm:g} mm dose grid, {fidelity.bixel_mm:g} mm bixels"


def _columns_shown(columns: Sequence[str]) -> list[str]:
    """Columns but for links to other files, and the kind of plan, which the methods' names say already."""
    return [name for name in columns if name not in ("transcripts", "plan")]


def numeric_columns(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> set[str]:
    """Columns of numbers, known or not: they stand at the right."""
    cells = zip(*rows, strict=True)
    return {name for name, own in zip(columns, cells, strict=False) if all(_NUMBER.fullmatch(text) for text in own)}


def row_spans(rows: Sequence[Sequence[str]]) -> list[int]:
    """Rows that the first cell of each row stands for; 0 where the one above it stands for it too."""
    groups = [len(list(alike)) for _, alike in groupby(rows, key=itemgetter(0))]
    return [span for count in groups for span in (count, *[0] * (count - 1))]


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,  # agents, structures, instructions and errors are named by users
    )
    environment.globals |= {
        "columns_shown": _columns_shown,
        "numeric_columns": numeric_columns,
        "row_spans": row_spans,
        "without_paths": without_paths,
    }
    return environment.get_template("report.html.jinja")
