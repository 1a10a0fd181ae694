"""Bands of leaf pairs, which an action moves together, and the raster on which an interval is seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from radplan_env.machine_parameters.task import ArcTask

BANDS = 8
"""Groups of neighbouring leaf pairs, from the feet to the head; each is an even share of the pairs in use."""

ROWS, COLUMNS = 32, 33
"""Of the raster: one leaf of 5 mm by one bixel of 5 mm, over 160 by 165 mm about the beam's axis."""


def band_of_pair(task: ArcTask) -> NDArray[np.int64]:
    """Return the band of each pair in use, shape (pairs,)."""
    pairs = task.columns.pairs.size
    return np.arange(pairs) * BANDS // pairs


def rows_of_bands(task: ArcTask) -> list[NDArray[np.int64]]:
    """Return the rows of the raster that each band holds."""
    band = band_of_pair(task)[task.columns.pair]
    row = task.columns.bixels.place[:, 1] + ROWS // 2
    return [np.unique(row[band == each]) for each in range(BANDS)]


def raster_places(task: ArcTask) -> NDArray[np.int64]:
    """Return each bixel's flat index on the raster.

    Raises
    ------
    ValueError
        If the target reaches beyond the raster.
    """
    place = task.columns.bixels.place + np.array([COLUMNS // 2, ROWS // 2])
    if (place < 0).any() or (place >= [COLUMNS, ROWS]).any():
        raise ValueError(
            f"the target of case {task.case.id!r} does not fit the raster of {5 * ROWS} by {5 * COLUMNS} mm along the "
            "collimator's axes that machine parameters are planned on: leave the case out"
        )
    places: NDArray[np.int64] = place[:, 1] * COLUMNS + place[:, 0]
    return places
