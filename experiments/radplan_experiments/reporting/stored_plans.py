"""The plans that a run's folder holds, and which of them stand as examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from radplan_env.case import Case
from radplan_env.errors import CaseError
from radplan_env.planning import Plan, Summary
from radplan_env.render.dvh import Curves
from radplan_experiments.cohort import UsageError
from radplan_experiments.recording.ranking import best_points
from radplan_experiments.recording.records import Record, key_of, plan_handed_over, plans_that_count
from radplan_experiments.recording.run_folder import RunFolder
from radplan_experiments.reporting import frames
from radplan_experiments.reporting.frames import REFERENCE
from radplan_experiments.running.runner import read_case

EXAMPLE_AGENTS = 3


@dataclass
class StoredPlans:
    """Reads the plans that episodes handed over; one that is missing or damaged is noted and left out.

    Parameters
    ----------
    folder : RunFolder
    records : sequence of dict
        Its episodes.

    Attributes
    ----------
    unreadable : dict[str, str]
        What could not be read (a file of the folder, a case) and why.
    """

    folder: RunFolder
    records: Sequence[Record]
    unreadable: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.records = [record for record in frames.complete(self.records) if record["steps"]]

    def handed_over(self, record: Record) -> Plan | None:
        """The plan an episode handed over; None if it cannot be read."""
        path = self.folder.plan_path(key_of(record))
        try:
            return Plan.load(path)
        except FileNotFoundError:
            problem = "missing"
        except ValueError:
            problem = "damaged, or of another format"
        self.unreadable[str(path.relative_to(self.folder.path))] = problem
        return None

    def first(self, record: Record) -> Plan | None:
        """The first plan of an episode, if any episode handed over the same one; else None.

        Only plans handed over are stored with their dose. Nearly all agents begin with the template plan, which is what
        the template agent hands over.
        """
        for other in self.records:
            if other["case"] == record["case"] and same_plan(plan_handed_over(other), record["steps"][0]):
                return self.handed_over(other)
        return None

    def case(self, case: str) -> Case | None:
        """A case of the run; None where its data are not at hand, as on the machine of a reader."""
        try:
            return read_case(self.folder.settings, case)
        except (UsageError, CaseError, OSError):
            self.unreadable[case] = "its data are not where the run found them"
            return None

    def curves(self, references: Mapping[str, Summary]) -> dict[str, dict[str, list[Curves]]]:
        """DVHs of every plan handed over, and of the reference plans, by method and case."""
        found: dict[str, dict[str, list[Curves]]] = {}
        for record in self.records:
            if (plan := self.handed_over(record)) is not None:
                found.setdefault(record["agent"], {}).setdefault(record["case"], []).append(plan.evaluation.dvh)
        for case, reference in sorted(references.items()):
            found.setdefault(REFERENCE, {})[case] = [reference_curves(reference)]
        return found


def reference_curves(reference: Mapping[str, Any]) -> Curves:
    """DVHs of a reference plan, from what cases/ holds of it."""
    return {name: (np.array(dvh["edges_gy"]), np.array(dvh["percent"])) for name, dvh in reference["dvh"].items()}


def same_plan(one: Summary, other: Summary) -> bool:
    """Whether two steps on a case made the same plan: same parameters, smoothness and limits, and the same score."""
    return all(one.get(key) == other.get(key) for key in ("parameters", "smoothness", "limits", "score"))


def example_case(records: Sequence[Record]) -> str | None:
    """The case of the median best score, agents and seeds averaged; of two the lower, where no median is a case."""
    scores: dict[str, list[float]] = {}
    for record in frames.complete(records):
        scores.setdefault(record["case"], []).append(best_points(plans_that_count(record)))
    ordered = sorted(scores, key=lambda case: (float(np.mean(scores[case])), case))
    return ordered[(len(ordered) - 1) // 2] if ordered else None


def example_episodes(records: Sequence[Record], case: str, ranking: Sequence[str]) -> list[Record]:
    """Episodes on a case to look at: of the first agents of the ranking that searched, each agent's lowest seed.

    An agent of a single solve has no trajectory; it is shown only where no other played.
    """
    own = [record for record in frames.complete(records) if record["case"] == case and record["steps"]]
    lowest = {record["agent"]: record for record in reversed(own)}  # `complete` sorts by seed
    ranked = [lowest[agent] for agent in ranking if agent in lowest]
    searched = [record for record in ranked if len(record["steps"]) > 1]
    return (searched or ranked)[:EXAMPLE_AGENTS]
