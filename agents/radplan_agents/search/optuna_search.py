"""Optuna's samplers as a search."""

from __future__ import annotations

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution

from radplan_agents.search.search import Point, SearchBox

optuna.logging.set_verbosity(optuna.logging.WARNING)  # it reports every study that is begun


class OptunaSearch:
    """A study in memory that begins at the start of the box.

    Parameters
    ----------
    box : SearchBox
    sampler : optuna.samplers.BaseSampler
        Seeded.
    """

    def __init__(self, box: SearchBox, sampler: optuna.samplers.BaseSampler) -> None:
        self._coordinates: dict[str, BaseDistribution] = {
            f"{index:02}": FloatDistribution(low, high)
            for index, (low, high) in enumerate(zip(box.low.tolist(), box.high.tolist(), strict=True))
        }
        self._study = optuna.create_study(sampler=sampler, direction="maximize")
        self._study.enqueue_trial(dict(zip(self._coordinates, box.start.tolist(), strict=True)))

    def ask(self) -> Point:
        """Return the sampler's next point."""
        self._trial = self._study.ask(self._coordinates)
        return np.array([self._trial.params[name] for name in self._coordinates])

    def tell(self, value: float) -> None:
        """Take in its value."""
        self._study.tell(self._trial, value)
