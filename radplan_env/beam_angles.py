"""Angles of coplanar beams, in degrees, as protocols and command lines give them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def equispaced_angles(beams: int) -> tuple[float, ...]:
    """Return `beams` gantry angles in degrees, equispaced from 0 and rounded to 0.01."""
    return tuple(round(360 * beam / beams, 2) for beam in range(beams))


def gantry_angles(given: Sequence[Any]) -> tuple[float, ...]:
    """Return gantry angles, checked.

    Raises
    ------
    ValueError
        If there are none, two are the same, or one lies outside [0, 360).
    """
    angles = tuple(float(angle) for angle in given)
    if not angles or not _in_turn(angles) or len(set(angles)) < len(angles):
        raise ValueError(f"gantry angles must differ and lie in [0, 360), got {_listed(angles)}")
    return angles


def collimator_angles(given: float | Sequence[Any], beams: int) -> tuple[float, ...]:
    """Return the collimator angle of each beam, from one value for all of them or one for each; none stands for 0.

    Raises
    ------
    ValueError
        If there are more or fewer than beams, or one lies outside [0, 360).
    """
    angles = tuple(float(angle) for angle in given) if isinstance(given, Sequence) else (float(given),)
    each = (angles or (0.0,)) * beams if len(angles) < 2 else angles
    if len(each) != beams:
        raise ValueError(f"{len(angles)} collimator angles for {beams} beams: give one for all, or one for each")
    if not _in_turn(each):
        raise ValueError(f"collimator angles must lie in [0, 360), got {_listed(angles)}")
    return each


def _in_turn(angles: Sequence[float]) -> bool:
    return all(0 <= angle < 360 for angle in angles)


def _listed(angles: Sequence[float]) -> str:
    return ", ".join(f"{angle:g}" for angle in angles) or "none"
