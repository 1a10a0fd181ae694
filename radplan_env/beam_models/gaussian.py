"""Lateral kernels as sums of Gaussians, behind two sources: the focus and the scatter of the head."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from radplan_env.beam_models.lattice import BIXEL_TABLE_MM, Lattice

Array = NDArray[np.float64]

_REACH_SIGMAS = 4.5


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

    def reach_mm(self, ssd_mm: float) -> float:
        """See `model.Kernels`: beyond, a field of 10 cm has less than 0.001 % of its dose."""
        return float(_REACH_SIGMAS * np.sqrt(self.gaussians(ssd_mm)[0].max()))

    def spectra(self, lattice: Lattice, ssd_mm: float, bixel_mm: float | None) -> NDArray[np.float32]:
        """See `model.Kernels`.

        A cell's mean and bilinear interpolation spread the dose by variances of spacing²/12 and spacing²/6: they are
        taken off every Gaussian.
        """
        variances, weights = self.gaussians(ssd_mm)
        variances = variances.ravel()[:, None] - lattice.spacing_mm**2 / 4
        along_x, along_z = (np.exp(-variances * each**2 / 2).astype(np.float32) for each in lattice.frequencies)
        weights = weights.reshape(len(weights), -1, 1).astype(np.float32)
        spectra: NDArray[np.float32] = np.swapaxes(weights * along_x, 1, 2) @ along_z
        return spectra

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
