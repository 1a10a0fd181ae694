"""Lateral kernels as sums of Gaussians, behind two sources: the focus and the scatter of the head."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import special

from radplan_env.beam_models.convolution import Convolution, Fourier, Part, Waves
from radplan_env.beam_models.lattice import BIXEL_TABLE_MM, Window, frequencies

Array = NDArray[np.float64]

_REACH_SIGMAS = 4.5  # beyond, a field of 10 cm has less than 0.001 % of its dose
_NEAR_SIGMAS = 6.0  # of the narrow ones, beyond which they are taken for nothing
_WIDE_MM = 15.0


@dataclass(frozen=True, eq=False)
class GaussianKernels:
    """κₖ(r) = Σⱼ wₖⱼ G(r; s σⱼ), s = (SSD₀ + d₀) / (SSD + d₀), behind (1 − h) G(σ_source) + h G(σ_head).

    G is the two-dimensional Gaussian of unit integral. A kernel has its size in water, so that in the isocentre plane
    it grows as the surface comes nearer: s, which is 1 at the reference distance.

    Parameters
    ----------
    sigma_mm : ndarray, shape (gaussians,)
        In the isocentre plane, at the reference distance.
    weight : ndarray, shape (components, gaussians)
        In Gy per unit fluence.
    reference_ssd_mm, scaling_depth_mm : float
        SSD₀ and d₀.
    source_sigma_mm, head_sigma_mm : float
        Of the sources' images in the isocentre plane.
    head_share : float
        h, of the fluence in the open that comes from the head.
    """

    sigma_mm: Array
    weight: Array
    reference_ssd_mm: float
    scaling_depth_mm: float
    source_sigma_mm: float
    head_share: float
    head_sigma_mm: float
    pencils_only = False
    lattice_mm = 1.0

    def gaussians(self, ssd_mm: float) -> tuple[Array, Array]:
        """Return variances in mm² (2, gaussians) and weights (components, 2, gaussians), by source."""
        scale = (self.reference_ssd_mm + self.scaling_depth_mm) / (ssd_mm + self.scaling_depth_mm)
        sources = np.array([[self.source_sigma_mm], [self.head_sigma_mm]])
        share = np.array([[1 - self.head_share], [self.head_share]])
        return (scale * self.sigma_mm) ** 2 + sources**2, self.weight[:, None] * share

    def convolution(self, window: Window, ssd_mm: float, bixel_mm: float | None) -> Convolution:
        """See `model.Kernels`.

        A cell's mean and bilinear interpolation spread the dose by variances of spacing²/12 and spacing²/6: they are
        taken off every Gaussian.
        """
        variances, weights = (each.reshape(*each.shape[:-2], -1) for each in self.gaussians(ssd_mm))
        wide = variances >= _WIDE_MM**2
        reach_mm = _REACH_SIGMAS * float(np.sqrt(variances.max()))
        left = variances - window.spacing_mm**2 / 4
        parts: list[Part] = []
        if wide.any():
            parts.append(Waves(window, reach_mm, left[wide], weights[:, wide]))
        if not wide.all():
            near_mm = _NEAR_SIGMAS * float(np.sqrt(variances[~wide].max()))
            spectra = partial(_spectra, window.spacing_mm, left[~wide], weights[:, ~wide])
            parts.append(Fourier(window, near_mm, spectra))
        return Convolution(window, len(weights), parts)

    def bixel_tables(self, bixel_mm: float, ssd_mm: float, reach_mm: float) -> tuple[NDArray[np.float32], float]:
        """See `model.Kernels`."""
        variances, weights = self.gaussians(ssd_mm)
        places = math.ceil(reach_mm / BIXEL_TABLE_MM) + 2
        along = BIXEL_TABLE_MM * np.arange(-places, places + 1)
        widths = np.sqrt(2 * variances.ravel())[:, None]
        half = bixel_mm / 2
        profiles = (special.erf((along + half) / widths) - special.erf((along - half) / widths)) / 2
        table = np.einsum("kg,gx,gz->xzk", weights.reshape(len(weights), -1), profiles, profiles)
        return np.ascontiguousarray(table, dtype=np.float32), float(along[0])


def _spectra(spacing_mm: float, variances: Array, weights: Array, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Transfer function (components, n, m // 2 + 1) of sums of Gaussians on a lattice of a shape (n, m)."""
    along_x, along_z = (
        np.exp(-np.outer(variances, f**2 / 2)).astype(np.float32) for f in frequencies(shape, spacing_mm)
    )
    weighted = weights.astype(np.float32)[:, :, None] * along_x
    spectra: NDArray[np.float32] = np.swapaxes(weighted, 1, 2) @ along_z
    return spectra
