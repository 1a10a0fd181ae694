"""What a machine can do of a plan: how long it takes, which limits it breaks, and the nearest plan that breaks none."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from radplan_env.delivery.apertures import Apertures
from radplan_env.delivery.machine import Machine

Array = NDArray[np.float64]

POSITION_STEP_MM = 0.01
"""To which leaf positions are rounded."""
METERSET_STEP = 0.001
"""To which monitor units are rounded."""
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Violation:
    """A limit that a plan breaks.

    Parameters
    ----------
    limit : str
        "gap", "span", "leaf speed", "dose rate", "gantry speed" or "gantry change".
    field : int
    place : int
        Control point of the plan for gap and span, interval otherwise.
    value, bound : float
        In the limit's unit.
    """

    limit: str
    field: int
    place: int
    value: float
    bound: float

    def __str__(self) -> str:
        where = "control point" if self.limit in ("gap", "span") else "interval"
        return f"{self.limit} at {where} {self.place} of field {self.field}: {self.value:.4g}, limit {self.bound:.4g}"


def interval_seconds(apertures: Apertures, machine: Machine) -> Array:
    """Return how long each interval takes at least, shape (intervals,); a segment's includes no leaf motion.

    In an arc the slowest of gantry, leaves and dose rate decides, and gantry speeds of neighbours differ by no more
    than the machine allows: each is lowered to the lower envelope of the others.
    """
    seconds = apertures.monitor_units / machine.monitor_units_per_s[1]
    for f, field in enumerate(apertures.fields):
        if not field.is_arc:
            continue
        own = apertures.field == f
        turn = abs(np.diff(field.gantry_deg))
        slowest = np.maximum(seconds[own], apertures.travel_mm[own] / machine.leaf_speed_mm_per_s)
        speed = turn / np.maximum(slowest, turn / machine.gantry_deg_per_s[1])
        place = np.arange(turn.size)
        reach = machine.gantry_change_deg_per_s * abs(place[:, None] - place)
        seconds[own] = turn / (speed[None, :] + reach).min(axis=1)
    return seconds


def total_seconds(apertures: Apertures, machine: Machine) -> float:
    """Return how long a fraction takes: beam on, leaves between segments, and the gantry between fields."""
    total = float(interval_seconds(apertures, machine).sum())
    for f, field in enumerate(apertures.fields):
        own = np.flatnonzero(apertures.field == f)
        first = apertures.first[own]
        if not field.is_arc:
            moved = np.maximum(
                abs(np.diff(apertures.left_mm[first], axis=0)).max(axis=1, initial=0),
                abs(np.diff(apertures.right_mm[first], axis=0)).max(axis=1, initial=0),
            )
            total += float(moved.sum()) / machine.leaf_speed_mm_per_s
        if f:
            turn = abs(apertures.fields[f].gantry_deg[0] - apertures.fields[f - 1].gantry_deg[-1]) % 360
            total += min(turn, 360 - turn) / machine.gantry_deg_per_s[1]
    return total


def violations(apertures: Apertures, machine: Machine) -> tuple[Violation, ...]:
    """Return every limit of the machine that a plan breaks; none if it can be delivered."""
    return (*_of_leaves(apertures, machine), *_of_motion(apertures, machine))


def _of_leaves(apertures: Apertures, machine: Machine) -> list[Violation]:
    found = []
    gap = apertures.right_mm - apertures.left_mm
    moves = np.zeros(gap.shape, dtype=bool)
    for ends in (apertures.left_mm, apertures.right_mm):
        moving = ends[apertures.first] != ends[apertures.last]
        for end in (apertures.first, apertures.last):
            np.logical_or.at(moves, end, moving)
    of_point = apertures.field_of_point
    for point, pair in np.argwhere(moves & (gap < machine.smallest_gap_mm - _ROUNDING)):
        found.append(Violation("gap", of_point[point], point, gap[point, pair], machine.smallest_gap_mm))
    for f in range(len(apertures.fields)):
        for ends in (apertures.left_mm, apertures.right_mm):
            spread = ends[of_point == f]
            span = float(spread.max() - spread.min())  # the carriage stands still within a field
            if span > machine.leaf_span_mm + _ROUNDING:
                found.append(Violation("span", f, int(np.flatnonzero(of_point == f)[0]), span, machine.leaf_span_mm))
    return found


def _of_motion(apertures: Apertures, machine: Machine) -> list[Violation]:
    found: list[Violation] = []
    seconds = interval_seconds(apertures, machine)

    def check(limit: str, f: int, values: Array, low: float, high: float, places: NDArray[np.int64]) -> None:
        for bound, broken in ((low, values < low * (1 - _ROUNDING)), (high, values > high * (1 + _ROUNDING))):
            found.extend(Violation(limit, f, int(places[i]), float(values[i]), bound) for i in np.flatnonzero(broken))

    for f, field in enumerate(apertures.fields):
        if not field.is_arc:
            continue
        own = np.flatnonzero(apertures.field == f)
        speed = abs(np.diff(field.gantry_deg)) / seconds[own]
        check("gantry speed", f, speed, *machine.gantry_deg_per_s, own)
        check("gantry change", f, abs(np.diff(speed)), 0, machine.gantry_change_deg_per_s, own)
        check("leaf speed", f, apertures.travel_mm[own] / seconds[own], 0, machine.leaf_speed_mm_per_s, own)
        check("dose rate", f, apertures.monitor_units[own] / seconds[own], *machine.monitor_units_per_s, own)
    return found


def repaired(left_mm: Array, right_mm: Array, gap_mm: float, travel_mm: float) -> tuple[Array, Array]:
    """Return the leaf ends of an arc with at least a gap within each pair and at most a way between control points.

    Pairs too narrow are opened about their middle. Then each leaf's path becomes the mean of its lower and upper
    Lipschitz envelopes, min_j (x_j + D |k − j|) and max_j (x_j − D |k − j|): the operator is monotone and commutes with
    shifts, so that gaps survive it, and what was within the limits stays as it is.

    Parameters
    ----------
    left_mm, right_mm : ndarray, shape (control points, pairs)
    gap_mm, travel_mm : float
        An infinite `travel_mm` leaves the paths as they are.
    """
    middle, half = (left_mm + right_mm) / 2, np.maximum(right_mm - left_mm, gap_mm) / 2
    left, right = middle - half, middle + half
    if np.isfinite(travel_mm) and (abs(np.diff([left, right], axis=1)) > travel_mm).any():
        left, right = _lipschitz(left, travel_mm), _lipschitz(right, travel_mm)
    return left, right


def _lipschitz(ends: Array, travel_mm: float) -> Array:
    low, high = ends.copy(), ends.copy()
    for k in range(1, len(ends)):
        low[k] = np.minimum(low[k], low[k - 1] + travel_mm)
        high[k] = np.maximum(high[k], high[k - 1] - travel_mm)
    for k in range(len(ends) - 2, -1, -1):
        low[k] = np.minimum(low[k], low[k + 1] + travel_mm)
        high[k] = np.maximum(high[k], high[k + 1] - travel_mm)
    return (low + high) / 2


def rounded(apertures: Apertures, machine: Machine) -> Apertures:
    """Return a plan in the steps of its RTPLAN: gaps never shrink, and no dose rate falls below the machine's."""
    left = np.floor(apertures.left_mm / POSITION_STEP_MM + 1e-6) * POSITION_STEP_MM
    right = np.ceil(apertures.right_mm / POSITION_STEP_MM - 1e-6) * POSITION_STEP_MM
    units = np.rint(apertures.monitor_units / METERSET_STEP) * METERSET_STEP
    plan = replace(apertures, left_mm=np.round(left, 2), right_mm=np.round(right, 2), monitor_units=np.round(units, 3))
    for _ in range(20):  # more units may slow the gantry, and so its neighbours
        arcs = np.array([f.is_arc for f in plan.fields])[plan.field]
        least = machine.monitor_units_per_s[0] * interval_seconds(plan, machine) * arcs
        if (plan.monitor_units >= least).all():
            break
        units = np.maximum(plan.monitor_units, np.round(np.ceil(least / METERSET_STEP) * METERSET_STEP, 3))
        plan = replace(plan, monitor_units=units)
    return plan
