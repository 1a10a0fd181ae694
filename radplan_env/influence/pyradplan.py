"""K by pyRadPlan itself: the reference that our own engine is compared with."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from tqdm import tqdm

from radplan_env.beams import Bixels
from radplan_env.grid import Grid
from radplan_env.influence.setup import Matrix, Setup
from radplan_env.reference import require_pyradplan

MACHINE, ENERGY_MV = "Generic", 6.0
"""pyRadPlan's name of the linac that beam model `matrad-generic` comes from."""


def compute(setup: Setup, progress: bool) -> Matrix:
    """Have pyRadPlan compute K with its default settings; see `radplan_env.influence.ENGINES`.

    pyRadPlan samples the body's mask on the dose grid by nearest neighbour: rows of K that it does not count as body
    stay empty.

    Raises
    ------
    ValueError
        If the bixels' lattice is moved or turned, which pyRadPlan cannot do.
    """
    require_pyradplan("engine 'pyradplan'")
    _check(setup)
    import pyRadPlan  # takes seconds to import

    with _quietly(setup.title, progress):
        ct, structures, plan = problem(setup)
        steering = pyRadPlan.generate_stf(ct, structures, plan)
        dij = pyRadPlan.calc_dose_influence(ct, structures, steering, plan)
    matrix = sparse.csr_array(dij.physical_dose.flat[0].tocsr()[setup.rows])
    return matrix, _bixels(setup, steering, dij)


def _bixels(setup: Setup, steering: Any, dij: Any) -> Bixels:
    """Return what the columns of pyRadPlan's matrix are: rays of its steering, by their number within the beam."""
    beam, ray = np.asarray(dij.beam_num, dtype=np.int64), np.asarray(dij.ray_num, dtype=np.int64)
    rays = [np.array([each.ray_pos_bev[[0, 2]] for each in beam.rays]) for beam in steering.beams]
    centres_mm = np.array([rays[b][r] for b, r in zip(beam, ray, strict=True)])
    return Bixels(beam, np.rint(centres_mm / setup.bixel_mm).astype(np.int64), setup.bixel_mm)


def _check(setup: Setup) -> None:
    if setup.bixel_offset != (0.0, 0.0) or any(beam.collimator_deg != 0 for beam in setup.beams):
        raise ValueError(
            "pyRadPlan centres bixels on the central axis, along the gantry's axes: engine 'pyradplan' needs a bixel "
            "offset and collimator angles of 0; use engine 'radplan' for others"
        )


def problem(setup: Setup) -> tuple[Any, Any, Any]:
    """Return a setup as pyRadPlan's CT, structures and plan."""
    import pyRadPlan

    ct = pyRadPlan.CT(cube_hu=_image(setup.ct_hu, setup.grid))
    plan = pyRadPlan.PhotonPlan(machine=MACHINE)
    plan.prop_stf = {
        "gantry_angles": [beam.gantry_deg for beam in setup.beams],
        "couch_angles": [beam.couch_deg for beam in setup.beams],
        "bixel_width": setup.bixel_mm,
        "energy": ENERGY_MV,
    }
    plan.prop_dose_calc = {"dose_grid": _pyradplan_grid(setup.dose_grid)}
    return ct, _structures(setup, ct), plan


def _structures(setup: Setup, ct: Any) -> Any:
    import pyRadPlan

    masks = {"Body": ("EXTERNAL", setup.body), "PTV": ("TARGET", setup.target)}
    return pyRadPlan.validate_cst(
        {
            "vois": [
                {"name": name, "voi_type": kind, "ct_image": ct, "mask": _image(mask.astype(np.uint8), setup.grid)}
                for name, (kind, mask) in masks.items()
            ],
            "ct_image": ct,
        },
        ct=ct,
    )


def _image(array: NDArray[Any], grid: Grid) -> Any:
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(array)
    image.SetSpacing(grid.spacing_mm[::-1])
    image.SetOrigin(grid.origin_mm[::-1])
    return image


def _pyradplan_grid(grid: Grid) -> Any:
    from pyRadPlan.core import Grid as PyRadPlanGrid

    z, y, x = grid.spacing_mm
    return PyRadPlanGrid(
        resolution={"x": x, "y": y, "z": z}, dimensions=grid.shape[::-1], origin=np.array(grid.origin_mm[::-1])
    )


@contextmanager
def _quietly(title: str, progress: bool) -> Iterator[None]:
    """Show one progress bar over all beams instead of pyRadPlan's nested ones and its warnings."""
    from pyRadPlan.core._progress import ProgressReport, ProgressReporter, observe_reports

    layout = "{desc} {percentage:3.0f}% {bar} {elapsed}"
    bar = tqdm(total=1.0, desc=title, disable=not progress, leave=False, bar_format=layout)

    def show(report: Any) -> None:
        if isinstance(report, ProgressReport) and report.levels:
            done, share = 0.0, 1.0
            for level in report.levels:
                share /= max(level.total or 1, 1)
                done += level.current * share
            bar.update(max(done - bar.n, 0.0))

    console, ProgressReporter.console_progress = ProgressReporter.console_progress, False
    try:
        with bar, observe_reports(show), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        ProgressReporter.console_progress = console


logging.getLogger("pyRadPlan").setLevel(logging.ERROR)
