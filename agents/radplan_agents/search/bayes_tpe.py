"""Bayesian optimisation with tree-structured Parzen estimators."""

from __future__ import annotations

from optuna.samplers import TPESampler

from radplan_agents.search.optuna_search import OptunaSearch
from radplan_agents.search.search import SearchAgent, SearchBox


class BayesTPEAgent(SearchAgent):
    """Models where good plans lie and where the others do, and plays what is likely among the good ones only.

    Optuna's TPESampler (Bergstra 2011, NeurIPS 24; Watanabe 2023, arXiv 2304.11127), with one density over all
    coordinates.
    """

    def _begin(self, box: SearchBox, seed: int) -> OptunaSearch:
        return OptunaSearch(box, TPESampler(seed=seed, multivariate=True))
