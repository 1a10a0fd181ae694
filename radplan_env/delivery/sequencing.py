"""Sliding windows: leaf paths that sweep a fluence, where aperture optimisation starts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

Array = NDArray[np.float64]


def sliding_window(image: Array, edges_mm: Array, units_per_mm: float, moments: Array) -> tuple[Array, Array, float]:
    """Sweep a fluence from low to high x, each pair as fast as it can.

    Where fluence rises the trailing leaf waits, where it falls the leading one does (Spirou & Chui 1994); neither is
    faster than the machine's leaves at its highest dose rate.

    Parameters
    ----------
    image : ndarray, shape (n, pairs)
        Fluence of each bixel.
    edges_mm : ndarray, shape (n + 1,)
    units_per_mm : float
        Fluence that passes while a leaf moves 1 mm.
    moments : ndarray, shape (moments,)
        Shares of the sweep, from 0 to 1, at which leaf ends are wanted.

    Returns
    -------
    tuple
        Trailing and leading ends, shape (moments, pairs), and the fluence that the sweep takes.
    """
    width = np.diff(edges_mm)
    centres = (edges_mm[:-1] + edges_mm[1:]) / 2
    places = np.concatenate([edges_mm[:1] - width[:1] / 2, centres, edges_mm[-1:] + width[-1:] / 2])
    padded = np.pad(image, ((1, 1), (0, 0)))
    passing = units_per_mm * np.diff(places)[:, None]
    rise = np.diff(padded, axis=0)
    start = np.zeros((1, image.shape[1]))
    leads = np.cumsum(np.concatenate([start, passing + np.maximum(-rise, 0)]), axis=0)
    trails = np.cumsum(np.concatenate([start, passing + np.maximum(rise, 0)]), axis=0)
    total = float(trails[-1].max())
    times = total * moments
    trailing, leading = (
        np.stack([np.interp(times, way[:, p], places) for p in range(image.shape[1])], axis=1)
        for way in (trails, leads)
    )
    trailing, leading = (np.clip(ends, edges_mm[0], edges_mm[-1]) for ends in (trailing, leading))
    return trailing, np.maximum(leading, trailing), total


def swept(
    images: Sequence[Array], edges_mm: Sequence[Array], units_per_mm: float, moments: Sequence[Array], most: float
) -> list[tuple[Array, Array, float]]:
    """Sweep several fluences, every second one from high to low x, within a sum of fluence.

    Fluences are blurred along the leaves, all alike, as little as brings their sum below `most`: an exact fluence is
    spiky, and its windows are slits.

    Parameters
    ----------
    images, edges_mm, moments : sequence of ndarray
        As for `sliding_window`, one for each fluence.
    units_per_mm : float
    most : float

    Returns
    -------
    list of tuple
        Left and right ends, shape (moments, pairs), and fluence of each sweep.
    """
    for sigma in np.arange(0.0, 8.0, 0.25):
        sweeps = []
        for s, (image, edges, when) in enumerate(zip(images, edges_mm, moments, strict=True)):
            blurred = gaussian_filter1d(image, sigma, axis=0, mode="constant") if sigma else image
            if s % 2 == 0:
                sweeps.append(sliding_window(blurred, edges, units_per_mm, when))
            else:
                trailing, leading, total = sliding_window(blurred[::-1], -edges[::-1], units_per_mm, when)
                sweeps.append((-leading, -trailing, total))
        if sum(total for *_, total in sweeps) <= most:
            break
    return sweeps
