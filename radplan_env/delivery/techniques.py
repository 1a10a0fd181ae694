"""Techniques: which fields a plan has, at which gantry angles its dose is given, and from which coarse fields it starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from radplan_env.delivery.machine import Machine

TECHNIQUES = ("step-and-shoot", "vmat")
"""Ways of delivering a plan."""

ARC_DEG = (182.0, 538.0)
"""An arc's first and last control point: clockwise over 0; the second arc comes back."""
SPACING_DEG = 4.0
"""Between control points of an arc: what SmartArc plans with (doi 10.1120/jacmp.v11i4.3169)."""
SEGMENTS = 10
"""Of each beam of a step-and-shoot plan."""


@dataclass(frozen=True)
class Layout:
    """Fields before there is an aperture.

    Parameters
    ----------
    gantry_deg : tuple of tuple of float
        Of each field's control points; see `apertures.Field`.
    collimator_deg : tuple of float
        Of each field.
    coarse : tuple of int
        Intervals of the first field, or first segments of static fields, at whose angle a coarse field stands.
    """

    gantry_deg: tuple[tuple[float, ...], ...]
    collimator_deg: tuple[float, ...]
    coarse: tuple[int, ...]


def arcs(machine: Machine, count: int, coarse_fields: int) -> Layout:
    """Return one arc, or more of them to and fro.

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
    sectors = np.array_split(np.arange(len(there) - 1), coarse_fields)
    return Layout(
        tuple(there if arc % 2 == 0 else there[::-1] for arc in range(count)),
        machine.arc_collimator_deg[:count],
        tuple(int(sector[sector.size // 2]) for sector in sectors),
    )


def segments(gantry_deg: Sequence[float], collimator_deg: Sequence[float], count: int = SEGMENTS) -> Layout:
    """Return static fields of so many segments each."""
    return Layout(
        tuple((float(angle),) * count for angle in gantry_deg),
        tuple(map(float, collimator_deg)),
        tuple(range(0, count * len(gantry_deg), count)),
    )
