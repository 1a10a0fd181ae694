"""What makes scores differ: patients, agents, both together, seeds. Analysis of variance with random effects.

The score of agent a on patient p with seed s is μ + A_a + P_p + AP_ap + S_s(a) + e_aps, all effects random. S is what a
seed changes on all patients alike, as where a policy was trained anew with each; e is what it changes on one. Variances
come from the mean squares by the method of moments (Searle, Casella and McCulloch 1992, chapter 4), of the means over
seeds where agents have different numbers of them: an agent without chance plays a patient once and has no S and no e.
Estimates below zero are set to zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import SupportsFloat

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Variances:
    """Variances of a single score, in points².

    Parameters
    ----------
    agents, patients : float
        Of the agents' means, and of the patients'.
    interaction : float
        Of what an agent does on a patient beyond both means. Where no agent has several seeds, their noise is in it.
    seeds, noise : float, NaN where no agent has several seeds
        Of what a seed changes on all patients alike, and of what it changes on one.
    cases : int
        Patients that every agent planned with all its seeds: only these enter.
    deviation : float
        Standard deviation over patients of the difference between two agents, seeds averaged, in points.
    """

    agents: float
    patients: float
    interaction: float
    seeds: float
    noise: float
    cases: int
    deviation: float

    @property
    def parts(self) -> dict[str, float]:
        """The variances by name, without those that are not known."""
        found = {
            "patients": self.patients,
            "agents": self.agents,
            "agents by patients": self.interaction,
            "seeds on all patients": self.seeds,
            "seeds on single patients": self.noise,
        }
        return {name: value for name, value in found.items() if not math.isnan(value)}

    @property
    def shares(self) -> dict[str, float]:
        """Shares of the sum; NaN where nothing varies."""
        total = sum(self.parts.values())
        return {name: value / total if total > 0 else math.nan for name, value in self.parts.items()}


def variances(runs: Mapping[str, Mapping[str, Array]]) -> Variances | None:
    """Split the variance of scores.

    Parameters
    ----------
    runs : Mapping[str, Mapping[str, (n_seeds,) array]]
        Scores by agent and patient.

    Returns
    -------
    Variances or None
        None of fewer than two agents, or two patients that all of them planned.
    """
    cases = complete_cases(runs)
    if len(runs) < 2 or len(cases) < 2:
        return None
    scores = [np.array([own[case] for case in cases]) for own in runs.values()]
    means = np.array([own.mean(axis=1) for own in scores])
    count_agents, count_cases = means.shape
    of_agents, of_patients, rest = _mean_squares(means)
    several = [own for own in scores if own.shape[1] > 1]
    seeds, noise = (np.array([_of_seeds(own) for own in scores]).T) if several else np.zeros((2, count_agents))
    each = np.array([own.shape[1] for own in scores])
    return Variances(
        agents=_not_negative((of_agents - rest) / count_cases - np.mean(seeds / each)),
        patients=_not_negative((of_patients - rest) / count_agents),
        interaction=_not_negative(rest - np.mean(noise / each)),
        seeds=_not_negative(np.mean(seeds)) if several else math.nan,
        noise=_not_negative(np.mean(noise)) if several else math.nan,
        cases=len(cases),
        deviation=math.sqrt(2 * rest),
    )


def complete_cases(runs: Mapping[str, Mapping[str, Array]]) -> list[str]:
    """Patients that every agent planned with as many seeds as it ever did."""
    most = {agent: max(map(len, own.values()), default=0) for agent, own in runs.items()}
    first = next(iter(runs.values()), {})
    return [case for case in first if all(len(own.get(case, ())) == most[agent] for agent, own in runs.items())]


def _mean_squares(means: Array) -> tuple[float, float, float]:
    """Mean squares of a two-way table, (rows, columns): rows, columns, rest."""
    rows, columns = means.shape
    of_rows, of_columns, mean = means.mean(axis=1), means.mean(axis=0), means.mean()
    rest = means - of_rows[:, None] - of_columns + mean
    degrees = (rows - 1) * (columns - 1)
    return (
        float(columns * of_rows.var(ddof=1)),
        float(rows * of_columns.var(ddof=1)),
        float((rest**2).sum() / degrees),
    )


def _of_seeds(scores: Array) -> tuple[float, float]:
    """Variances of an agent's seeds on all patients alike and on single ones: (patients, seeds); 0 of one seed."""
    if scores.shape[1] < 2:
        return 0.0, 0.0
    _, of_seeds, rest = _mean_squares(scores)
    return (of_seeds - rest) / len(scores), rest


def _not_negative(value: SupportsFloat) -> float:
    return max(float(value), 0.0)
