"""The dose-influence matrix of a case and its beams: fidelity, engines, and the one function that computes it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from radplan_env.beam_models import beam_model_named
from radplan_env.beams import Beam, Bixels
from radplan_env.case import Case
from radplan_env.errors import CaseError
from radplan_env.grid import Grid
from radplan_env.influence import pencil_beam, pyradplan
from radplan_env.influence.bixels import centre_of_mass
from radplan_env.influence.cache import cached
from radplan_env.influence.rows import Rows, Sampling, rows_of_grid, sampled_rows
from radplan_env.influence.setup import LATERAL_CUTOFF_MM, Engine, Mask, Matrix, Setup
from radplan_env.reference import require_pyradplan

ENGINES: dict[str, Engine] = {"radplan": pencil_beam.compute, "pyradplan": pyradplan.compute}
"""By name: our compiled pencil beam, and pyRadPlan's, the reference it is compared with. One model, one set of beam
data. Another engine is one more entry."""

_FORMAT = 3  # of what the engines compute and the cache's files hold; part of every key


@dataclass(frozen=True)
class Fidelity:
    """How finely dose and fluence are resolved.

    Parameters
    ----------
    name : str
    dose_grid_mm : float
        Spacing of the isotropic dose grid, on which doses are shown.
    bixel_mm : float
        Width of a bixel in the isocentre plane.
    bixel_offset : tuple of float
        How far (x, z) the bixels' lattice is moved off the central axis, in bixel widths; (0, 0.5) puts edges where
        the leaf boundaries of a multileaf collimator are whose leaves meet on the axis.
    sampling : Sampling, optional
        Which points the inner loop sees; by default every voxel of the body on the dose grid.
    cutoff_mm : float
        How far from a bixel's axis, in the isocentre plane, K has dose.

    Raises
    ------
    ValueError
        If the dose grid is not at least 0.5 and the bixel not at least 1 mm, or the offset not finite.
    """

    name: str
    dose_grid_mm: float
    bixel_mm: float
    bixel_offset: tuple[float, float] = (0.0, 0.0)
    sampling: Sampling | None = None
    cutoff_mm: float = LATERAL_CUTOFF_MM

    def __post_init__(self) -> None:
        if not (0.5 <= self.dose_grid_mm < np.inf and 1.0 <= self.bixel_mm < np.inf):
            raise ValueError(
                f"fidelity {self.name!r}: a dose grid of {self.dose_grid_mm} mm and bixels of {self.bixel_mm} mm; "
                "the grid needs at least 0.5 mm, bixels at least 1 mm"
            )
        offset = tuple(float(fraction) for fraction in self.bixel_offset)
        if len(offset) != 2 or not np.isfinite(offset).all():
            raise ValueError(f"fidelity {self.name!r}: a bixel offset is two finite numbers, got {self.bixel_offset}")
        object.__setattr__(self, "bixel_offset", offset)


_SPARSE = Sampling(target_mm=5.0, near_mm=5.0, far_mm=10.0)

FIDELITIES = {
    "coarse": Fidelity("coarse", 10.0, 12.0, sampling=Sampling(fine_mm=5.0, target_mm=5.0, near_mm=10.0, far_mm=20.0)),
    "fast": Fidelity("fast", dose_grid_mm=5.0, bixel_mm=8.0, sampling=_SPARSE),
    "standard": Fidelity("standard", dose_grid_mm=4.0, bixel_mm=5.0, sampling=_SPARSE),
    "paper": Fidelity("paper", dose_grid_mm=2.5, bixel_mm=5.0, sampling=Sampling(target_mm=2.5, far_mm=7.5)),
}
"""By name: what optimising may cost, from `coarse`, for training, to `paper`. Plans of all are judged alike."""


@dataclass(frozen=True, eq=False)
class DoseInfluence:
    """K and what its rows and columns are.

    Parameters
    ----------
    matrix : scipy.sparse.csr_array of float32, shape (voxels, bixels)
        Gy per unit fluence.
    grid : Grid
        The dose grid.
    body : ndarray of int, shape (voxels,)
        Flat (C-order) index on `grid` of each row, in ascending order.
    beams : tuple of Beam
    bixels : Bixels
        What each column is.
    """

    matrix: sparse.csr_array
    grid: Grid
    body: NDArray[np.int64]
    beams: tuple[Beam, ...]
    bixels: Bixels

    def volume(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Return values per row as an array on the dose grid, 0 outside the body."""
        volume = np.zeros(self.grid.shape, dtype=np.float32)
        volume.flat[self.body] = values
        return volume


def fidelity_named(name: str | Fidelity) -> Fidelity:
    """Return the fidelity of this name.

    Raises
    ------
    ValueError
        If there is none.
    """
    if isinstance(name, Fidelity):
        return name
    if name not in FIDELITIES:
        raise ValueError(f"unknown fidelity {name!r}: choose from {', '.join(FIDELITIES)}")
    return FIDELITIES[name]


def dose_grid(case: Case, fidelity: str | Fidelity) -> Grid:
    """Return the dose grid of a case: isotropic, over the extent of its CT."""
    return case.grid.coarsened(fidelity_named(fidelity).dose_grid_mm)


def rows_of(
    case: Case, targets: Sequence[str], fidelity: str | Fidelity, masks: Mapping[str, Mask] | None = None
) -> Rows:
    """Return what the inner loop sees of a case.

    Parameters
    ----------
    case : Case
    targets : sequence of str
        Structures (names in the case) that the beams are to cover.
    fidelity : str or Fidelity
    masks : Mapping of str to ndarray of bool, optional
        What rows are to be members of; see `sampled_rows`.
    """
    fidelity = fidelity_named(fidelity)
    if fidelity.sampling is None:
        return rows_of_grid(case, dose_grid(case, fidelity), masks)
    return sampled_rows(case, targets, fidelity.sampling, masks)


def default_cache_dir() -> Path | None:
    """Return where matrices are kept: below RADPLAN_CACHE_DIR if it is set, else nowhere.

    One takes 6 bytes per entry, 100 MB for a pelvis at `fast`, and about as long to write as to compute with our
    engine: worth it for `paper`, for pyRadPlan's engine and for cases that come back often, not for training.
    """
    directory = os.environ.get("RADPLAN_CACHE_DIR")
    return Path(directory) / "influence" if directory else None


def influence(
    case: Case,
    gantry_angles_deg: Sequence[float],
    targets: Sequence[str],
    fidelity: str | Fidelity = "standard",
    *,
    rows: Rows | None = None,
    collimator_angles_deg: float | Sequence[float] = 0.0,
    beam_model: str = "matrad-generic",
    engine: str = "radplan",
    cache_dir: str | Path | None = None,
    progress: bool = True,
) -> DoseInfluence:
    """Return the dose-influence matrix of a case, from the cache or computed now.

    Parameters
    ----------
    case : Case
    gantry_angles_deg : sequence of float
        Angles of the coplanar beams; beams of one angle differ in their collimators'.
    targets : sequence of str
        Structures (names in the case) that the beams are to cover; the isocentre is their common centre of mass.
    fidelity : str or Fidelity
    rows : Rows, optional
        What K's rows are; by default `rows_of` the case at this fidelity.
    collimator_angles_deg : float or sequence of float
        Of all beams, or one for each.
    beam_model : str
        One of `radplan_env.beam_models.BEAM_MODELS`.
    engine : str
        One of `ENGINES`; pyRadPlan's computes `matrad-generic` only.
    cache_dir : str or Path, optional
        Where matrices are kept and looked for; `default_cache_dir()` if not given. Where it cannot be written to,
        a warning says so and nothing is kept.
    progress : bool
        Show a progress bar.

    Returns
    -------
    DoseInfluence

    Raises
    ------
    ValueError
        If the angles, the fidelity, the beam model or the engine are not as above.
    CaseError
        If a target is missing.
    """
    if engine not in ENGINES:
        raise ValueError(f"unknown engine {engine!r}: choose from {', '.join(ENGINES)}")
    if engine == "pyradplan" and beam_model != "matrad-generic":
        raise ValueError(f"pyRadPlan's engine computes beam model matrad-generic, not {beam_model!r}")
    if engine == "pyradplan" and fidelity_named(fidelity).cutoff_mm != LATERAL_CUTOFF_MM:
        raise ValueError(f"pyRadPlan's engine has dose up to {LATERAL_CUTOFF_MM:g} mm from a bixel's axis, no other")
    setup = setup_of(case, gantry_angles_deg, targets, fidelity, collimator_angles_deg, beam_model, rows)
    directory = default_cache_dir() if cache_dir is None else Path(cache_dir)

    def build() -> Matrix:
        return ENGINES[engine](setup, progress)

    matrix, bixels = build() if directory is None else cached(directory / f"{_key(setup, engine)}.npz", build)
    return DoseInfluence(matrix, setup.dose_grid, setup.rows, setup.beams, bixels)


def setup_of(
    case: Case,
    gantry_angles_deg: Sequence[float],
    targets: Sequence[str],
    fidelity: str | Fidelity,
    collimator_angles_deg: float | Sequence[float] = 0.0,
    beam_model: str = "matrad-generic",
    rows: Rows | None = None,
) -> Setup:
    """Return what engines compute K from; arguments and errors as `influence`."""
    fidelity = fidelity_named(fidelity)
    angles = _checked_angles(gantry_angles_deg)
    collimators = _checked_collimators(collimator_angles_deg, len(angles))
    if len({(a % 360, c % 360) for a, c in zip(angles, collimators, strict=True)}) < len(angles):
        raise ValueError(f"two beams share a gantry and a collimator angle: {angles}")
    if missing := [name for name in targets if name not in case.structures] or not targets:
        raise CaseError(f"case {case.id!r}: no target to aim at: {missing or 'none given'}")
    rows = rows_of(case, targets, fidelity) if rows is None else rows
    target = _union(case, targets)
    model = beam_model_named(beam_model)
    isocentre_mm = centre_of_mass(target, case.grid)
    return Setup(
        title=f"dose influence of {case.id}",
        model=model,
        ct_hu=case.ct_hu,
        body=case.structures["Body"],
        target=target,
        grid=case.grid,
        dose_grid=rows.grid,
        rows=rows.index,
        points_mm=rows.points_mm,
        beams=tuple(Beam(a, isocentre_mm, model.sad_mm, c) for a, c in zip(angles, collimators, strict=True)),
        bixel_mm=fidelity.bixel_mm,
        bixel_offset=fidelity.bixel_offset,
        cutoff_mm=fidelity.cutoff_mm,
    )


def _checked_angles(gantry_angles_deg: Sequence[float]) -> tuple[float, ...]:
    angles = tuple(float(angle) for angle in gantry_angles_deg)
    if not angles or not np.isfinite(angles).all():
        raise ValueError(f"gantry angles must be one finite number or more, in degrees; got {gantry_angles_deg!r}")
    return angles


def _checked_collimators(angles_deg: float | Sequence[float], beams: int) -> tuple[float, ...]:
    given = (angles_deg,) * beams if isinstance(angles_deg, int | float) else angles_deg
    angles = tuple(float(angle) for angle in given)
    if len(angles) != beams or not np.isfinite(angles).all():
        raise ValueError(f"collimator angles must be one finite number, or one for each beam; got {angles_deg!r}")
    return angles


def _pyradplan_version() -> str:
    require_pyradplan("engine 'pyradplan'")
    return version("pyRadPlan")


def _key(setup: Setup, engine: str) -> str:
    """Hash of everything K depends on; not of organs, names or the case's id."""
    machine = setup.model.digest if engine == "radplan" else _pyradplan_version()
    geometry = (setup.grid, setup.dose_grid, setup.beams, setup.bixel_mm, setup.bixel_offset, setup.cutoff_mm)
    digest = hashlib.sha256(repr((_FORMAT, engine, machine, geometry)).encode())
    digest.update(setup.rows.tobytes())
    digest.update(setup.points_mm.tobytes())
    digest.update(setup.ct_hu.tobytes())
    for mask in (setup.body, setup.target):
        digest.update(np.packbits(mask).tobytes())
    return digest.hexdigest()


def _union(case: Case, names: Sequence[str]) -> Mask:
    union: Mask = np.logical_or.reduce([case.structures[name] for name in names])
    return union
