"""The dose of a known fluence or aperture at any points, without a dose-influence matrix.

prepared   `prepare` traces beams to points; `Prepared` computes dose there, and its adjoint
raster     fluence as rectangles, apertures, and their way onto a lattice
gather     compiled kernels
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from radplan_env.beam_models import BeamModel
from radplan_env.beams import Beam, Bixels
from radplan_env.case import Case
from radplan_env.dose.prepared import Prepared, prepare
from radplan_env.dose.raster import Raster, aperture

__all__ = ["Prepared", "Raster", "aperture", "dose_at", "prepare"]


def dose_at(
    case: Case,
    beams: Sequence[Beam],
    fluence: NDArray[np.float64] | Sequence[Raster],
    points_mm: NDArray[np.float64],
    *,
    bixels: Bixels | None = None,
    beam_model: str | BeamModel = "generic-6x",
    prepared: Prepared | None = None,
) -> NDArray[np.float32]:
    """Return the dose of a known fluence at points.

    Parameters
    ----------
    case : Case
    beams : sequence of Beam
    fluence : ndarray, shape (bixels,), or sequence of Raster
        One value a bixel, or one raster (such as an aperture, times its units of fluence) a beam.
    points_mm : ndarray, shape (points, 3)
        (z, y, x) in patient coordinates.
    bixels : Bixels, optional
        What the values of `fluence` belong to; not for rasters.
    beam_model : str or BeamModel
    prepared : Prepared, optional
        What `prepare` returned for the same case, beams, points and model; it is computed anew if not given.

    Returns
    -------
    ndarray of float32, shape (points,)
        In Gy.

    Raises
    ------
    ValueError
        If a point lies outside the CT; if the fluence is negative or not finite or does not belong to the bixels and
        beams; if `prepared` belongs to another case, other beams or points.
    """
    if prepared is None:
        prepared = prepare(case, beams, points_mm, beam_model=beam_model)
    elif (prepared.case_id, prepared.beams) != (case.id, tuple(beams)):
        raise ValueError(f"what was prepared belongs to case {prepared.case_id!r} or other beams, not to {case.id!r}")
    elif not np.array_equal(prepared.points_mm, points_mm):
        raise ValueError(f"what was prepared for case {case.id!r} belongs to other points")
    if bixels is None:
        return prepared.dose([*fluence])
    return prepared.dose_of_bixels(bixels, np.asarray(fluence))
