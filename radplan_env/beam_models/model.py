"""A machine's beam, and the models by name."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from radplan_env.beam_models.convolution import Convolution
from radplan_env.beam_models.gaussian import GaussianKernels
from radplan_env.beam_models.lattice import Window
from radplan_env.beam_models.sampled import SampledKernels
from radplan_env.yaml_files import parse_yaml

Array = NDArray[np.float64]
Table = NDArray[np.float32]

BEAM_MODELS = ("generic-6x", "matrad-generic")
"""Names of the models: the machine that plans are judged on, and the one that pyRadPlan computes with."""
DEFAULT_BEAM_MODEL = "generic-6x"


class Kernels(Protocol):
    """Lateral spread of a pencil beam in the isocentre plane, by component of the depth dose."""

    pencils_only: bool
    """Whether only bixels can be computed, not openings of any shape."""

    lattice_mm: float
    """Spacing of the lattice that resolves them."""

    def convolution(self, window: Window, ssd_mm: float, bixel_mm: float | None) -> Convolution:
        """Return what takes fluence on a lattice to dose before depth dose and inverse square.

        `bixel_mm` is the width of the bixels where `pencils_only`, whose fluence then stands at their centres.
        """
        ...

    def bixel_tables(self, bixel_mm: float, ssd_mm: float, reach_mm: float) -> tuple[Table, float]:
        """Return the dose of one bixel of unit fluence, before depth dose and inverse square.

        A table (places, places, components) of spacing `BIXEL_TABLE_MM` that reaches as far from the bixel's axis as
        is asked, and the position of its first row and column from the axis in mm.
        """
        ...


@dataclass(frozen=True, eq=False)
class BeamModel:
    """A machine's beam.

    Parameters
    ----------
    name : str
    sad_mm : float
        Source-axis distance.
    attenuation_per_mm : float
        Of the primary fluence in water, m.
    build_up_per_mm : ndarray, shape (components,)
        β of each component's depth dose.
    kernels : Kernels
    radius_mm, relative_fluence : ndarray, shape (radii,)
        Primary fluence of an open beam by distance from the axis in the isocentre plane, over that of an isotropic
        source of the same fluence on the axis.
    mlc_transmission : float
        Share of the fluence that passes a closed leaf.
    monitor_units_per_fluence : float
        MU of one unit of fluence: one MU gives 1 cGy at the maximum of a 10×10 cm field at SSD 1000 mm.
    lateral_cutoff_mm : float or None
        Distance from a bixel's axis at which the *model* ends its dose; None: nowhere.
    digest : str
        SHA-256 of the files the model comes from.
    """

    name: str
    sad_mm: float
    attenuation_per_mm: float
    build_up_per_mm: Array
    kernels: Kernels
    radius_mm: Array
    relative_fluence: Array
    mlc_transmission: float
    monitor_units_per_fluence: float
    lateral_cutoff_mm: float | None
    digest: str

    def depth_doses(self, depth_mm: Array) -> Array:
        """Return Dₖ = β / (β − m) · (exp(−m d) − exp(−β d)), shape (components, *depths)."""
        beta = self.build_up_per_mm.reshape(-1, *[1] * np.ndim(depth_mm))
        m = self.attenuation_per_mm
        doses: Array = beta / (beta - m) * (np.exp(-m * depth_mm) - np.exp(-beta * depth_mm))
        return doses

    def weight(self, off_axis_mm: Array) -> Array:
        """Return the fluence that a unit of opening lets through, by distance from the axis in the isocentre plane.

        Where bixels are squares across their own axis, as pyRadPlan has them, those off the axis overlap: the weight
        is then the Jacobian of their tilt, (1 + r²/SAD²)^(3/2), and no primary fluence is applied.
        """
        return self.tilt(off_axis_mm) if self.pyradplan_conventions else self.primary_fluence(off_axis_mm)

    def bixel_weight(self, centres_mm: Array) -> Array:
        """Return the fluence in a bixel (n, 2) of unit fluence that is a square across its own axis, as K has it."""
        off_axis = np.hypot(*centres_mm.T)
        return np.ones(len(off_axis)) if self.pyradplan_conventions else self.weight(off_axis) / self.tilt(off_axis)

    def primary_fluence(self, off_axis_mm: Array) -> Array:
        """Return the primary fluence by distance from the axis in the isocentre plane, relative to the axis."""
        profile: Array = np.interp(off_axis_mm, self.radius_mm, self.relative_fluence)
        return profile

    @property
    def pyradplan_conventions(self) -> bool:
        """Whether bixels, depth and fluence are as pyRadPlan has them."""
        return self.kernels.pencils_only

    def tilt(self, off_axis_mm: Array) -> Array:
        """Return the area in the isocentre plane over that across a ray's own axis, (1 + r²/SAD²)^(3/2)."""
        area: Array = (1 + (off_axis_mm / self.sad_mm) ** 2) ** 1.5
        return area


def beam_model_named(name: str) -> BeamModel:
    """Return a beam model.

    Raises
    ------
    ValueError
        If there is none of this name.
    """
    if name not in BEAM_MODELS:
        raise ValueError(f"unknown beam model {name!r}: choose from {', '.join(BEAM_MODELS)}")
    return _read(name)


@cache
def _read(name: str) -> BeamModel:
    folder = files(__package__)
    text = (folder / f"{name}.yaml").read_bytes()
    data = parse_yaml(text.decode())
    tables = b""
    kernels: Kernels
    if isinstance(data["kernels"], str):
        tables = (folder / data["kernels"]).read_bytes()
        with np.load(io.BytesIO(tables), allow_pickle=False) as arrays:
            kernels = SampledKernels(
                ssd_mm=arrays["ssd_mm"],
                radius_mm=arrays["radius_mm"],
                kernels=arrays["kernels"],
                penumbra_fwhm_mm=float(data["penumbra_fwhm_mm"]),
                cutoff_mm=float(data["lateral_cutoff_mm"]),
            )
    else:
        kernels = _gaussian(data)
    return BeamModel(
        name=data["name"],
        sad_mm=float(data["sad_mm"]),
        attenuation_per_mm=float(data["attenuation_per_mm"]),
        build_up_per_mm=np.array(data["build_up_per_mm"], dtype=float),
        kernels=kernels,
        radius_mm=np.array(data["primary_fluence"]["radius_mm"], dtype=float),
        relative_fluence=np.array(data["primary_fluence"]["relative"], dtype=float),
        mlc_transmission=float(data["mlc_transmission"]),
        monitor_units_per_fluence=float(data["monitor_units_per_fluence"]),
        lateral_cutoff_mm=data["lateral_cutoff_mm"],
        digest=hashlib.sha256(text + tables).hexdigest(),
    )


def _gaussian(data: Mapping[str, Any]) -> GaussianKernels:
    kernels, head = data["kernels"], data["head_scatter"]
    return GaussianKernels(
        sigma_mm=np.array(kernels["sigma_mm"], dtype=float),
        weight=np.array(kernels["weight"], dtype=float),
        reference_ssd_mm=float(kernels["ssd_mm"]),
        scaling_depth_mm=float(kernels["scaling_depth_mm"]),
        source_sigma_mm=float(data["source_sigma_mm"]),
        head_share=float(head["share"]),
        head_sigma_mm=float(head["sigma_mm"]),
    )
