"""The regions that plans are judged in: the protocol's structures and what scorecards make of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radplan_env.case import Case
from radplan_env.distance import Distances, depth_mm, distance_mm
from radplan_env.protocol import OUTSIDE_TARGETS, BoundProtocol
from radplan_env.skin import cropped_targets

Mask = NDArray[np.bool_]

CORE_MM = 4.0
"""How far the core of a target lies inside it, where no CTV is drawn: a stand-in, at the small end of the 3 to 10 mm
that PTVs are grown by."""

ALONE_MM = 5.0
"""Distance round targets of higher prescription in which a target's own dose is not judged: the dose must fall."""

BEYOND_MM = 20.0
"""Tissue further than this from every target should see no more than the beams' entrance."""

BEYOND = f"Beyond{BEYOND_MM:g}mm"

LEAST_CC = 1.0
"""A core or a target alone that is smaller says nothing of a plan."""

REACH_MM = 30.0
"""Distances from the targets are known up to here."""


@dataclass(frozen=True, eq=False)
class Regions:
    """Masks on the case's grid, by name.

    Parameters
    ----------
    masks : Mapping[str, ndarray of bool, shape (z, y, x)]
        None is empty. By the protocol's names: "Body", organs, and targets less what lies under the skin. Beside them

        - "PTV_7000.whole", the target as drawn, skin included;
        - "PTV_7000.core", what 5 % of exempt volume must not be parked in: the CTV of that name or, without one, the
          target less 4 mm, its borders with targets of higher prescription apart;
        - "PTV_5600.alone", a target less 5 mm round targets of higher prescription;
        - "OutsideTargets", the body less targets as drawn; "Beyond20mm", the body further than 20 mm from them.

        A target with less than 1 cc of core is its own core; targets with less than 1 cc alone have no such region.
    from_targets_mm : ndarray of float32, shape (z, y, x)
        Distance from the nearest target, infinite beyond 30 mm.
    voxel_cc : float
        Volume of a voxel.
    """

    masks: Mapping[str, Mask]
    from_targets_mm: Distances
    voxel_cc: float

    @classmethod
    def of(cls, case: Case, protocol: BoundProtocol) -> Regions:
        """Return the regions of a case for a protocol.

        Raises
        ------
        CaseError
            If a target lies wholly under the skin.
        """
        drawn = {target.structure: case.structures[protocol.case_name[target.structure]] for target in protocol.targets}
        names = [protocol.case_name[target.structure] for target in protocol.targets]
        cropped = cropped_targets(case, names)
        body = case.structures["Body"]
        union = np.logical_or.reduce(list(drawn.values()))
        away = distance_mm(union, case.grid, REACH_MM)
        masks = {name: cropped[protocol.case_name[name]] for name in drawn}
        masks |= {name: case.structures[protocol.case_name[name]] for name in protocol.structures if name not in drawn}
        masks |= {"Body": body, OUTSIDE_TARGETS: body & ~union, BEYOND: body & (away > BEYOND_MM)}
        for name, mask in drawn.items():
            masks[f"{name}.whole"] = mask
        masks |= dict(_cores(case, protocol, drawn, masks))
        masks |= dict(_alone(case, protocol, drawn, masks))
        return cls({name: mask for name, mask in masks.items() if mask.any()}, away, case.grid.voxel_cc)

    def volume_cc(self, name: str) -> float:
        """Return the volume of a region."""
        return int(np.count_nonzero(self.masks[name])) * self.voxel_cc


def _cores(
    case: Case, protocol: BoundProtocol, drawn: Mapping[str, Mask], judged: Mapping[str, Mask]
) -> Iterator[tuple[str, Mask]]:
    at_least_as_high = np.zeros(case.grid.shape, dtype=bool)
    for target in protocol.targets:  # the highest prescription first
        name = target.structure
        at_least_as_high |= drawn[name]
        clinical = case.structures.get(protocol.case_name[name].replace("PTV", "CTV"))
        if clinical is None or clinical is drawn[name]:
            clinical = depth_mm(at_least_as_high, drawn[name], case.grid) >= CORE_MM
        core = clinical & judged[name]
        yield f"{name}.core", core if _enough(core, case) else judged[name]


def _alone(
    case: Case, protocol: BoundProtocol, drawn: Mapping[str, Mask], judged: Mapping[str, Mask]
) -> Iterator[tuple[str, Mask]]:
    higher = np.zeros(case.grid.shape, dtype=bool)
    for target in protocol.targets:
        name = target.structure
        alone = judged[name] & (distance_mm(higher, case.grid, ALONE_MM) > ALONE_MM)
        if _enough(alone, case):
            yield f"{name}.alone", alone
        higher |= drawn[name]


def _enough(mask: Mask, case: Case) -> bool:
    return int(np.count_nonzero(mask)) * case.grid.voxel_cc >= LEAST_CC
