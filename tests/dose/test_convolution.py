"""Fluence convolved with lateral kernels, part by part, is what a sum over all cells says."""

from __future__ import annotations

import numpy as np
import pytest

from radplan_env.beam_models import beam_model_named
from radplan_env.beam_models.gaussian import GaussianKernels
from radplan_env.beam_models.lattice import Window

SSD_MM = 850.0
FINE = {
    "points around the fluence": Window(1.0, (20, 31), (150, 90)),
    "points within the fluence": Window(1.0, (40, 30), (7, 12)),
}
WINDOWS = {**FINE, "a coarse lattice": Window(2.0, (15, 20), (60, 80))}


@pytest.fixture
def kernels() -> GaussianKernels:
    kernels = beam_model_named("generic-6x").kernels
    assert isinstance(kernels, GaussianKernels)
    return kernels


@pytest.mark.parametrize("window", FINE.values(), ids=list(FINE))
def test_planes_are_sums_of_gaussians_over_all_cells(kernels: GaussianKernels, window: Window) -> None:
    places = np.arange(-window.cells[0], 11), np.arange(-3, window.cells[1] + 1)
    cells = np.random.default_rng(0).gamma(1.0, 1.0, tuple(map(len, places)))
    planes = kernels.convolution(window, SSD_MM, None).planes(cells, places)
    assert planes.shape[:2] == window.shape

    variances, weights = kernels.gaussians(SSD_MM)
    expected = np.zeros_like(planes, dtype=float)
    for variance, weight in zip(variances.ravel(), weights.reshape(len(weights), -1).T, strict=True):
        variance -= window.spacing_mm**2 / 4
        along = []
        for reach, at in zip(window.points, places, strict=True):
            away_mm = window.spacing_mm * (np.arange(-reach, reach + 1)[:, None] - at)
            along.append(np.exp(-(away_mm**2) / (2 * variance)) / np.sqrt(2 * np.pi * variance))
        expected += (window.spacing_mm**2 * along[0] @ cells @ along[1].T)[..., None] * weight
    np.testing.assert_allclose(planes, expected, rtol=0, atol=3e-6 * expected.max())


@pytest.mark.parametrize("model", ["generic-6x", "matrad-generic"])
@pytest.mark.parametrize("window", WINDOWS.values(), ids=list(WINDOWS))
def test_the_adjoint_of_planes(model: str, window: Window) -> None:
    rng = np.random.default_rng(0)
    places = np.arange(-5, window.cells[0] + 1), np.arange(-window.cells[1], 4)
    convolution = beam_model_named(model).kernels.convolution(window, SSD_MM, 8.0)
    cells, values = rng.random(tuple(map(len, places))), rng.random((*window.shape, convolution.components))
    forward = np.vdot(convolution.planes(cells, places), values)
    assert np.vdot(cells, convolution.back(values, places)) == pytest.approx(forward, rel=1e-5)
