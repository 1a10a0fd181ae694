"""How modulated a delivered plan is: figures beside its score."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from radplan_env.delivery.apertures import Apertures, Field

Array = NDArray[np.float64]


def mean_gap_mm(apertures: Apertures, smallest_gap_mm: float) -> float:
    """Return the mean opening of exposed open pairs, weighted by monitor units; open is wider than the smallest gap."""
    weight, total = 0.0, 0.0
    for field, left, right, units in _segments(apertures):
        gap = (right - left)[apertures.exposed(field)]
        gap = gap[gap > smallest_gap_mm + 0.02]
        weight += units * gap.size
        total += units * float(gap.sum())
    return float(total / weight) if weight > 0 else 0.0


def modulation_complexity(apertures: Apertures) -> float:
    """Return the modulation complexity score of McNiven 2010 (doi 10.1118/1.3276775): 1 for an open rectangle.

    The more modulated, the lower. Of exposed pairs; in an arc, apertures are those in the middle of each interval.
    """
    total, all_units = 0.0, 0.0
    for f in range(len(apertures.fields)):
        own = [segment[1:] for segment in _segments(apertures) if segment[0] is apertures.fields[f]]
        exposed = apertures.exposed(apertures.fields[f])
        widest = sum(np.max([(right - left)[exposed] for left, right, _ in own], axis=0))
        for left, right, units in own:
            left, right = left[exposed], right[exposed]
            area = float((right - left).sum() / widest) if widest > 0 else 0.0
            total += units * area * _evenness(left) * _evenness(right)
            all_units += units
    return float(total / all_units) if all_units > 0 else 0.0


def _evenness(ends: Array) -> float:
    """Leaf sequence variability of one bank."""
    span = float(ends.max() - ends.min())
    if ends.size < 2 or span == 0:
        return 1.0
    return float((span - abs(np.diff(ends))).mean() / span)


def _segments(apertures: Apertures) -> list[tuple[Field, Array, Array, float]]:
    fields = [apertures.fields[f] for f in apertures.field]
    return list(zip(fields, *apertures.middle_mm, apertures.monitor_units, strict=True))
