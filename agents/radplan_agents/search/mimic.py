"""Mimicking of a reference dose: how near to it can weights and objective doses get?"""

from __future__ import annotations

from typing import Any

import numpy as np

from radplan_agents.agent import Info, Observation
from radplan_agents.search.bayes_gp import BayesGPAgent
from radplan_env.planning import Plan


class MimicAgent(BayesGPAgent):
    """Searches, by Bayesian optimisation, for the plan whose dose comes closest to that of the case's reference plan.

    Reference mimicking is the last step of knowledge-based planning. The distance is the mean absolute difference of
    dose in Gy, as in OpenKBP's dose score (Babier 2021, doi 10.1002/mp.14845), over the body where the reference plan
    gives any, on the case's own voxels. The plan's score is not looked at: this shows how near to a given dose weights
    and objective doses can get. `record` holds the distances.

    Parameters
    ----------
    env : RadPlanEnv
        The environment.
    seed : int
        See `SearchAgent`.
    """

    def reset(self, observation: Observation, info: Info) -> None:
        """Begin an episode.

        Raises
        ------
        ValueError
            If the case has no reference dose.
        """
        self._distances_gy: list[float] = []
        self._measured: Plan | None = None
        case = self._env.system.case
        if case.reference_dose_gy is None:
            raise ValueError(f"case {case.id} has no reference dose to mimic")
        self._reference_gy = case.reference_dose_gy
        self._judged = case.structures["Body"] & (case.reference_dose_gy > 0)
        super().reset(observation, info)

    def record(self) -> dict[str, Any]:
        """Return the distance of every plan of the episode in Gy, and the smallest."""
        self._measure()  # the last plan of an episode is not acted on
        return {"distance_gy": min(self._distances_gy, default=None), "distances_gy": self._distances_gy}

    def _value(self, info: Info) -> float:
        self._measure()
        return -self._distances_gy[-1]

    def _measure(self) -> None:
        plan = self._env.plan
        if plan is None or plan is self._measured:
            return
        difference = plan.dose_on(self._env.system.case.grid) - self._reference_gy
        self._distances_gy.append(float(np.abs(difference[self._judged]).mean(dtype=np.float64)))
        self._measured = plan
