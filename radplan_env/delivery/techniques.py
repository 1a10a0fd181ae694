"""Techniques: which fields a plan has, at which angles its dose is given, and from which coarse fields it starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from radplan_env.delivery.apertures import turns
from radplan_env.delivery.machine import Machine

Technique = Literal["none", "step-and-shoot", "vmat"]
"""How plans are delivered; "none" leaves them ideal."""
TECHNIQUES = ("step-and-shoot", "vmat")
"""Ways of delivering a plan."""

ARC_DEG = (182.0, 538.0)
"""An arc's first and last control point: clockwise over 0; the second arc comes back."""
SPACING_DEG = 4.0
"""Between control points of an arc: what SmartArc plans with (doi 10.1120/jacmp.v11i4.3169)."""
FINE_PARTS = 2
"""Into how many parts an interval of an arc is divided for the dose of a plan that is handed over."""
DeliverWhen = Literal["each", "final"]
"""Which plans of an episode are delivered: all, or the one that it hands over."""
SEGMENTS = 10
"""Of each beam of a step-and-shoot plan."""


@dataclass(frozen=True)
class Layout:
    """Fields before there is an aperture, and the coarse fields whose fluence they start from.

    Parameters
    ----------
    gantry_deg : tuple of tuple of float
        Of each field's control points; see `apertures.Field`.
    collimator_deg : tuple of float
        Of each field.
    coarse_gantry_deg, coarse_collimator_deg : tuple of float
        Of each coarse field; an arc's stand in the middle of intervals.
    """

    gantry_deg: tuple[tuple[float, ...], ...]
    collimator_deg: tuple[float, ...]
    coarse_gantry_deg: tuple[float, ...]
    coarse_collimator_deg: tuple[float, ...]

    @property
    def beams_deg(self) -> tuple[tuple[float, float], ...]:
        """Gantry and collimator angle in the middle of each interval of arcs, and of each static field."""
        return tuple(
            (angle, collimator)
            for gantry, collimator in zip(self.gantry_deg, self.collimator_deg, strict=True)
            for angle in (_middles(gantry) if turns(gantry) else [gantry[0] % 360])
        )


def checked_technique(technique: str) -> str:
    """Return a technique, or "none".

    Raises
    ------
    ValueError
        If there is none of this name.
    """
    if technique not in ("none", *TECHNIQUES):
        raise ValueError(f"unknown technique {technique!r}: choose from none, {', '.join(TECHNIQUES)}")
    return technique


def layout_of(
    technique: str,
    machine: Machine,
    count: int,
    coarse_fields: int,
    gantry_deg: Sequence[float],
    collimator_deg: Sequence[float],
) -> Layout:
    """Return the fields of a technique: so many arcs from coarse fields, or segments at given angles.

    Raises
    ------
    ValueError
        If there is no such technique, or the machine has no collimator angle for so many arcs.
    """
    if technique == "vmat":
        return arcs(machine, count, coarse_fields)
    if technique == "step-and-shoot":
        return segments(gantry_deg, collimator_deg)
    raise ValueError(f"unknown technique {technique!r}: choose from {', '.join(TECHNIQUES)}")


def arcs(machine: Machine, count: int, coarse_fields: int) -> Layout:
    """Return one arc, or more of them to and fro, from evenly spaced coarse fields.

    Raises
    ------
    ValueError
        If the machine's file gives fewer collimator angles than arcs.
    """
    if not 1 <= count <= len(machine.arc_collimator_deg):
        raise ValueError(
            f"{count} arcs: machine {machine.name!r} has collimator angles for 1 to {len(machine.arc_collimator_deg)}"
        )
    low, high = ARC_DEG
    there = tuple(float(angle) for angle in np.linspace(low, high, round((high - low) / SPACING_DEG) + 1))
    middles = _middles(there)
    sectors = np.array_split(np.arange(len(middles)), coarse_fields)
    return Layout(
        tuple(there if arc % 2 == 0 else there[::-1] for arc in range(count)),
        machine.arc_collimator_deg[:count],
        tuple(middles[sector[sector.size // 2]] for sector in sectors),
        machine.arc_collimator_deg[:1] * coarse_fields,
    )


def segments(gantry_deg: Sequence[float], collimator_deg: Sequence[float], count: int = SEGMENTS) -> Layout:
    """Return static fields of so many segments each."""
    gantry, collimator = tuple(map(float, gantry_deg)), tuple(map(float, collimator_deg))
    return Layout(tuple((angle,) * count for angle in gantry), collimator, gantry, collimator)


def _middles(gantry_deg: Sequence[float]) -> list[float]:
    return [(a + b) / 2 % 360 for a, b in pairwise(gantry_deg)]
