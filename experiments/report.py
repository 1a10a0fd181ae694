"""From a run's folder to its tables and figures."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from matplotlib.figure import Figure
from tqdm import tqdm

from experiments import figures, frames, tables
from experiments.frames import REFERENCE
from experiments.language_model import spending
from experiments.records import FAILED, Record, RunFolder, slug
from experiments.runner import read_case
from radplan_env.plan import Plan
from radplan_env.protocol import load_protocol
from radplan_env.render import plan_figure

OTHER_PRESCRIPTION = 0.1
"""A reference plan whose D95 is off the prescription by more than this fraction was not made for it."""


def write(folder: RunFolder, left_out: Mapping[str, str]) -> str:
    """Write tables and figures of the episodes recorded; return the tables as text.

    Parameters
    ----------
    folder : RunFolder
    left_out : Mapping[str, str]
        Cases and agents left out, and why.
    """
    records = list(folder.records.values())
    references = read_references(folder)
    heading = _heading(folder, records, references, left_out)
    found = tables.all_tables(folder.settings, records, references)
    text = tables.save(found, folder.path, heading)
    todo = list(_figures(folder, records, references))
    for name, draw in tqdm(todo, desc="figures", unit="figure", file=sys.stderr):
        if (figure := draw()) is not None:
            figures.save(figure, folder.path / "figures" / name, pdf=not name.startswith("plan"))
    return text


def read_references(folder: RunFolder) -> dict[str, Any]:
    """Summaries of the reference plans, by case, of the cases that have one."""
    found = {}
    for case in folder.settings.cases:
        path = folder.case_path(case)
        if path.exists() and (reference := json.loads(path.read_text(encoding="utf-8"))["reference"]) is not None:
            found[case] = reference
    return found


def _figures(
    folder: RunFolder, records: list[Record], references: Mapping[str, Any]
) -> Iterator[tuple[str, Callable[[], Figure | None]]]:
    """Name and drawer of every figure there is something to draw for."""
    settings, episodes = folder.settings, frames.complete(records)
    if not episodes:
        return
    yield "sample_efficiency", partial(figures.sample_efficiency, settings, episodes, references)
    yield "differences", partial(figures.differences, settings, episodes, references)
    first_seeds = [record for record in episodes if record["seed"] == 0]
    for case in settings.cases:
        played = {record["agent"] for record in first_seeds if record["case"] == case}
        if agents := [agent for agent in settings.agents if agent in played]:
            yield f"dvh_{slug(case)}", partial(draw_dvhs, folder, case, agents, references.get(case))
    for record in first_seeds:
        if record["case"] == settings.cases[0]:
            yield f"plan_{slug(record['agent'])}", partial(draw_plan, folder, record["case"], record["agent"])


def failure_line(record: Record) -> str:
    """What went wrong in a failed episode."""
    return f"{record['agent']} failed on {record['case']}, seed {record['seed']}: {record['error']['message']}"


def draw_dvhs(folder: RunFolder, case: str, agents: Sequence[str], reference: Mapping[str, Any] | None) -> Figure:
    """DVHs of the plans that agents handed over for a case, first seed, and of its reference plan."""
    curves: dict[str, Any] = {agent: Plan.load(folder.plan_path((agent, case, 0))).evaluation.dvh for agent in agents}
    if reference is not None:
        curves[REFERENCE] = {name: (dvh["edges_gy"], dvh["percent"]) for name, dvh in reference["dvh"].items()}
    return figures.dvh_comparison(folder.settings, case, curves)


def draw_plan(folder: RunFolder, case_id: str, agent: str) -> Figure:
    """The plan that an agent handed over for a case, first seed, as a planner would look at it."""
    case = read_case(folder.settings, case_id)
    plan = Plan.load(folder.plan_path((agent, case_id, 0)))
    return plan_figure(
        case,
        plan.dose_on(case.grid),
        plan.summary(),
        prescription_gy=load_protocol(folder.settings.protocol).primary.prescription_gy,
        title=f"{case.id}: {agent}, before sequencing",
        reference_dose_gy=case.reference_dose_gy,
    )


def _heading(
    folder: RunFolder, records: list[Record], references: Mapping[str, Any], left_out: Mapping[str, str]
) -> str:
    """What was run, with what, and what is missing from it."""
    settings = folder.settings
    lines = [f"# {settings.site}: {', '.join(settings.agents)}", ""]
    versions = {json.dumps(record["versions"], sort_keys=True): record["versions"] for record in records}
    lines += [", ".join(f"{name} {version}" for name, version in found.items()) for found in versions.values()]
    if len(versions) > 1:
        lines.append("Mixed: these episodes were not all played with the same versions.")
    if any(record["case"].startswith("synthetic/") for record in records):
        lines.append("The patients are synthetic.")
    primary = load_protocol(settings.protocol).primary
    for case, reference in references.items():
        d95 = reference["metrics"][primary.structure]["D95%"]
        if abs(d95 / primary.prescription_gy - 1) > OTHER_PRESCRIPTION:
            lines.append(
                f"The reference plan of {case} gives {primary.structure} a D95 of {d95:.1f} Gy where the protocol "
                f"prescribes {primary.prescription_gy:g} Gy. It looks made for another prescription: do not compare."
            )
    lines += _about_the_model(folder, records)
    lines += [f"Left out: {name}: {problem}" for name, problem in left_out.items()]
    lines += [failure_line(record) for record in records if record["status"] == FAILED]
    return "\n".join(line if line.startswith("#") or not line else f"- {line}" for line in lines)


def _about_the_model(folder: RunFolder, records: list[Record]) -> list[str]:
    """Which language model, what it was told and paid, and who of those that show pictures could not."""
    settings = folder.settings
    if settings.model is None:
        return []
    facts = [f"temperature {settings.model.temperature}", f"seed {settings.model.seed}", spending(folder.path)]
    lines = [f"Language model: {settings.model.name}; {'; '.join(facts)}."]
    if settings.instructions:
        lines.append(f"Instructions: {json.dumps(settings.instructions, ensure_ascii=False)}")
    if settings.model.vision == "no":
        return [*lines, "No agent showed the model pictures: --model.vision no."]
    said = {record["agent"]: record["agent_record"] for record in records if record.get("agent_record")}
    unseen = [
        agent
        for agent, own in said.items()
        if own.get("calls_with_pictures", 0) > own.get("calls_with_pictures_seen", 0)
    ]
    return [*lines, f"The model saw no pictures of {', '.join(unseen)}: its service refuses them."] if unseen else lines
