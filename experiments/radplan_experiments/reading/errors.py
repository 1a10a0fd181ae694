"""Errors that a physicist should see before treatment, planted in the dose of a plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from radplan_agents.gpt_radplan.anatomy import distance_mm
from radplan_env.case import Case
from radplan_env.metrics import dose_at_volume
from radplan_env.protocol import BoundProtocol

Dose = NDArray[np.float32]
Mask = NDArray[np.bool_]

EDGE_MM = 3.0
"""Planted doses pass into the plan's within about twice this: they have no edges that a dose does not have."""

COLD = 0.65
"""Share of the dose that a cold end or a missed node keeps."""

HOT_PERCENT = 115.0
"""Of the prescription: the peak of a hot spot."""

HOT_MM = 10.0
"""Standard deviation of the ball that a hot spot is."""

SPARED, PAID = 0.4, 1.8
"""What an organ's dose is multiplied by where it is spared at another's cost, and the other's."""


@dataclass(frozen=True)
class Patient:
    """A case and its protocol, as far as errors are planted in it.

    Parameters
    ----------
    case : Case
    protocol : BoundProtocol
    """

    case: Case
    protocol: BoundProtocol

    @cached_property
    def targets(self) -> dict[str, tuple[Mask, float]]:
        """Mask and prescription in Gy of each target, the primary first."""
        return {t.structure: (self.mask(t.structure), t.prescription_gy) for t in self.protocol.targets}

    @cached_property
    def organs(self) -> dict[str, Mask]:
        """Mask of each organ but the body."""
        return {o.structure: self.mask(o.structure) for o in self.protocol.organs if o.structure != "Body"}

    @cached_property
    def from_targets_mm(self) -> NDArray[np.float64]:
        """Distance of each voxel to the nearest target, negative inside."""
        together = np.logical_or.reduce([mask for mask, _ in self.targets.values()])
        return distance_mm(together, self.case.grid.spacing_mm)

    def mask(self, structure: str) -> Mask:
        """Voxels of a structure of the protocol."""
        return self.case.structures[self.protocol.case_name[structure]]


Error = Callable[[Patient, Dose, np.random.Generator], Dose | None]


def cold_end(patient: Patient, dose: Dose, rng: np.random.Generator) -> Dose | None:
    """The head or feet end of the primary target is cold, as if the field were too short."""
    mask, _ = next(iter(patient.targets.values()))
    return _colder_end(patient, dose, mask, rng, everywhere=True)


def missed_node(patient: Patient, dose: Dose, rng: np.random.Generator) -> Dose | None:
    """A part of an elective target is missed. None where the patient has no elective target."""
    elective = list(patient.targets.values())[1:]
    if not elective:
        return None
    return _colder_end(patient, dose, elective[-1][0], rng, everywhere=False)


def hot_outside(patient: Patient, dose: Dose, rng: np.random.Generator) -> Dose | None:
    """A hot spot lies in healthy tissue, 2.5 to 4.5 cm from the targets."""
    case, (_, rx_gy) = patient.case, next(iter(patient.targets.values()))
    inside = distance_mm(case.structures["Body"], case.grid.spacing_mm) < -15
    possible = np.argwhere(inside & (patient.from_targets_mm > 25) & (patient.from_targets_mm < 45))
    if not len(possible):
        return None
    centre = possible[rng.integers(len(possible))]
    offsets = [(np.arange(n) - c) * s for n, c, s in zip(dose.shape, centre, case.grid.spacing_mm, strict=True)]
    z, y, x = np.ix_(*offsets)
    ball = np.exp(-(z**2 + y**2 + x**2) / (2 * HOT_MM**2)) * case.structures["Body"]
    peak = HOT_PERCENT / 100 * rx_gy - float(dose[tuple(centre)])
    return np.asarray(dose + max(peak, 0) * ball, np.float32)


def organ_for_another(patient: Patient, dose: Dose, rng: np.random.Generator) -> Dose | None:
    """Of the two organs with the highest mean doses one is spared and the other pays. None with fewer than two."""
    by_dose = sorted(patient.organs, key=lambda name: -float(dose[patient.organs[name]].mean()))[:2]
    if len(by_dose) < 2:
        return None
    spared, pays = (patient.organs[name] for name in rng.permutation(by_dose))
    outside = _soft(-patient.from_targets_mm)
    spacing_mm = patient.case.grid.spacing_mm
    less = (1 - SPARED) * _soft(distance_mm(spared, spacing_mm)) * outside
    more = (PAID - 1) * _soft(distance_mm(pays, spacing_mm)) * outside
    _, rx_gy = next(iter(patient.targets.values()))
    changed = np.minimum(dose * (1 - less + more), np.maximum(dose, rx_gy))
    return np.asarray(changed, np.float32)


def left_and_right_swapped(patient: Patient, dose: Dose, rng: np.random.Generator) -> Dose | None:
    """The dose is mirrored at the middle of the body, as if left and right were confused."""
    columns = np.nonzero(patient.case.structures["Body"].any(axis=(0, 1)))[0]
    mirrored = int(columns[0] + columns[-1]) - np.arange(dose.shape[2])
    known = (mirrored >= 0) & (mirrored < dose.shape[2])
    swapped = np.zeros_like(dose)
    swapped[:, :, known] = dose[:, :, mirrored[known]]
    return swapped


ERRORS: Mapping[str, Error] = {
    error.__name__: error for error in (cold_end, hot_outside, missed_node, organ_for_another, left_and_right_swapped)
}
"""The errors by name."""


def shows(patient: Patient, before: Dose, after: Dose) -> bool:
    """Return whether an error matters: a swap of left and right, say, changes little in a symmetric patient.

    It does where D98 of a target falls by 5 % of its prescription, the mean dose of an organ moves by 5 Gy, or a cc
    outside the targets is lifted to 80 % of the prescription.
    """
    for mask, rx_gy in patient.targets.values():
        if dose_at_volume(before[mask], 98) - dose_at_volume(after[mask], 98) >= 0.05 * rx_gy:
            return True
    if any(abs(float(after[mask].mean() - before[mask].mean())) >= 5 for mask in patient.organs.values()):
        return True
    outside = patient.case.structures["Body"] & (patient.from_targets_mm > 10)
    _, rx_gy = next(iter(patient.targets.values()))
    cc = outside & (after >= 0.8 * rx_gy) & (before < 0.8 * rx_gy)
    return bool(np.count_nonzero(cc) * float(np.prod(patient.case.grid.spacing_mm)) >= 1000)


def _colder_end(patient: Patient, dose: Dose, mask: Mask, rng: np.random.Generator, *, everywhere: bool) -> Dose:
    """A dose that is colder at one end of a target, in whole slices or about the target alone."""
    slices = np.flatnonzero(mask.any(axis=(1, 2)))
    step = patient.case.grid.spacing_mm[0]
    length = max(0.25 * len(slices) * step, 10.0) if everywhere else 0.5 * len(slices) * step
    heights = np.arange(dose.shape[0]) * step
    from_head, from_feet = heights - (slices[-1] * step - length), slices[0] * step + length - heights
    depth = from_head if rng.random() < 0.5 else from_feet
    share = _soft(-depth)[:, None, None]
    if not everywhere:
        share = share * _soft(distance_mm(mask, patient.case.grid.spacing_mm) - 2 * EDGE_MM)
    return np.asarray(dose * (1 - (1 - COLD) * share), np.float32)


def _soft(distance_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 well inside, 0 well outside, from signed distances that are negative inside."""
    soft: NDArray[np.float64] = 1 / (1 + np.exp(np.clip(distance_mm / EDGE_MM, -30, 30)))
    return soft
