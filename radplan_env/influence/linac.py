"""The linac's beam data: pyRadPlan's generic 6 MV machine, read without importing pyRadPlan, which takes seconds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import io

MACHINE = "Generic"
"""pyRadPlan's name of the linac."""

ENERGY_MV = 6.0


@dataclass(frozen=True, eq=False)
class Linac:
    """Commissioned data of the singular-value decomposed pencil beam (Bortfeld, Schlegel & Rhein 1993).

    Parameters
    ----------
    sad_mm : float
        Source-axis distance.
    attenuation_per_mm : float
        Effective attenuation of the primary fluence in water, m.
    build_up_per_mm : ndarray, shape (components,)
        β of each component's depth dose.
    penumbra_fwhm_mm : float
        Width of the source as seen at the isocentre.
    ssd_mm : ndarray, shape (ssds,)
        Source-surface distances the kernels are given for.
    radius_mm : ndarray, shape (radii,)
    kernels : ndarray, shape (ssds, components, radii)
        Lateral kernels in Gy per mm² and unit fluence.
    """

    sad_mm: float
    attenuation_per_mm: float
    build_up_per_mm: NDArray[np.float64]
    penumbra_fwhm_mm: float
    ssd_mm: NDArray[np.float64]
    radius_mm: NDArray[np.float64]
    kernels: NDArray[np.float64]

    def kernels_at(self, ssd_mm: float) -> NDArray[np.float64]:
        """Return the kernels, shape (components, radii), of the nearest source-surface distance."""
        nearest: NDArray[np.float64] = self.kernels[np.argmin(np.abs(self.ssd_mm - ssd_mm))]
        return nearest


@lru_cache(maxsize=1)
def linac() -> Linac:
    """Return the machine that comes with pyRadPlan."""
    spec = find_spec("pyRadPlan")
    assert spec is not None and spec.submodule_search_locations is not None, "pyRadPlan is a dependency"
    path = Path(spec.submodule_search_locations[0], "data", "machines", f"photons_{MACHINE}.mat")
    machine = io.loadmat(path, simplify_cells=True)["machine"]
    data = machine["data"]
    components = len(data["betas"])
    return Linac(
        sad_mm=float(machine["meta"]["SAD"]),
        attenuation_per_mm=float(data["m"]),
        build_up_per_mm=np.asarray(data["betas"], dtype=float),
        penumbra_fwhm_mm=float(data["penumbraFWHMatIso"]),
        ssd_mm=np.array([kernel["SSD"] for kernel in data["kernel"]], dtype=float),
        radius_mm=np.asarray(data["kernelPos"], dtype=float),
        kernels=np.array([[kernel[f"kernel{c + 1}"] for c in range(components)] for kernel in data["kernel"]]),
    )
