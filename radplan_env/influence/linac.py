"""The linac's beam data: a YAML file of `radplan_env/beam_models` and the table of kernels beside it."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
import yaml
from numpy.typing import NDArray

MACHINE = "matrad-generic"
"""The generic 6 MV linac of matRad and pyRadPlan."""


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
    digest : str
        SHA-256 of the files the data come from.
    """

    sad_mm: float
    attenuation_per_mm: float
    build_up_per_mm: NDArray[np.float64]
    penumbra_fwhm_mm: float
    ssd_mm: NDArray[np.float64]
    radius_mm: NDArray[np.float64]
    kernels: NDArray[np.float64]
    digest: str

    def kernels_at(self, ssd_mm: float) -> NDArray[np.float64]:
        """Return the kernels, shape (components, radii), of the nearest source-surface distance."""
        nearest: NDArray[np.float64] = self.kernels[np.argmin(np.abs(self.ssd_mm - ssd_mm))]
        return nearest


@lru_cache(maxsize=1)
def linac() -> Linac:
    """Return the machine that K is computed with."""
    folder = files("radplan_env") / "beam_models"
    text = (folder / f"{MACHINE}.yaml").read_bytes()
    data = yaml.safe_load(text)
    table = (folder / data["kernels"]).read_bytes()
    with np.load(io.BytesIO(table), allow_pickle=False) as arrays:
        kernels = {name: arrays[name] for name in ("ssd_mm", "radius_mm", "kernels")}
    return Linac(
        sad_mm=float(data["sad_mm"]),
        attenuation_per_mm=float(data["attenuation_per_mm"]),
        build_up_per_mm=np.array(data["build_up_per_mm"], dtype=float),
        penumbra_fwhm_mm=float(data["penumbra_fwhm_mm"]),
        **kernels,
        digest=hashlib.sha256(text + table).hexdigest(),
    )
