"""Where a plan is hot or cold: points of the check set, none of which is judged on, and what lies around them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from radplan_env.grid import Triple
from radplan_env.metrics import parse_metric

from .arguments import ToolError
from .desk import Desk, Solved
from .tables import figure, points

NEAR_MM = 10.0
"""How far around a point structures are named."""

APART_MM = 10.0
"""Points that are told lie at least so far apart."""

_WORDS = (("superior", "inferior"), ("posterior", "anterior"), ("left", "right"))  # of z, y and x in LPS


@dataclass(frozen=True)
class Place:
    """A point of the patient and its dose.

    Parameters
    ----------
    position_mm : (float, float, float)
        (z, y, x) in patient coordinates.
    dose_gy : float
    """

    position_mm: Triple
    dose_gy: float


def worst_places(desk: Desk, solved: Solved, criterion: str, count: int = 3) -> list[Place]:
    """Return the points that a criterion suffers from: the hottest of its structure, or the coldest.

    Of HI and CI of a target, and R50, it is the hottest point in the target, or outside the targets.

    Raises
    ------
    ToolError
        "wrong_arguments" where there is no such structure or metric.
    """
    structure, hottest = _sought(desk, criterion)
    check = desk.system.judge.check_points
    inside = np.flatnonzero(check.inside(structure))
    found: list[Place] = []
    while inside.size and len(found) < count:
        dose = desk.check_dose_gy(solved)[inside]
        worst = int(np.argmax(dose) if hottest else np.argmin(dose))
        z, y, x = check.positions_mm[inside[worst]].tolist()
        found.append(Place((z, y, x), float(dose[worst])))
        away = np.linalg.norm(check.positions_mm[inside] - (z, y, x), axis=1)
        inside = inside[away >= APART_MM]
    return found


COSTLY_POINTS = 1.0
"""A term that loses so many points of the score is costly."""


def costly_places(desk: Desk, solved: Solved, count: int = 3) -> list[tuple[str, Place]]:
    """Return the worst point of each of the costliest terms of the score, by the term's name.

    Terms about the same points of the same structure are told once, by the costliest of them.
    """
    sought: dict[tuple[str, bool], str] = {}
    for row in points(solved):
        if row["points_lost"] < COSTLY_POINTS:
            break
        try:
            sought.setdefault(_sought(desk, row["term"]), row["term"])
        except ToolError:  # a term that is no metric of a structure
            continue
    found = ((name, worst_places(desk, solved, name, 1)) for name in sought.values())
    return [(name, places[0]) for name, places in found if places][:count]


def told_of(desk: Desk, name: str, place: Place) -> str:
    """Return a term's worst point as a line: its dose, where it lies, and the structures within 1 cm."""
    said = told(desk, place)
    around = ", ".join(f"{structure} {how}" for structure, how in said["within_1_cm"].items()) or "no structure"
    where = said["from_target_centre"].removeprefix("at the centre")
    at = f"{where} of the centre" if where else "at the centre"
    primary = desk.system.protocol.primary.structure
    return f"{name}: {said['dose_gy']:g} Gy, {at} of {primary}; within 1 cm: {around}"


def _sought(desk: Desk, criterion: str) -> tuple[str, bool]:
    """The region that a criterion is about, and whether high doses are its trouble."""
    protocol, names = desk.system.protocol, desk.system.judge.check_points.names
    structure, _, metric = criterion.partition(" ")
    if structure not in names:
        known = ", ".join(name for name in names if "." not in name)
        raise ToolError("wrong_arguments", f"no criterion {criterion!r}: begin with a structure, one of {known}")
    try:
        parse_metric(metric)
    except ValueError as error:
        raise ToolError("wrong_arguments", f"criterion {criterion!r}: {error}") from None
    if metric in ("CI", "R50"):
        return "OutsideTargets", True
    known_limits = {each.name: each.upper for each in protocol.criteria}
    targets = {target.structure for target in protocol.targets}
    falls_short = structure.partition(".")[0] in targets and _is_of_the_coldest(metric)
    return structure, known_limits.get(criterion, not falls_short)


def _is_of_the_coldest(metric: str) -> bool:
    parsed = parse_metric(metric)
    return parsed.kind in ("min", "DCcc", "VGy") or (parsed.kind == "D%" and parsed.number >= 50)


def told(desk: Desk, place: Place) -> dict[str, Any]:
    """Return a point in plain values: where it lies, its dose, and the structures within 1 cm."""
    z, y, x = place.position_mm
    return {
        "dose_gy": figure(place.dose_gy),
        "z_mm": round(z, 1),
        "y_mm": round(y, 1),
        "x_mm": round(x, 1),
        "from_target_centre": _from_target(desk, place.position_mm),
        "within_1_cm": near(desk, place.position_mm),
    }


def near(desk: Desk, position_mm: Triple) -> dict[str, str]:
    """Return the structures within 1 cm of a point: "inside", or how far the centre of their nearest voxel is."""
    grid, regions = desk.system.case.grid, desk.system.judge.regions
    voxel = grid.voxel_of(position_mm)
    reach = [math.ceil(NEAR_MM / step) for step in grid.spacing_mm]
    box = tuple(slice(max(at - n, 0), at + n + 1) for at, n in zip(voxel, reach, strict=True))
    z, y, x = (grid.coordinates_mm(axis)[side] - position_mm[axis] for axis, side in enumerate(box))
    distance = np.sqrt(z[:, None, None] ** 2 + y[None, :, None] ** 2 + x[None, None, :] ** 2)
    found = {}
    for name in desk.system.protocol.structures:
        mask = regions.masks[name]
        if name == "Body" or not mask[box].any():
            continue
        nearest = float(distance[mask[box]].min())
        if mask[voxel]:
            found[name] = "inside"
        elif nearest <= NEAR_MM:
            found[name] = f"{nearest:.0f} mm"
    return found


def _from_target(desk: Desk, position_mm: Triple) -> str:
    """A position as planners say it: "12 mm left, 4 mm anterior, 20 mm superior" of the primary target's centre."""
    system = desk.system
    mask = system.judge.regions.masks[system.protocol.primary.structure]
    voxels = np.nonzero(mask)
    parts = []
    for axis in (2, 1, 0):
        step = position_mm[axis] - float(system.case.grid.coordinates_mm(axis)[voxels[axis]].mean())
        if abs(step) >= 1:
            parts.append(f"{abs(step):.0f} mm {_WORDS[axis][step < 0]}")
    return ", ".join(parts) or "at the centre"
