"""How alike two patients are for a planner: how far each organ lies from each target, and how large the targets are.

The overlap-volume histogram (Wu 2009, doi 10.1118/1.3253464; Kazhdan 2009, doi 10.1007/978-3-642-04271-3_13) of an
organ O and a target T says which share of the organ lies within a distance r of the target::

    OVH(r) = |{v in O : d(v, T) <= r}| / |O|

with d the distance to the target's surface, negative inside. What an organ can be spared depends on little else.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from radplan_env.case import Case
from radplan_env.grid import Triple
from radplan_env.protocol import BoundProtocol, Protocol

STEP_MM = 2.0
RADII_MM = np.arange(-20.0, 100.0 + STEP_MM, STEP_MM, dtype=np.float64)
"""Distances that histograms are read at. Beyond 10 cm an organ is out of the beams' way or far from the target."""

ABSENT_MM = 20.0
"""What an organ or target counts that only one of two patients has: as much as an organ 2 cm out of place."""

Curves = dict[str, NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Anatomy:
    """What of a patient's anatomy decides how a plan will turn out; nothing in it tells who it is.

    Parameters
    ----------
    histograms : dict of dict of ndarray, shape (radii,)
        By target and organ: share of the organ within each of `RADII_MM` of the target, 0 to 1.
    volumes_cc : Mapping[str, float]
        Volume by target.
    """

    histograms: Mapping[str, Curves]
    volumes_cc: Mapping[str, float]

    @classmethod
    def of(cls, case: Case, protocol: Protocol | BoundProtocol) -> Self:
        """Measure a case: the targets and organs that it shares with the protocol, without the body.

        Raises
        ------
        CaseError
            If the case lacks the protocol's primary target.
        """
        bound = protocol.bind(case) if isinstance(protocol, Protocol) else protocol
        masks = {name: case.structures[bound.case_name[name]] for name in bound.structures}
        targets = [target.structure for target in bound.targets]
        organs = [organ.structure for organ in bound.organs if organ.structure != "Body"]
        histograms = {}
        for target in targets:
            distance = distance_mm(masks[target], case.grid.spacing_mm)
            histograms[target] = {organ: overlap_volume_histogram(distance[masks[organ]]) for organ in organs}
        volumes = {name: case.volume_cc(bound.case_name[name]) for name in targets}
        return cls(histograms, volumes)

    def distance_mm(self, other: Anatomy) -> float:
        """Return how different another patient is, in mm.

        ::

            mean over (target, organ) of  ∫ |OVH_a(r) - OVH_b(r)| dr   +   mean over targets of  |R_a - R_b|

        The area between two histograms is how far the organ's voxels would have to move, on average, to lie as the
        other's do (the Wasserstein distance of their distances). R = (3 V / 4π)^(1/3) is the radius of a ball of the
        target's volume. A pair or target that one of the two lacks counts `ABSENT_MM`.
        """
        pairs = [_area_mm(*curves) for curves in _paired(_flat(self), _flat(other))]
        radii = [abs(_radius_mm(a) - _radius_mm(b)) for a, b in _paired(self.volumes_cc, other.volumes_cc)]
        missing = [len(set(a) ^ set(b)) for a, b in ((_flat(self), _flat(other)), (self.volumes_cc, other.volumes_cc))]
        return sum(
            float(np.mean(differences + [ABSENT_MM] * absent))
            for differences, absent in zip((pairs, radii), missing, strict=True)
            if differences or absent
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, fit for JSON, to four decimals."""
        return {
            "radii_mm": RADII_MM.tolist(),
            "histograms": {
                target: {organ: np.round(curve, 4).tolist() for organ, curve in curves.items()}
                for target, curves in self.histograms.items()
            },
            "volumes_cc": {target: round(volume, 3) for target, volume in self.volumes_cc.items()},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote.

        Raises
        ------
        ValueError
            If its histograms are read at other distances.
        """
        if data["radii_mm"] != RADII_MM.tolist():
            raise ValueError("its overlap-volume histograms are read at other distances than this version's")
        histograms = {
            target: {organ: np.array(curve) for organ, curve in curves.items()}
            for target, curves in data["histograms"].items()
        }
        return cls(histograms, dict(data["volumes_cc"]))


def distance_mm(target: NDArray[np.bool_], spacing_mm: Triple) -> NDArray[np.float64]:
    """Return each voxel's distance to a target's surface in mm, negative inside; the shape is the mask's."""
    # Distances between voxel centres end half a voxel beyond the surface that lies between them.
    half = math.prod(spacing_mm) ** (1 / 3) / 2
    outside = distance_transform_edt(~target, spacing_mm) - half
    inside = distance_transform_edt(target, spacing_mm) - half
    distance: NDArray[np.float64] = np.where(target, -inside, outside)
    return distance


def overlap_volume_histogram(distances_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of an organ's voxels within each of `RADII_MM`, from their distances to the target."""
    within = np.searchsorted(np.sort(distances_mm), RADII_MM, side="right")
    return within / distances_mm.size


def _flat(anatomy: Anatomy) -> dict[tuple[str, str], NDArray[np.float64]]:
    return {(t, organ): curve for t, curves in anatomy.histograms.items() for organ, curve in curves.items()}


def _paired(one: Mapping[Any, Any], other: Mapping[Any, Any]) -> Iterator[tuple[Any, Any]]:
    """Values of the keys that both have, in a fixed order."""
    return ((one[key], other[key]) for key in sorted(set(one) & set(other)))


def _area_mm(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(np.abs(one - other).sum() * STEP_MM)


def _radius_mm(volume_cc: float) -> float:
    return float((3000 * volume_cc / (4 * math.pi)) ** (1 / 3))
