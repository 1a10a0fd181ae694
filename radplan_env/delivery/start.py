"""Where aperture optimisation starts: windows that sweep the fluence of the nearest coarse field."""

from __future__ import annotations

from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from radplan_env.beams import Beam, Bixels
from radplan_env.delivery.columns import ApertureColumns, Leaves
from radplan_env.delivery.sequencing import swept

Array = NDArray[np.float64]

UNITS_PER_MM = 0.1
"""Monitor units a fraction that pass while a leaf of the first windows moves 1 mm; less than at its highest speed, so
that a sweep's units go into its fluence."""


def sliding_windows(
    columns: ApertureColumns,
    coarse: tuple[Beam, ...],
    bixels: Bixels,
    fluence: Array,
    mu_to_units: float,
    most: float,
) -> Leaves:
    """Return leaves that sweep coarse fields' fluence.

    Parameters
    ----------
    columns : ApertureColumns
    coarse : tuple of Beam
        The coarse fields.
    bixels : Bixels
        Of the coarse fields, as wide as those of `columns`.
    fluence : ndarray, shape (bixels,)
        Of all fractions.
    mu_to_units : float
        Fluence of all fractions that one monitor unit a fraction gives.
    most : float
        Highest fluence of all intervals.
    """
    nearest = [_nearest(columns.beams[beam].gantry_deg, coarse) for beam in columns.beam]
    arcs = sum(field.is_arc for field in columns.fields) or 1
    images, edges, moments, places = [], [], [], []
    for (field, source), group in groupby(range(columns.first.size), lambda n: (columns.field[n], nearest[n])):
        intervals = list(group)
        middle = intervals[len(intervals) // 2]
        beam = columns.beams[columns.beam[middle]]
        image, lines = _image(columns, int(columns.beam[middle]), beam, coarse[source], bixels, source, fluence / arcs)
        count = len(intervals)
        arc = columns.fields[field].is_arc
        images.append(image)
        edges.append(lines)
        moments.append(np.linspace(0, 1, count + 1) if arc else (np.arange(count) + 0.5) / count)
        places.append(intervals)
    leaves = Leaves(columns.lowest.copy(), columns.lowest.copy(), np.zeros(columns.first.size))
    for intervals, (left, right, units) in zip(
        places, swept(images, edges, UNITS_PER_MM * mu_to_units, moments, most), strict=True
    ):
        points = slice(columns.first[intervals[0]], columns.last[intervals[-1]] + 1)
        leaves.left[points], leaves.right[points] = left, right
        leaves.units[intervals] = units / len(intervals)
    return leaves


def _nearest(angle_deg: float, coarse: tuple[Beam, ...]) -> int:
    apart = [abs((beam.gantry_deg - angle_deg + 180) % 360 - 180) for beam in coarse]
    return int(np.argmin(np.round(apart, 6)))


def _image(
    columns: ApertureColumns,
    beam_index: int,
    beam: Beam,
    source: Beam,
    bixels: Bixels,
    source_index: int,
    fluence: Array,
) -> tuple[Array, Array]:
    """Fluence of a coarse field by x and leaf pair of a beam with its own collimator angle, and the edges of x."""
    own = bixels.of_beam(source_index)
    places = bixels.place[own]
    first = places.min(axis=0) - 1
    filled = np.zeros(places.max(axis=0) - first + 2)
    filled[tuple((places - first).T)] = fluence[own]
    columns_of = columns.bixels.of_beam(beam_index)
    x, z = columns.bixels.centres_mm[columns_of].T
    at = np.stack(source.onto_collimator(*beam.from_collimator(x, z)))
    at = at / bixels.width_mm - np.array(bixels.offset)[:, None] - first[:, None]
    seen = map_coordinates(filled, at, order=1, mode="constant")
    column = columns.bixels.place[columns_of, 0]
    low = column.min()
    shape = int(column.max() - low + 1), columns.pairs.size
    total, count = np.zeros(shape), np.zeros(shape)
    np.add.at(total, (column - low, columns.pair[columns_of]), seen)
    np.add.at(count, (column - low, columns.pair[columns_of]), 1)
    edges = columns.low[columns_of].min() + columns.width_mm * np.arange(shape[0] + 1)
    return total / np.maximum(count, 1), edges
