"""The dose of a plan as scorecards see it: any metric of any structure, each computed once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from radplan_env.criterion import OUTSIDE_TARGETS
from radplan_env.metrics import Doses, parse_metric

Prescriptions = Callable[[str], float]

BODY = "Body"
_BEYOND = re.compile(r"Beyond(\d+(?:\.\d+)?)mm")


@dataclass(frozen=True, eq=False)
class DoseView:
    """Doses in Gy in the voxels of each structure, on one grid.

    Parameters
    ----------
    doses : Mapping[str, ndarray of shape (voxels,)]
        By the protocol's names, "Body" and "OutsideTargets" among them; sorted, as order statistics are read often.
    voxel_cc : float
        Volume of a voxel in cc.
    prescription_gy : callable
        The prescription of a structure: its own for a target, otherwise the highest.
    beyond_mm : callable, optional
        The doses in the voxels of the body that lie further than so many mm from every target.
    """

    doses: Mapping[str, Doses]
    voxel_cc: float
    prescription_gy: Prescriptions
    beyond_mm: Callable[[float], Doses] | None = None
    _known: dict[tuple[str, str], float] = field(default_factory=dict, init=False, repr=False)
    _regions: dict[str, Doses] = field(default_factory=dict, init=False, repr=False)

    @property
    def structures(self) -> Sequence[str]:
        """Names that there are doses for."""
        return tuple(self.doses)

    def has(self, structure: str) -> bool:
        """Return whether there are doses for a structure or region."""
        return structure in self.doses or _BEYOND.fullmatch(structure) is not None

    def dose(self, structure: str) -> Doses:
        """Return the doses in a structure's voxels, sorted, shape (voxels,).

        Parameters
        ----------
        structure : str
            Name in the protocol, "OutsideTargets", or a region such as "Beyond20mm": the body further than 20 mm from
            every target. A region without voxels has one of 0 Gy.

        Raises
        ------
        ValueError
            If there are no doses for it.
        """
        if structure in self.doses:
            return self.doses[structure]
        match = _BEYOND.fullmatch(structure)
        if match is None or self.beyond_mm is None:
            why = "this dose has no geometry" if match else f"there are: {', '.join(self.doses)}"
            raise ValueError(f"no doses for {structure!r}; {why}")
        if structure not in self._regions:
            found = np.sort(self.beyond_mm(float(match[1])), axis=None)
            self._regions[structure] = found if found.size else np.zeros(1, found.dtype)
        return self._regions[structure]

    def volume_cc(self, structure: str) -> float:
        """Return the volume of a structure in cc."""
        return self.dose(structure).size * self.voxel_cc

    def metric(self, structure: str, metric: str) -> float:
        """Return a metric of a structure or region, as `radplan_env.metrics.parse_metric` names it.

        Raises
        ------
        ValueError
            If there is no such metric, or no doses for the structure.
        """
        if (structure, metric) not in self._known:
            body = self.dose(BODY)
            self._known[structure, metric] = parse_metric(metric).evaluate(
                self.dose(structure),
                voxel_cc=self.voxel_cc,
                rx_gy=self.prescription_gy(structure),
                body_dose=body,
                target_voxels=body.size - self.dose(OUTSIDE_TARGETS).size,
            )
        return self._known[structure, metric]
