"""Fluence on a lattice, convolved with lateral kernels where its dose is wanted; and the adjoint.

Kernels no wider than a few places touch what is near the fluence: Fourier transforms of a lattice little larger than
that. Wide ones leave only long waves of it: some fifty along each axis, summed up at every place (`Waves`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from radplan_env.beam_models.lattice import Window
from radplan_env.compiled import compiled
from radplan_env.threads import run_in_slices

Array = NDArray[np.float64]
Places = tuple[NDArray[np.int64], NDArray[np.int64]]

_NEGLIGIBLE = 1e-8  # of a wave: what is left of shorter ones counts for nothing


class Part(Protocol):
    """One part of a convolution."""

    def add(self, cells: Array, places: Places, planes: NDArray[np.float32]) -> None:
        """Add the convolved fluence of cells (a, b) at some places to the planes (n, m, components)."""
        ...

    def back(self, planes: Array, places: Places) -> Array:
        """Apply the adjoint: return (a, b) at some places of planes (n, m, components)."""
        ...


@dataclass(frozen=True, eq=False)
class Convolution:
    """From fluence on a lattice to planes of dose, one a component of the depth dose.

    Parameters
    ----------
    window : Window
    components : int
    parts : sequence of Part
        Their sum.
    """

    window: Window
    components: int
    parts: Sequence[Part]

    def planes(self, cells: Array, places: Places) -> NDArray[np.float32]:
        """Return planes (n, m, components) of the fluence of cells (a, b) at some places."""
        planes = np.zeros((*self.window.shape, self.components), dtype=np.float32)
        for part in self.parts:
            part.add(cells, places, planes)
        return planes

    def back(self, planes: Array, places: Places) -> Array:
        """Apply the adjoint of `planes`: return (a, b) at some places."""
        return sum((part.back(planes, places) for part in self.parts), np.zeros(tuple(map(len, places))))


class Fourier:
    """Kernels that end near the fluence, by Fourier transforms.

    Parameters
    ----------
    window : Window
    reach_mm : float
        Of the kernels.
    spectra : callable
        Returns the transfer function (components, n, m // 2 + 1) of a lattice of a shape (n, m).
    """

    def __init__(self, window: Window, reach_mm: float, spectra: Callable[[tuple[int, int]], NDArray[Any]]) -> None:
        least = window.period(reach_mm)
        self._shape = fft.next_fast_len(least[0], real=True), fft.next_fast_len(least[1], real=True)
        self._spectra = spectra(self._shape)
        near = window.within(reach_mm)
        self._first = [max(n, c) for n, c in zip(near, window.cells, strict=True)]  # place 0 on the lattice
        self._on_lattice = tuple(slice(f - n, f + n + 1) for f, n in zip(self._first, near, strict=True))
        self._on_planes = tuple(slice(p - n, p + n + 1) for p, n in zip(window.points, near, strict=True))

    def add(self, cells: Array, places: Places, planes: NDArray[np.float32]) -> None:
        """See `Part`."""
        lattice = np.zeros(self._shape, dtype=np.float32)
        lattice[self._index(places)] = cells
        transformed = fft.rfft2(lattice)
        near = planes[self._on_planes]
        for k, spectrum in enumerate(self._spectra):
            near[..., k] += fft.irfft2(transformed * spectrum, self._shape)[self._on_lattice]

    def back(self, planes: Array, places: Places) -> Array:
        """See `Part`."""
        lattice = np.zeros((len(self._spectra), *self._shape), dtype=np.float32)
        lattice[:, *self._on_lattice] = np.moveaxis(planes[self._on_planes], -1, 0)
        summed = np.einsum("kxz,kxz->xz", np.conj(self._spectra), fft.rfft2(lattice))
        result: Array = fft.irfft2(summed, self._shape)[self._index(places)].astype(np.float64)
        return result

    def _index(self, places: Places) -> tuple[NDArray[np.int64], ...]:
        return np.ix_(*(at + first for at, first in zip(places, self._first, strict=True)))


class Waves:
    """Sums of wide Gaussians, wave by wave: of each, a Gaussian leaves exp(−variance ω²/2).

    Parameters
    ----------
    window : Window
    reach_mm : float
        Of the Gaussians.
    variances : ndarray, shape (gaussians,)
        In mm².
    weights : ndarray, shape (components, gaussians)
    """

    def __init__(self, window: Window, reach_mm: float, variances: Array, weights: Array) -> None:
        self._periods = window.period(reach_mm)
        shortest = math.sqrt(-2 * math.log(_NEGLIGIBLE) / variances.min()) * window.spacing_mm / (2 * np.pi)
        self._counts = [min(math.ceil(shortest * period), (period + 1) // 2) for period in self._periods]
        left = []
        for period, count in zip(self._periods, self._counts, strict=True):
            omega = 2 * np.pi / (window.spacing_mm * period) * np.arange(count)
            share = np.where(omega > 0, 2, 1) / period * np.exp(-variances[:, None] * omega**2 / 2)
            left.append(np.concatenate([share, share[:, 1:]], axis=1))
        self._left = np.einsum("kg,gx,gz->kxz", weights, *left)
        places = np.arange(window.points[0] + 1), np.arange(-window.points[1], window.points[1] + 1)
        self._along_x, self._along_z = self._waves(places)
        self._cosines = np.ascontiguousarray(self._along_x[:, : self._counts[0]], dtype=np.float32)
        self._sines = np.ascontiguousarray(self._along_x[:, self._counts[0] :], dtype=np.float32)

    def add(self, cells: Array, places: Places, planes: NDArray[np.float32]) -> None:
        """See `Part`."""
        at_x, at_z = self._waves(places)
        waves = (self._left * (at_x.T @ cells @ at_z)) @ self._along_z.T
        waves = np.moveaxis(waves, 0, -1).reshape(len(self._left[0]), -1).astype(np.float32)
        even, odd = waves[: self._counts[0]], waves[self._counts[0] :]
        flat = planes.reshape(len(planes), -1)

        def task(_: int, first: int, last: int) -> None:
            _add_waves(self._cosines, self._sines, even, odd, flat, first, last)

        run_in_slices(task, len(self._cosines))

    def back(self, planes: Array, places: Places) -> Array:
        """See `Part`."""
        at_x, at_z = self._waves(places)
        centre = len(planes) // 2
        ahead, behind = planes[centre:], planes[centre::-1].copy()
        behind[0] = 0
        count = self._counts[0]
        even = np.tensordot(self._along_x[:, :count], ahead + behind, (0, 0))
        odd = np.tensordot(self._along_x[:, count:], ahead - behind, (0, 0))
        waves = np.moveaxis(np.concatenate([even, odd]), -1, 0) @ self._along_z
        result: Array = at_x @ (self._left * waves).sum(axis=0) @ at_z.T
        return result

    def _waves(self, places: Places) -> list[Array]:
        """Cosines and sines along x and z, (places, 2 count − 1)."""
        waves = []
        for at, period, count in zip(places, self._periods, self._counts, strict=True):
            phase = 2 * np.pi / period * np.outer(at, np.arange(count))
            waves.append(np.concatenate([np.cos(phase), np.sin(phase[:, 1:])], axis=1))
        return waves


@compiled
def _add_waves(cosines, sines, even, odd, planes, first, last):  # type: ignore[no-untyped-def] # pragma: no cover
    """Add Σᵢ cosines[x, i] even[i] ± Σᵢ sines[x, i] odd[i] to the rows of planes at ±x, for x from first to last."""
    centre, size = planes.shape[0] // 2, planes.shape[1]
    row = np.empty((2, size), dtype=np.float32)
    for x in range(first, last):
        row[:] = 0
        for part, (along, waves) in enumerate(((cosines, even), (sines, odd))):
            sums = row[part]
            for i in range(0, along.shape[1] - 3, 4):
                a, b, c, d = along[x, i], along[x, i + 1], along[x, i + 2], along[x, i + 3]
                for j in range(size):
                    sums[j] += a * waves[i, j] + b * waves[i + 1, j] + c * waves[i + 2, j] + d * waves[i + 3, j]
            for i in range(along.shape[1] - along.shape[1] % 4, along.shape[1]):
                a = along[x, i]
                for j in range(size):
                    sums[j] += a * waves[i, j]
        for j in range(size):
            planes[centre + x, j] += row[0, j] + row[1, j]
        if x > 0:
            for j in range(size):
                planes[centre - x, j] += row[0, j] - row[1, j]
