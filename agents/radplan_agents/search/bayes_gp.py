"""Bayesian optimisation with a Gaussian process."""

from __future__ import annotations

import torch  # noqa: F401  # Optuna asks for it only in the middle of an episode
from optuna.samplers import GPSampler

from radplan_agents.search.optuna_search import OptunaSearch
from radplan_agents.search.search import SearchAgent, SearchBox

UNIFORM_DRAWS = 4
"""Points, the template among them, before the first Gaussian process."""


class BayesGPAgent(SearchAgent):
    """Fits a Gaussian process to the scores so far and plays the point of the highest expected improvement.

    Optuna's GPSampler: Matérn 5/2 kernel with a length scale per coordinate, logarithm of the expected improvement
    (Ament 2023, arXiv 2310.20708). The standard in Bayesian treatment planning too (GP-EI in Wang 2023,
    doi 10.1002/mp.16289). The process has a noise term: a solve's warm start moves a score by some tenths of a point.
    """

    def _begin(self, box: SearchBox, seed: int) -> OptunaSearch:
        return OptunaSearch(box, GPSampler(seed=seed, n_startup_trials=UNIFORM_DRAWS))
