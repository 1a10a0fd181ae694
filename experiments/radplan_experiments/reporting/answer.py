"""What a run says of its question, in sentences made from its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from radplan_experiments.recording.records import Record
from radplan_experiments.recording.settings import Settings
from radplan_experiments.reporting import frames, stats
from radplan_experiments.reporting.against_reference import comparisons
from radplan_experiments.reporting.best_known import SHOWN
from radplan_experiments.reporting.equivalence import EQUIVALENT, Decision
from radplan_experiments.reporting.frames import comparator
from radplan_experiments.reporting.power import detectable_difference, patients_needed
from radplan_experiments.reporting.stats import ENOUGH_CASES
from radplan_experiments.reporting.tables.comparisons import Runs, differences, paired
from radplan_experiments.reporting.tables.telling_apart import in_practice, split
from radplan_experiments.wording import counted, listed

Scores = Mapping[str, Runs]
"""Best scores by method and case, one for each seed."""

SAID: dict[Decision, str] = {
    "better": "better than",
    "worse": "worse than",
    "equivalent": "equivalent to",
    "undecided": "not told apart from",
}
REVERSED: dict[Decision, Decision] = {
    "better": "worse",
    "worse": "better",
    "equivalent": "equivalent",
    "undecided": "undecided",
}

Verdict = Literal["higher", "no difference can be told", "lower"]


@dataclass(frozen=True)
class Difference:
    """One method's score minus another's, on the cases that both planned.

    Parameters
    ----------
    mean, low, high : float
        Mean over cases, seeds averaged within a case, and its 95 % interval over cases; NaN with fewer than two.
    cases, better, equal : int
        Cases compared, those with a higher score, and those with the same.
    """

    mean: float
    low: float
    high: float
    cases: int
    better: int
    equal: int

    @property
    def verdict(self) -> Verdict:
        """What can be told: something only if there are enough cases and the interval leaves zero out."""
        if self.cases >= ENOUGH_CASES and self.low > 0:
            return "higher"
        return "lower" if self.cases >= ENOUGH_CASES and self.high < 0 else "no difference can be told"


def best_scores(records: Sequence[Record]) -> Scores:
    """Best score of every episode, by method and case."""
    return frames.runs(frames.plan_scores(records), "score")


def ranked(settings: Settings, scores: Scores) -> list[str]:
    """The agents that have scores, the highest interquartile mean first."""
    return sorted((agent for agent in settings.agents if agent in scores), key=lambda agent: -_iqm(scores[agent]))


def difference(scores: Scores, method: str, other: str) -> Difference:
    """How much higher a method scores than another, paired by case."""
    each = differences(paired(scores.get(method, {}), scores.get(other, {})))
    if not len(each):
        return Difference(float("nan"), float("nan"), float("nan"), cases=0, better=0, equal=0)
    low, high = stats.interval_over_cases(each)
    better, equal = int((each > 0).sum()), int((abs(each) < SHOWN).sum())
    return Difference(float(each.mean()), float(low), float(high), len(each), better, equal)


def answer(settings: Settings, records: Sequence[Record]) -> list[str]:
    """Who planned best, by how much, and what cannot be told: a few sentences, none without scores."""
    scores = best_scores(records)
    agents = ranked(settings, scores)
    if not agents:
        return ["No episode came to its end: there is nothing to compare."]
    against = comparator(settings)
    passing = frames.passing_runs(frames.plan_scores(records))
    leads = {agent: difference(passing, agents[0], agent) for agent in agents[1:]}
    all_cases = len(scores[agents[0]])
    tied = [agent for agent, lead in leads.items() if lead.equal == all_cases == len(scores[agent])]
    sentences = [_of_the_best(settings, scores, agents, tied)]
    if behind := [agent for agent in leads if agent not in tied]:
        sentences.append(_of_the_lead(("Their", "they are") if tied else ("Its", "it is"), leads, behind))
    if all_cases < ENOUGH_CASES:
        sentences.insert(0, _of_few_cases(all_cases))
    elif against in passing and set(agents) & set(passing) - {against}:
        sentences.append(_against(passing, agents, against))
    return [
        *sentences,
        *_in_practice(settings, records, agents[0]),
        *_of_power(settings, records),
        *_against_reference(settings, records, agents[0]),
    ]


def _of_the_best(settings: Settings, scores: Scores, agents: Sequence[str], tied: Sequence[str]) -> str:
    best = agents[0]
    by_case = scores[best]
    who = f"Of {len(agents)} agents {best} scored highest:" if len(agents) > 1 else f"{best} scored"
    text = f"{who} {_points(by_case)}{_over(by_case)}"
    if tied:
        text = _of_a_tie(f"Of {len(agents)} agents {listed([best, *tied])} are tied", by_case, of=1 + len(tied))
    if without := [agent for agent in settings.agents if agent not in agents]:
        text = f"{', '.join(without)} finished no episode. {text}"
    each = "each planned" if len(by_case) > 1 else "planned"
    return f"{text}, {each} with at most {counted(settings.budget, 'solve')}."


def _of_a_tie(who: str, by_case: Runs, *, of: int) -> str:
    each = "both" if of == 2 else f"all {of}"
    if len(by_case) == 1:
        return f"{who}: {each} scored {_points(by_case)}{_over(by_case)}"
    mean = f"the interquartile mean over {len(by_case)} patients is {_points(by_case)}"
    return f"{who}: on every patient {each} have the same score; {mean}"


def _points(by_case: Runs) -> str:
    low, high = stats.interval_over_cases(
        stats.balanced(list(by_case.values())), stats.interquartile_mean, bounds=stats.SCORES
    )
    interval = "" if np.isnan(low) else f" (95 % interval over patients {low:.1f} to {high:.1f})"
    return f"{_iqm(by_case):.1f} of 100 points{interval}"


def _over(by_case: Runs) -> str:
    """What the points are the mean of, where they are one."""
    if len(by_case) > 1:
        return f", the interquartile mean over {len(by_case)} patients"
    ((_, runs),) = by_case.items()
    return f", the interquartile mean of {len(runs)} seeds on one patient" if len(runs) > 1 else " on one patient"


def _of_the_lead(who: tuple[str, str], leads: Mapping[str, Difference], others: Sequence[str]) -> str:
    following, (whose, who_is) = leads[others[0]], who
    if not following.cases:
        return f"On no patient do the best and the next, {others[0]}, both have a plan that passes the screen."
    text = f"{whose} mean difference to the next, {others[0]}, patient by patient, is {_signed(following.mean)} points"
    if not np.isnan(following.low):
        text += f" (95 % interval {_signed(following.low)} to {_signed(following.high)})"
    text += f", and {who_is} ahead on {following.better} of {counted(following.cases, 'patient')}: "
    if following.verdict != "no difference can be told":
        return text + "a difference."
    text += "no difference can be told"
    if alike := [agent for agent in others[1:] if leads[agent].verdict == "no difference can be told"]:
        text += f", and none to {'any other agent' if len(alike) == len(others) - 1 else listed(alike)} either"
    return text + "."


def _against(scores: Scores, agents: Sequence[str], against: str) -> str:
    leads = {agent: difference(scores, agent, against) for agent in agents if agent != against}
    leads = {agent: lead for agent, lead in leads.items() if lead.cases}
    parts = []
    for verdict in get_args(Verdict):
        group = [f"{agent} ({_signed(lead.mean)})" for agent, lead in leads.items() if lead.verdict == verdict]
        parts += [f"{verdict}: {', '.join(group)}"] if group else []
    return f"Against the plans of {against}: {'; '.join(parts)}."


def _in_practice(settings: Settings, records: Sequence[Record], best: str) -> list[str]:
    """Say whom the best agent leads by what counts in practice; nothing where too few patients decide nothing."""
    found: dict[Decision, list[str]] = {}
    pairs = in_practice(settings, records)
    for (one, other), (each, decision) in pairs.items():
        if best in (one, other) and len(each) >= ENOUGH_CASES:
            found.setdefault(decision if one == best else REVERSED[decision], []).append(other if one == best else one)
    if not found:
        return []
    said = [f"{SAID[decision]} {listed(found[decision])}" for decision in SAID if decision in found]
    together = f", with all {len(pairs)} comparisons of the run taken together," if len(pairs) > 1 else ","
    return [f"In practice, where {EQUIVALENT} points make no difference{together} {best} is {'; '.join(said)}."]


def _of_power(settings: Settings, records: Sequence[Record]) -> list[str]:
    """Say how small a difference so many patients can tell."""
    found = split(settings, records)
    if found is None or found.cases < ENOUGH_CASES or not found.deviation > 0:
        return []
    detectable = detectable_difference(found.deviation, found.cases)
    needed = patients_needed(found.deviation)
    return [
        f"{found.cases} patients are enough to find a difference of {detectable:.1f} points between two agents' means "
        f"(with 80 % power); for 1 point it takes {needed}."
    ]


def _against_reference(settings: Settings, records: Sequence[Record], best: str) -> list[str]:
    """Say in how many criteria the best agent's plans are better than the reference plans; nothing without any."""
    gains = [each.gain.mean() for each in comparisons(settings, records) if each.agent == best]
    if not gains:
        return []
    better = sum(gain > 0 for gain in gains)
    return [
        f"Against the reference plans, which were made to be delivered, {best} is better in {better} of "
        f"{len(gains)} criteria in the mean, on the same voxels and scaled alike."
    ]


def _of_few_cases(cases: int) -> str:
    if cases == 1:
        return "One patient says nothing of others."
    often = (
        "both patients in half of all runs" if cases == 2 else f"all {cases} patients in one of {2 ** (cases - 1)} runs"
    )
    return f"{cases} patients are too few to rank agents by: one of two equally good agents is ahead on {often}."


def _iqm(by_case: Runs) -> float:
    return float(stats.interquartile_mean(stats.balanced(list(by_case.values()))))


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")
