"""The dose of a plan as scorecards see it: any metric of any structure, each computed once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from radplan_env.criterion import OUTSIDE_TARGETS
from radplan_env.metrics import Doses, Volumes, parse_metric

Prescriptions = Callable[[str], float]

BODY = "Body"


@dataclass(frozen=True, eq=False)
class DoseView:
    """Doses in Gy in the voxels, or at the points, of each structure and region.

    Parameters
    ----------
    doses : Mapping[str, ndarray of shape (voxels,)]
        By the protocol's names, "Body" and "OutsideTargets" among them; sorted, as order statistics are read often.
        Regions that scorecards ask for, such as "PTV_7000.core" or "Beyond20mm", where there are any: see
        `radplan_env.verdict.regions`.
    voxel_cc : float or Mapping[str, ndarray of shape (voxels,)]
        Volume of every voxel in cc; or of each, by structure.
    prescription_gy : callable
        The prescription of a structure: its own for a target, otherwise the highest.
    fractions : int, optional
        Number of fractions; metrics of EQD2 need it.
    scaled_by : float
        Factor that the plan was scaled by so that its primary target is covered.
    in_targets_percent : Mapping[str, float]
        How much of each structure lies in targets, where that is known.
    mu_per_gy : float, optional
        Monitor units of a delivered plan by Gy of prescription.
    """

    doses: Mapping[str, Doses]
    voxel_cc: float | Mapping[str, Volumes]
    prescription_gy: Prescriptions
    fractions: int | None = None
    scaled_by: float = 1.0
    in_targets_percent: Mapping[str, float] = field(default_factory=dict)
    mu_per_gy: float | None = None
    _known: dict[tuple[str, str], float] = field(default_factory=dict, init=False, repr=False)

    @property
    def structures(self) -> Sequence[str]:
        """Names that there are doses for."""
        return tuple(self.doses)

    def has(self, structure: str) -> bool:
        """Return whether there are doses for a structure or region."""
        return structure in self.doses

    def dose(self, structure: str) -> Doses:
        """Return the doses in a structure or region, sorted, shape (voxels,).

        Raises
        ------
        ValueError
            If there are no doses for it.
        """
        if structure not in self.doses:
            raise ValueError(f"no doses for {structure!r}; there are: {', '.join(self.doses)}")
        return self.doses[structure]

    def volumes(self, structure: str) -> Volumes:
        """Return the volumes in cc that belong to `dose`: one number, or one for each."""
        return self.voxel_cc[structure] if isinstance(self.voxel_cc, Mapping) else self.voxel_cc

    def volume_cc(self, structure: str) -> float:
        """Return the volume of a structure in cc."""
        return float(np.sum(np.broadcast_to(self.volumes(structure), self.dose(structure).shape)))

    def metric(self, structure: str, metric: str) -> float:
        """Return a metric of a structure or region, as `radplan_env.metrics.parse_metric` names it.

        Raises
        ------
        ValueError
            If there is no such metric, or no doses for the structure.
        """
        if (structure, metric) not in self._known:
            self._known[structure, metric] = parse_metric(metric).evaluate(
                self.dose(structure),
                voxel_cc=self.volumes(structure),
                rx_gy=self.prescription_gy(structure.partition(".")[0]),
                body_dose=self.dose(BODY),
                body_cc=self.volumes(BODY),
                targets_cc=self._targets_cc,
                fractions=self.fractions,
            )
        return self._known[structure, metric]

    @cached_property
    def _targets_cc(self) -> float:
        if isinstance(self.voxel_cc, Mapping):
            return self.volume_cc(BODY) - self.volume_cc(OUTSIDE_TARGETS)
        return (self.dose(BODY).size - self.dose(OUTSIDE_TARGETS).size) * self.voxel_cc
