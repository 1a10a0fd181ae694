"""Observations: what a learning agent sees of a plan, as a flat Dict of Boxes of fixed size."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from radplan_env.actions import ActionMap
from radplan_env.evaluation import Evaluation
from radplan_env.parameters import PlanningParameters
from radplan_env.protocol import BoundProtocol, Protocol

DVH_DOSES = 61
"""Doses at which a DVH is observed, equispaced from 0 to `DVH_END` of the highest prescription."""

DVH_END = 1.2

LARGEST_RATIO = 2.0
"""A criterion's value is observed up to this multiple of its limit."""

Observation = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class ObservationMap:
    """Turns the state of an episode into an observation.

    Sizes are those of the whole protocol, so that every case has the same observation space; what a case
    lacks is 0 and masked. Vectors are flat because learning libraries take them so; the DVHs are
    ``observation["dvh"].reshape(slots, DVH_DOSES)``.

    Parameters
    ----------
    protocol : Protocol
        The whole protocol.
    budget : int
        Solves of an episode.
    image_size : (int, int), optional
        Height and width of the image in pixels; None for observations without an image.
    """

    protocol: Protocol
    budget: int
    image_size: tuple[int, int] | None = None

    @property
    def space(self) -> spaces.Dict:
        """The observation space, a new one at every call."""
        slots, criteria = len(self.protocol.slots), len(self.protocol.criteria)
        boxes: dict[str, spaces.Space[Any]] = {
            "dvh": _box(0, 1, slots * DVH_DOSES),
            "criteria": _box(0, LARGEST_RATIO, criteria),
            "criteria_present": _box(0, 1, criteria),
            # "parameters" is taken in a torch ModuleDict
            "planning_parameters": _box(-1, 1, len(ActionMap(self.protocol).names)),
            "present": _box(0, 1, slots),
            "progress": _box(0, 1, 1),
        }
        if self.image_size is not None:
            boxes["image"] = spaces.Box(0, 255, (*self.image_size, 3), np.uint8)
        return spaces.Dict(boxes)

    def observe(
        self,
        bound: BoundProtocol,
        parameters: PlanningParameters,
        evaluation: Evaluation | None,
        solves: int,
        image: NDArray[np.uint8] | None = None,
    ) -> Observation:
        """Return the observation after a number of solves.

        Parameters
        ----------
        bound : BoundProtocol
            The protocol as the case has it.
        parameters : PlanningParameters
            Parameters of the last plan, or those to start from.
        evaluation : Evaluation or None
            Evaluation of the last plan; None before the first solve: DVHs and criteria are then 0.
        solves : int
            Solves used.
        image : ndarray of uint8, optional
            The image, where the space has one.
        """
        names = [criterion.name for criterion in self.protocol.criteria]
        observation: Observation = {
            "dvh": self._dvhs(evaluation),
            "criteria": self._criteria(names, evaluation),
            "criteria_present": _mask(names, [criterion.name for criterion in bound.criteria]),
            "planning_parameters": ActionMap(self.protocol).to_action(parameters.of_action()),
            "present": _mask(self.protocol.slots, bound.structures),
            "progress": np.array([solves / self.budget], np.float32),
        }
        if image is not None:
            observation["image"] = image
        return observation

    def _dvhs(self, evaluation: Evaluation | None) -> NDArray[np.float32]:
        """Fraction of each slot's volume that receives at least each dose, shape (slots * DVH_DOSES,)."""
        curves = np.zeros((len(self.protocol.slots), DVH_DOSES), np.float32)
        doses_gy = np.linspace(0, DVH_END, DVH_DOSES) * self.protocol.primary.prescription_gy
        if evaluation is not None:
            for curve, slot in zip(curves, self.protocol.slots, strict=True):
                if slot in evaluation.dvh:
                    edges_gy, percent = evaluation.dvh[slot]
                    curve[:] = np.interp(doses_gy, edges_gy, percent) / 100
        return curves.ravel()

    def _criteria(self, names: Sequence[str], evaluation: Evaluation | None) -> NDArray[np.float32]:
        """Value of each criterion as a multiple of its limit, shape (criteria,)."""
        results = () if evaluation is None else evaluation.criteria
        ratio = {result.criterion.name: result.value / result.criterion.limit for result in results}
        return np.clip([ratio.get(name, 0.0) for name in names], 0, LARGEST_RATIO).astype(np.float32)


def _mask(names: Sequence[str], present: Collection[str]) -> NDArray[np.float32]:
    return np.array([name in present for name in names], np.float32)


def _box(low: float, high: float, size: int) -> spaces.Box:
    return spaces.Box(low, high, (size,), np.float32)
