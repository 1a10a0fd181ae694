"""What delivering an ideal fluence would take: shown with every plan, and no part of its score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from radplan_env.beams import Beam, Bixels
from radplan_env.info import Complexity

LEVELS = 10
"""Intensity levels that a fluence is rounded to, to see how much it leans on being ideal."""


def complexity(
    beams: Sequence[Beam], bixels: Bixels, fluence: NDArray[np.float64], mu_per_fluence: float
) -> Complexity:
    """Return how modulated a fluence is.

    Parameters
    ----------
    beams : sequence of Beam
    bixels : Bixels
    fluence : ndarray, shape (bixels,)
    mu_per_fluence : float
        Monitor units in a fraction of one unit of fluence.

    Returns
    -------
    Complexity
        ``mu_per_fraction`` by sliding windows: leaf pairs travel along x, and a beam takes as long as the pair whose
        fluence rises most in all, Σ max(0, F_i - F_i-1) (Spirou & Chui 1994); without transmission and speed limits.
        ``highest_over_median`` compares the highest bixel with the median of those above 0.
    """
    total = 0.0
    for b in range(len(beams)):
        own = bixels.beam == b
        places = bixels.place[own]
        if not len(places):
            continue
        low = places.min(axis=0)
        image = np.zeros(places.max(axis=0) - low + 2)  # closed leaves before the first bixel of each pair
        image[tuple((places - low + [1, 0]).T)] = fluence[own]
        total += float(np.maximum(np.diff(image, axis=0), 0).sum(axis=0).max())
    open_bixels = fluence[fluence > 0]
    ratio = float(fluence.max() / np.median(open_bixels)) if open_bixels.size else 0.0
    return {"mu_per_fraction": mu_per_fluence * total, "highest_over_median": ratio}


def rounded(bixels: Bixels, fluence: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the fluence, shape (bixels,), at `LEVELS` equal steps up to the highest bixel of each beam, and closed."""
    steps = np.ones(len(fluence))
    for b in np.unique(bixels.beam):
        own = bixels.beam == b
        steps[own] = fluence[own].max() / LEVELS or 1.0
    levels: NDArray[np.float64] = steps * np.rint(fluence / steps)
    return levels
