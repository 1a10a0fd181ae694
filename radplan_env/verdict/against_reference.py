"""A plan against the case's reference plan, like with like: on the voxels of the reference's grid, scaled alike."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from radplan_env.case import Case
from radplan_env.criterion import OUTSIDE_TARGETS, Criterion
from radplan_env.dose_view import DoseView
from radplan_env.metrics import dose_at_volume
from radplan_env.protocol import BoundProtocol
from radplan_env.scorecards import Goals

from .regions import Regions

SPLIT = 2
"""Points along each edge of a voxel whose mean is the voxel's dose."""


class AgainstReference(TypedDict):
    """Values of both plans by criterion, "Parotid_L mean"; the metric's unit."""

    ours: dict[str, float]
    reference: dict[str, float]


def comparable(goals: Goals) -> dict[str, Criterion]:
    """Return the criteria that hold for doses of two engines, by name: "Parotid_L mean".

    Left out are criteria of the body and of tissue outside the targets, extremes, and indices of the whole dose: skin,
    air and maxima depend on the engine more than on the plan. D0.03cc, less than a voxel, becomes D0.1cc.
    """
    found = [
        criterion.model_copy(update={"metric": re.sub(r"^(DC?)0\.03cc$", r"\g<1>0.1cc", criterion.metric)})
        for criterion in goals.criteria
        if criterion.structure not in ("Body", OUTSIDE_TARGETS) and criterion.metric not in ("min", "max", "CI", "R50")
    ]
    return {criterion.name: criterion for criterion in found}


def voxel_points(case: Case, voxels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the points whose mean dose is that of a voxel, shape (voxels · 8, 3), voxel by voxel."""
    corner = (np.arange(SPLIT) + 0.5) / SPLIT - 0.5
    offset = np.stack(np.meshgrid(corner, corner, corner, indexing="ij"), axis=-1).reshape(-1, 3)
    index = np.stack(np.unravel_index(voxels, case.grid.shape), axis=-1)
    points: NDArray[np.float64] = (index[:, None] + offset) * case.grid.spacing_mm + case.grid.origin_mm
    return points.reshape(-1, 3)


def judged_voxels(protocol: BoundProtocol, regions: Regions) -> NDArray[np.int64]:
    """Return the flat indices of the voxels in targets and organs, the body apart."""
    inside = [regions.masks[name] for name in protocol.structures if name != "Body"]
    found: NDArray[np.int64] = np.flatnonzero(np.logical_or.reduce(inside))
    return found


def compared(
    case: Case, protocol: BoundProtocol, regions: Regions, voxels: NDArray[np.int64], ours_gy: NDArray[np.floating]
) -> AgainstReference:
    """Compare a dose per voxel with the reference's, criterion by criterion: those of `comparable`.

    Parameters
    ----------
    case : Case
        With a reference dose.
    protocol : BoundProtocol
    regions : Regions
    voxels : ndarray of int, shape (voxels,)
        As `judged_voxels` returns them.
    ours_gy : ndarray, shape (voxels,)
        Mean dose of the plan in each.
    """
    assert case.reference_dose_gy is not None
    inside = {name: regions.masks[name].ravel()[voxels] for name in protocol.structures if name != "Body"}
    both = {"ours": ours_gy, "reference": case.reference_dose_gy.ravel()[voxels]}
    values = {whose: _values(dose, inside, case.grid.voxel_cc, protocol) for whose, dose in both.items()}
    return AgainstReference(ours=values["ours"], reference=values["reference"])


def _values(
    dose: NDArray[np.floating], inside: Mapping[str, NDArray[np.bool_]], voxel_cc: float, protocol: BoundProtocol
) -> dict[str, float]:
    primary = protocol.primary
    d95 = dose_at_volume(dose[inside[primary.structure]], 95)
    scaled = dose * (primary.prescription_gy / d95) if d95 > 0 else dose
    doses = {name: np.sort(scaled[mask]) for name, mask in inside.items()}
    view = DoseView(
        doses | {"Body": scaled, OUTSIDE_TARGETS: scaled[:0]},
        voxel_cc,
        protocol.prescription_gy,
        protocol.protocol.fractions,
    )
    return {name: view.metric(each.structure, each.metric) for name, each in comparable(protocol).items()}
