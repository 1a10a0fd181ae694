"""The best that is known of a patient: what agents of the run reached, or what suites/best-known.csv holds.

The file has a line for each patient, protocol and scorecard: the template's score, the best score of a plan that passes
the screen, and by whom it was reached, with how many solves.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from radplan_experiments import suites
from radplan_experiments.recording.records import Record
from radplan_experiments.recording.settings import Settings
from radplan_experiments.reporting import frames
from radplan_experiments.reporting.equivalence import EQUIVALENT

FILE = suites.FOLDER / "best-known.csv"
SHOWN = 0.005
"""Scores that differ by less are written the same."""
TEMPLATE = "template"
COLUMNS = ("case", "protocol_digest", "scorecard_digest", "template", "best", "by")


@dataclass(frozen=True)
class BestKnown:
    """Scores of a patient's template plan, refused or not, and of its best plan that is not, and whose it is."""

    template: float
    best: float
    by: str

    @property
    def room(self) -> float:
        """Points between template and best, but no less than what counts as a difference."""
        return max(self.best - self.template, EQUIVALENT)

    @property
    def leaves_room(self) -> bool:
        """Whether the template can be bettered by what counts as a difference."""
        return self.best - self.template >= EQUIVALENT

    def regret(self, score: float) -> float:
        """Share of the room that a score leaves: 0 of the best plan, 1 of the template's."""
        return (self.best - score) / self.room

    def is_of(self, agent: str, score: float) -> bool:
        """Whether the best is an agent's own, or its score is written the same."""
        return self.by == agent or self.best - score < SHOWN

    def on_the_way(self, share: float) -> float:
        """Score at a share of the way from the template to the best."""
        return self.best - (1 - share) * max(self.best - self.template, 0.0)


def read_best_known(settings: Settings, path: Path = FILE) -> dict[str, BestKnown]:
    """Return what the file holds for the run's cases, by case, under the run's protocol and scorecard.

    Of delivered plans it holds nothing.

    Raises
    ------
    ValueError
        If the file is no such table; the message names the line.
    """
    if settings.delivery is not None:
        return {}
    wanted = settings.protocol_digest, settings.scorecard.digest
    found: dict[str, BestKnown] = {}
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise ValueError(f"{path}, line 1: the columns are to be {','.join(COLUMNS)}")
        for row in reader:
            known = _known(row, f"{path}, line {reader.line_num}")
            if (row["protocol_digest"], row["scorecard_digest"]) == wanted and row["case"] in settings.cases:
                if row["case"] in found:
                    raise ValueError(f"{path}, line {reader.line_num}: {row['case']} stands there twice; keep one line")
                found[row["case"]] = known
    return found


def best_known(
    settings: Settings, records: Sequence[Record], listed: Mapping[str, BestKnown] | None = None
) -> dict[str, BestKnown]:
    """Return the best known of each case with a plan that passes and a template, from the run or from the file.

    Parameters
    ----------
    settings : Settings
    records : sequence of dict
    listed : Mapping[str, BestKnown], optional
        What `read_best_known` found; read from the file by default.
    """
    listed = read_best_known(settings) if listed is None else listed
    frame = frames.plan_scores(records)
    scores, templates = frames.passing_runs(frame), frames.runs(frame, "highest").get(TEMPLATE, {})
    found = {}
    for case in settings.cases:
        reached = {agent: float(own[case].max()) for agent, own in scores.items() if case in own}
        own_template = templates.get(case)
        if case in listed:
            reached |= {listed[case].by: max(listed[case].best, reached.get(listed[case].by, 0.0))}
        template = listed[case].template if own_template is None and case in listed else own_template
        if template is not None and reached:
            by = max(reached, key=lambda name: reached[name])
            found[case] = BestKnown(float(np.mean(template)), reached[by], by)
    return found


def _known(row: dict[str, str], where: str) -> BestKnown:
    try:
        known = BestKnown(float(row["template"]), float(row["best"]), row["by"])
    except (TypeError, ValueError):
        raise ValueError(f"{where}: template and best are to be scores, as in 81.5") from None
    if not known.by:
        raise ValueError(f"{where}: by is empty; say who reached the best score")
    if not all(0 <= score <= 100 for score in (known.template, known.best)):
        raise ValueError(f"{where}: template and best are to be scores from 0 to 100")
    return known
