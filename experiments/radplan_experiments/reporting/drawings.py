"""Every figure of a run: its name and what draws it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from matplotlib.figure import Figure

from radplan_env.planning import Summary, captioned
from radplan_experiments.recording.records import Record
from radplan_experiments.recording.settings import Settings
from radplan_experiments.reporting import figures
from radplan_experiments.reporting.answer import best_scores, ranked
from radplan_experiments.reporting.frames import REFERENCE, comparator
from radplan_experiments.reporting.stored_plans import StoredPlans, example_case, example_episodes, reference_curves
from radplan_experiments.writing import slug

Drawing = Callable[[], Figure | None]


def all_figures(plans: StoredPlans, references: Mapping[str, Summary]) -> Iterator[tuple[str, Drawing]]:
    """Name and drawer of every figure there is something to draw for; a drawer may still find nothing."""
    settings, episodes = plans.folder.settings, plans.records
    if not episodes:
        return
    against = comparator(settings)
    yield "sample_efficiency", partial(figures.sample_efficiency, settings, episodes)
    yield "performance_profile", partial(figures.performance_profile, settings, episodes)
    yield "probability_of_improvement", partial(figures.probability_of_improvement, settings, episodes)
    yield "score_differences", partial(figures.score_differences, settings, episodes)
    yield "differences", partial(figures.differences, settings, episodes)
    yield "mean_dvhs", lambda: figures.mean_dvhs(settings, plans.curves(references), against)
    for record in trajectory_episodes(settings, episodes):
        yield f"trajectory_{slug(record['agent'])}", partial(_trajectory, plans, record)
    for case in settings.cases:
        own = {r["agent"]: r for r in episodes if r["case"] == case and r["seed"] == 0}
        if own:
            yield f"dvh_{slug(case)}", partial(_dvhs, plans, case, own, references.get(case))
    example = example_case(episodes)
    for record in episodes:
        if record["seed"] == 0 and record["case"] == example:
            yield f"plan_{slug(record['agent'])}", partial(_plan, plans, record)


def trajectory_episodes(settings: Settings, records: Sequence[Record]) -> list[Record]:
    """The episodes whose trajectories are shown."""
    case = example_case(records)
    return [] if case is None else example_episodes(records, case, ranked(settings, best_scores(records)))


def _dvhs(plans: StoredPlans, case: str, episodes: Mapping[str, Record], reference: Summary | None) -> Figure | None:
    """DVHs of the plans that agents handed over for a case, and of its reference plan."""
    found = {agent: plans.handed_over(record) for agent, record in episodes.items()}
    curves: dict[str, Any] = {agent: plan.evaluation.dvh for agent, plan in found.items() if plan is not None}
    if reference is not None:
        curves[REFERENCE] = reference_curves(reference)
    return figures.dvh_comparison(plans.folder.settings, case, curves) if curves else None


def _plan(plans: StoredPlans, record: Record) -> Figure | None:
    """The plan that an episode handed over, as a planner would look at it."""
    plan, case = plans.handed_over(record), plans.case(record["case"])
    if plan is None or case is None:
        return None
    return plan.show(case, title=captioned(f"{case.id}: {record['agent']}", [plan.stage.kind]))


def _trajectory(plans: StoredPlans, record: Record) -> Figure:
    """What an episode's agent did, solve by solve."""
    case, first, last = plans.case(record["case"]), plans.first(record), plans.handed_over(record)
    prescription_gy = plans.folder.settings.protocol.primary.prescription_gy
    return figures.trajectory(record, first, last, case=case, prescription_gy=prescription_gy)
