"""What a reader must know before believing the numbers of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from radplan_env.info import PlanSummary
from radplan_experiments.recording import failures
from radplan_experiments.recording.records import Record
from radplan_experiments.recording.run_folder import RunFolder
from radplan_experiments.recording.standing import other_in_package, scorecard_has_changed
from radplan_experiments.reporting import refusals
from radplan_experiments.reporting.best_known import TEMPLATE
from radplan_experiments.running.language_model import spending
from radplan_experiments.running.own_agents import other_versions
from radplan_experiments.wording import listed

OTHER_PRESCRIPTION = 0.1
"""A reference plan whose D95 is off the prescription by more than this fraction was not made for it."""


def versions(records: Sequence[Record]) -> list[str]:
    """Versions of what the numbers depend on: a line, or several where episodes were played with different ones."""
    found = {json.dumps(record["versions"], sort_keys=True): record["versions"] for record in records}
    return [", ".join(f"{name} {version}" for name, version in each.items()) for each in found.values()]


def warnings(folder: RunFolder, records: Sequence[Record], references: Mapping[str, Any]) -> list[str]:
    """What is mixed or not to be compared."""
    lines = []
    if len(versions(records)) > 1:
        lines.append("Mixed: these episodes were not all played with the same versions.")
    if other_in_package(folder.settings):
        name = folder.settings.protocol.name
        lines.append(
            f"The protocol is not the package's {name}, or not its present version: criteria and scores are the run's "
            f"own. compare.py --rescore --protocol {name} judges these plans by the package's."
        )
    if scorecard_has_changed(folder.settings):
        lines.append(
            f"The scorecard {folder.settings.scorecard.name} has changed since these plans were scored, or is not "
            "installed. compare.py --rescore scores them anew."
        )
    lines += other_versions(folder, records)
    if len(folder.settings.cases) == 1:
        lines.append("One case: no interval over cases and no probability of improvement.")
    lines += refusals.sentence(records)
    lines += beginning_as_template(folder, records)
    lines += rescorings(records)
    if any(record["case"].startswith("synthetic/") for record in records):
        lines.append("The patients are synthetic.")
    primary = folder.settings.protocol.primary
    for case, reference in references.items():
        d95 = primary.prescription_gy / reference["scaled_by"]
        if abs(d95 / primary.prescription_gy - 1) > OTHER_PRESCRIPTION:
            lines.append(
                f"The reference plan of {case} gives {primary.structure} a D95 of {d95:.1f} Gy where the protocol "
                f"prescribes {primary.prescription_gy:g} Gy. It looks made for another prescription: do not compare."
            )
    return lines


def beginning_as_template(folder: RunFolder, records: Sequence[Record]) -> list[str]:
    """Say which agents' first plan is the template's wherever both played: they cannot score below it."""
    first = {(r["agent"], r["case"], r["seed"]): r["steps"][0] for r in records if r["steps"]}
    of_template = {case: step for (agent, case, _), step in first.items() if agent == TEMPLATE}
    found = []
    for name in folder.settings.agents:
        own = [
            (step, of_template[case])
            for (agent, case, _), step in first.items()
            if agent == name and case in of_template
        ]
        if name != TEMPLATE and own and all(_same_choice(step, other) for step, other in own):
            found.append(name)
    if not found:
        return []
    begin, they = ("begins", "it") if len(found) == 1 else ("begin", "they")
    return [
        f"{listed(found)} {begin} with the template's plan; as an episode's best plan counts, {they} cannot score "
        "below the template."
    ]


def _same_choice(one: PlanSummary, other: PlanSummary) -> bool:
    return all(one[key] == other[key] for key in ("parameters", "limits", "smoothness"))


def rescorings(records: Sequence[Record]) -> list[str]:
    """Where plans come from that were judged anew, and by what their agents had them judged."""
    origins = {json.dumps(record["rescored"]): record["rescored"] for record in records if "rescored" in record}
    return [
        f"Re-scored: the plans of {origin['from']}, judged by {origin['by']}. "
        + (
            "It is what the agents planned by."
            if origin["was"] == origin["by"]
            else f"Their agents planned by {origin['was']}, and might have done otherwise."
        )
        for origin in origins.values()
    ]


def missing(records: Sequence[Record], left_out: Mapping[str, str]) -> list[str]:
    """What was left out, and what failed."""
    lines = [f"Left out: {name}: {problem}" for name, problem in left_out.items()]
    return lines + failures.lines(records)


def language_model(folder: RunFolder, records: Sequence[Record]) -> list[str]:
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
    said = {record["agent"]: own for record in records if (own := record["agent_record"])}
    unseen = [
        agent
        for agent, own in said.items()
        if own.get("calls_with_pictures", 0) > own.get("calls_with_pictures_seen", 0)
    ]
    return [*lines, f"The model saw no pictures of {', '.join(unseen)}: its service refuses them."] if unseen else lines
