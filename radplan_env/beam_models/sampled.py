"""Lateral kernels as pyRadPlan (and matRad) sample and cut them, to the quarter of a millimetre."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from radplan_env.beam_models.convolution import Convolution, Fourier
from radplan_env.beam_models.lattice import BIXEL_TABLE_MM, Window

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SampledKernels:
    """Kernels by source-surface distance and radius, convolved with bixel and penumbra on a lattice of 0.5 mm.

    Parameters
    ----------
    ssd_mm : ndarray, shape (ssds,)
    radius_mm : ndarray, shape (radii,)
    kernels : ndarray, shape (ssds, components, radii)
        In Gy per mm² and unit fluence; the first entry is what lies in the innermost cell of the lattice.
    penumbra_fwhm_mm : float
        Of the source's image in the isocentre plane.
    cutoff_mm : float
        Distance from a bixel's axis where its dose ends.
    """

    ssd_mm: Array
    radius_mm: Array
    kernels: Array
    penumbra_fwhm_mm: float
    cutoff_mm: float
    pencils_only = True
    lattice_mm = BIXEL_TABLE_MM  # bixels' centres must lie on it

    def kernels_at(self, ssd_mm: float) -> Array:
        """Return the kernels, shape (components, radii), of the nearest source-surface distance."""
        nearest: Array = self.kernels[np.argmin(np.abs(self.ssd_mm - ssd_mm))]
        return nearest

    def bixel_tables(self, bixel_mm: float, ssd_mm: float, reach_mm: float) -> tuple[NDArray[np.float32], float]:
        """See `model.Kernels`."""
        from scipy import signal  # slow to import

        step = BIXEL_TABLE_MM
        # As pyRadPlan samples it, from -width/2 up to but without +width/2: bixels sit step/2 off centre.
        half_field = math.ceil(bixel_mm / (2 * step))
        field = np.ones(math.floor(bixel_mm / step))
        sigma = self.penumbra_fwhm_mm / math.sqrt(8 * math.log(2))
        half_penumbra = math.ceil(5 * sigma / step)
        penumbra = np.exp(-((step * np.arange(-half_penumbra, half_penumbra)) ** 2) / (2 * sigma**2))
        profile = np.convolve(field, step / (math.sqrt(2 * math.pi) * sigma) * penumbra)

        reach = math.ceil(reach_mm / step) + 2 + math.ceil(profile.size / 2)
        along = step * np.arange(-reach, reach + 1)
        radius = np.hypot(along[:, None], along)
        kernels = step**2 * np.array(
            [np.interp(radius, self.radius_mm, kernel, right=0.0) for kernel in self.kernels_at(ssd_mm)]
        )
        table = signal.fftconvolve(kernels, np.outer(profile, profile)[None], mode="valid", axes=(1, 2))
        first = profile.size - 1 - reach - half_field - half_penumbra
        return np.ascontiguousarray(np.moveaxis(table, 0, -1), dtype=np.float32), step * first

    def convolution(self, window: Window, ssd_mm: float, bixel_mm: float | None) -> Convolution:
        """See `model.Kernels`; the lattice's spacing must be a multiple of the table's."""
        assert bixel_mm is not None
        table, first_mm = self.bixel_tables(bixel_mm, ssd_mm, self.cutoff_mm)
        stride = round(window.spacing_mm / BIXEL_TABLE_MM)
        places = np.arange(len(table)) + round(first_mm / BIXEL_TABLE_MM)
        kept = places % stride == 0
        places = places[kept] // stride
        near = np.hypot(places[:, None], places) * window.spacing_mm <= self.cutoff_mm

        def spectra(shape: tuple[int, int]) -> NDArray[np.complex64]:
            on_lattice = np.zeros((table.shape[2], *shape), dtype=np.float32)
            index = np.ix_(places % shape[0], places % shape[1])
            for component in range(table.shape[2]):
                on_lattice[component][index] = np.where(near, table[np.ix_(kept, kept)][..., component], 0)
            transformed: NDArray[np.complex64] = fft.rfft2(on_lattice)
            return transformed

        return Convolution(window, table.shape[2], (Fourier(window, self.cutoff_mm, spectra),))
