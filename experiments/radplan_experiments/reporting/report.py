"""From a run's folder to its tables, figures and report."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from tqdm import tqdm

from radplan_experiments.recording import failures
from radplan_experiments.recording.records import Record
from radplan_experiments.recording.run_folder import RunFolder
from radplan_experiments.recording.standing import standing
from radplan_experiments.reporting import figures, html_report, notes, stages, tables
from radplan_experiments.reporting.drawings import all_figures
from radplan_experiments.reporting.html_report import Picture
from radplan_experiments.reporting.stored_plans import StoredPlans


def write(folder: RunFolder, left_out: Mapping[str, str], *, draw: bool = True) -> str:
    """Write tables, figures, HTML report and tracebacks of a run; return the first of the tables as text.

    Parameters
    ----------
    folder : RunFolder
    left_out : Mapping[str, str]
        Cases and agents left out, and why.
    draw : bool
        Whether there are figures; those of an earlier report stay where they are.
    """
    failures.write_tracebacks(folder)
    records = list(folder.records.values())
    references = read_references(folder)
    found = tables.all_tables(folder.settings, records, references)
    text = tables.save(found, folder.path, _heading(folder, records, references, left_out))
    plans = StoredPlans(folder, records)
    pictures = _draw(plans, references) if draw else None
    html_report.write(folder, references, {**left_out, **plans.unreadable}, found, pictures)
    return text


def read_references(folder: RunFolder) -> dict[str, Any]:
    """Summaries of the reference plans, by case, of the cases that have one."""
    references = {case: known["reference"] for case, known in folder.known_cases().items()}
    return {case: reference for case, reference in references.items() if reference is not None}


def _draw(plans: StoredPlans, references: Mapping[str, Any]) -> dict[str, Picture]:
    """Write every figure; return those of the HTML report."""
    pictures = {}
    below = stages.footnote(stages.stages_of_records(plans.records))
    drawings = list(all_figures(plans, references))
    shown = html_report.shown(plans.folder.settings, plans.records)
    for name, draw in tqdm(drawings, desc="figures", unit="figure", file=sys.stderr):
        if (figure := draw()) is None:
            continue
        path = plans.folder.path / "figures" / f"{name}.png"
        if not name.startswith("plan"):
            figures.add_footnote(figure, below)
        figures.save(figure, path, pdf=not name.startswith("plan"))
        if name in shown:
            pictures[name] = Picture.of(figure, path)
    return pictures


def _heading(
    folder: RunFolder, records: list[Record], references: Mapping[str, Any], left_out: Mapping[str, str]
) -> str:
    """What was run, with what, and what is missing from it."""
    settings = folder.settings
    lines = [
        f"# {settings.protocol.title}: {', '.join(settings.agents)}",
        "",
        *standing(folder),
        *notes.versions(records),
    ]
    lines += notes.warnings(folder, records, references)
    lines += notes.language_model(folder, records)
    lines += notes.missing(records, left_out)
    listed = [line if line.startswith("#") or not line else f"- {line}" for line in lines]
    said = stages.warning(stages.stages_of_records(records))
    return "\n".join([*listed, *(["", said] if said else [])])
