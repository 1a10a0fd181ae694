"""Fit `generic-6x`: how the numbers of its YAML file were found.

The prior is the kernels of matrad-generic at SSD 900 mm, written as Gaussians of fixed widths (least squares of the
dose within a radius). Weights, attenuation, build-up and the head's share are then fitted together to published output
factors and depth doses on the central axis, each with the uncertainty given here, while the prior holds the rest.
Printed are the values as the file has them, scaled to 1 Gy per unit of fluence at the maximum of a 10x10 cm field at
SSD 1000 mm. Sources: benchmarks/physics.py.

  python benchmarks/fit_beam_model.py
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# Run as a script: find our packages from any directory.
if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from radplan_env.beam_models import beam_model_named
from radplan_env.beam_models.sampled import SampledKernels

Array = NDArray[np.float64]

SIGMA_MM = np.array([0.0, 1.0, 5.0, 23.0, 75.0])
SOURCE_SIGMA_MM, HEAD_SIGMA_MM = 2.123, 25.0
SCALING_DEPTH_MM = 100.0

# Side of a square field in mm: output at 100 mm depth over that of 100 mm, and its uncertainty.
OUTPUT = {20: (0.777, 0.012), 30: (0.831, 0.004), 40: (0.8665, 0.004), 60: (0.922, 0.004), 200: (1.095, 0.008)}
TRUEBEAM_OUTPUT = {30: (0.828, 0.01), 40: (0.855, 0.01), 60: (0.904, 0.015), 80: (0.954, 0.01)}
# Depth in mm: % of the maximum of a field of 100 mm at SSD 1000 mm.
DEPTH_DOSE = {50: (86.4, 0.4), 100: (67.3, 0.2), 150: (51.2, 0.4), 200: (38.8, 0.3)}
OUTSIDE = (2.8, 0.4)  # % of the axis, 40 mm outside a field of 100 mm, 100 mm deep

MATRAD = beam_model_named("matrad-generic")
CELLS = np.arange(-260, 261) * 1.0
PRIMARY = MATRAD.primary_fluence(np.hypot(CELLS[:, None], CELLS))


@dataclass(frozen=True)
class Fit:
    """Weights (components, gaussians), m, β and h."""

    weight: Array
    attenuation: float
    build_up: Array
    head_share: float

    @classmethod
    def of(cls, vector: Array) -> Fit:
        return cls(vector[:15].reshape(3, 5), float(vector[15]), vector[16:19], float(vector[19]))

    def dose(self, side_mm: float, ssd_mm: float, depth_mm: float, x_mm: float = 0.0) -> float:
        """Dose at x in the isocentre plane per unit of fluence in a square field."""
        m, beta = self.attenuation, self.build_up
        depth_dose = beta / (beta - m) * (np.exp(-m * depth_mm) - np.exp(-beta * depth_mm))
        source, head = spread(side_mm, ssd_mm, x_mm)
        lateral = self.weight @ ((1 - self.head_share) * source + self.head_share * head)
        return float((1000 / (ssd_mm + depth_mm)) ** 2 * depth_dose @ lateral)

    def output(self, side_mm: float) -> float:
        return self.dose(side_mm, 900, 100) / self.dose(100, 900, 100)

    def maximum(self) -> float:
        return max(self.dose(100, 1000, depth) for depth in range(12, 19))


@cache
def spread(side_mm: float, ssd_mm: float, x_mm: float) -> Array:
    """Integral of each Gaussian over a square field with its primary fluence, shape (sources, gaussians)."""
    scale = 1000 / (ssd_mm + SCALING_DEPTH_MM)
    covered = np.clip(np.minimum(CELLS + 0.5, side_mm / 2) - np.maximum(CELLS - 0.5, -side_mm / 2), 0, 1)

    def gaussian(sigma: float, centre: float) -> Array:
        bell: Array = np.exp(-((CELLS - centre) ** 2) / 2 / sigma**2) / np.sqrt(2 * np.pi) / sigma
        return bell

    return np.array(
        [
            [
                (covered * gaussian(total, x_mm)) @ PRIMARY @ (covered * gaussian(total, 0.0))
                for total in np.hypot(scale * SIGMA_MM, source)
            ]
            for source in (SOURCE_SIGMA_MM, HEAD_SIGMA_MM)
        ]
    )


def prior_weights() -> Array:
    """matrad-generic's kernels at SSD 900 mm as Gaussians, by the dose within radii and between them."""
    kernels = MATRAD.kernels
    assert isinstance(kernels, SampledKernels)
    along = 0.5 * np.arange(-360, 361)
    radius = np.hypot(along[:, None], along).ravel()
    edges = np.concatenate([[0.25], np.geomspace(0.75, 179.5, 60)])
    within = 1 - np.exp(-(edges[:, None] ** 2) / 2 / np.maximum(SIGMA_MM, 1e-3) ** 2)
    weights = []
    for kernel in kernels.kernels_at(900.0):
        sampled = np.interp(radius, kernels.radius_mm, kernel, right=0.0) * 0.5**2
        dose = np.array([sampled[radius <= edge].sum() for edge in edges])
        left = np.vstack([within, 8 * np.diff(within, axis=0)])
        weights.append(np.linalg.lstsq(left, np.concatenate([dose, 8 * np.diff(dose)]), rcond=None)[0])
    return np.array(weights)


def main() -> None:
    prior = prior_weights()
    start = np.concatenate([prior.ravel(), [0.0048, *MATRAD.build_up_per_mm, 0.02]])

    def residuals(vector: Array) -> Array:
        fit = Fit.of(vector)
        maximum = fit.maximum()
        parts = [(fit.output(side) - value) / error for side, (value, error) in OUTPUT.items()]
        parts += [(fit.output(side) - value) / error for side, (value, error) in TRUEBEAM_OUTPUT.items()]
        parts += [
            (100 * fit.dose(100, 1000, depth) / maximum - value) / error for depth, (value, error) in DEPTH_DOSE.items()
        ]
        outside = 100 * fit.dose(100, 900, 100, 90.0) / fit.dose(100, 900, 100)
        parts.append((outside - OUTSIDE[0]) / OUTSIDE[1])
        before, at, after = (fit.dose(100, 1000, depth) for depth in (12, 15, 18))
        parts.append((before - after) / at / 0.004)  # the maximum lies at 15 mm
        parts += [*((fit.weight - prior).ravel() / 0.03)]
        parts += [(fit.attenuation - 0.0048) / 0.0004, (fit.head_share - 0.02) / 0.005]
        parts += [*((fit.build_up - [0.3252, 0.016, 0.0055]) / [0.03, 0.002, 0.0005])]
        return np.array(parts)

    scale = np.maximum(abs(start), 1e-3) * 0.1 + 1e-4
    found = Fit.of(optimize.least_squares(residuals, start, x_scale=scale).x)
    build_up = np.array([round(beta, digits) for beta, digits in zip(found.build_up, (3, 5, 5), strict=True)])
    rounded = Fit(found.weight, round(found.attenuation, 5), build_up, round(found.head_share, 3))
    per_fluence = max(rounded.dose(100, 1000, float(depth)) for depth in np.arange(13, 18, 0.05))
    print(f"attenuation_per_mm: {rounded.attenuation:g}")
    print(f"build_up_per_mm: {rounded.build_up.tolist()}")
    print("kernels.weight:", *(row.round(5).tolist() for row in rounded.weight / per_fluence), sep="\n  ")
    print(f"head_scatter.share: {rounded.head_share:g}")


if __name__ == "__main__":
    main()
