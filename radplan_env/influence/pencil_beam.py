"""K by the singular-value decomposed pencil beam (Bortfeld, Schlegel & Rhein, Med. Phys. 20, 311, 1993).

The dose of a bixel at a voxel is ∑ₖ Dₖ(d) · Kₖ(x, z) · (SAD / r)²: depth doses Dₖ of the radiological depth d, times
lateral kernels Kₖ convolved with the bixel and the penumbra, of the voxel's distance from the bixel's axis brought
to the isocentre plane, times the inverse square of the distance r to the source. With the beam model `matrad-generic`,
same data and conventions as pyRadPlan's `PhotonPencilBeamSVDEngine`, on which tests check it entry by entry; compiled,
and by row of K instead of by column, so that every core fills rows of its own and the result does not depend on how
many there are.

Every entry within the lateral cutoff is kept: no threshold, no sampling.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from tqdm import tqdm

from radplan_env.beam_models import BeamModel
from radplan_env.beam_models.lattice import BIXEL_TABLE_MM
from radplan_env.beams import Beam, Bixels
from radplan_env.compiled import compiled
from radplan_env.grid import resample
from radplan_env.influence.bixels import bixels_covering_target
from radplan_env.influence.depth import radiological_depth
from radplan_env.influence.setup import LATERAL_CUTOFF_MM, Matrix, Setup
from radplan_env.threads import SLICES, run_in_slices
from radplan_env.tracing import body_density, depths, electron_density, surface_distance_mm

Table = NDArray[np.float32]


def goes_beyond_k(model: BeamModel) -> bool:
    """Whether a model's dose reaches further from a bixel's axis than K's."""
    return model.lateral_cutoff_mm is None or model.lateral_cutoff_mm > LATERAL_CUTOFF_MM


def compute(setup: Setup, progress: bool) -> Matrix:
    """Compute K; see `radplan_env.influence.ENGINES`."""
    model, beams, bixels = setup.model, setup.beams, bixels_covering_target(setup)
    points = np.empty((setup.rows.size, len(beams), 2 + model.build_up_per_mm.size), dtype=np.float32)
    tables = []
    bar = tqdm(total=len(beams) + SLICES, desc=setup.title, disable=not progress, leave=False)
    with bar:
        for b, (depth, ssd_mm) in enumerate(row_depths(setup, bixels)):
            beam = beams[b]
            across, away, along = beam.from_source(*setup.points_mm.T)
            across, along = beam.onto_collimator(across, along)
            seen = np.stack([across, away, along])
            _write_depth_doses(seen, depth, beam.sad_mm, model, points[:, b])
            tables.append(model.kernels.bixel_tables(setup.bixel_mm, ssd_mm, setup.cutoff_mm))
            bar.update()
        weight = model.bixel_weight(bixels.centres_mm)
        return _assemble(points, beams, bixels, weight, tables, setup.cutoff_mm, bar), bixels


def row_depths(setup: Setup, bixels: Bixels) -> Iterator[tuple[NDArray[np.float32], float]]:
    """Depth of every row and the source-surface distance, by beam; as the model takes them."""
    if setup.model.pyradplan_conventions:
        density = np.where(setup.body, electron_density(setup.ct_hu), 0.0)
        density = resample(density, setup.grid, setup.dose_grid)
        for b, beam in enumerate(setup.beams):
            positions = bixels.centres_mm[bixels.of_beam(b)]
            depth, ssd_mm = radiological_depth(density, setup.dose_grid, beam, positions, setup.cutoff_mm)
            yield depth.ravel()[setup.rows], ssd_mm
    else:
        density, grid = body_density(setup.ct_hu, setup.body, setup.grid)
        for beam in setup.beams:
            yield depths(density, grid, beam, setup.points_mm), surface_distance_mm(density, grid, beam)


def _write_depth_doses(
    seen: NDArray[np.float64], depth: NDArray[np.float32], sad_mm: float, model: BeamModel, out: Table
) -> None:
    def write(_: int, start: int, stop: int) -> None:
        kernels = model.attenuation_per_mm, model.build_up_per_mm
        _depth_doses(seen[:, start:stop], depth[start:stop], sad_mm, *kernels, out[start:stop])

    run_in_slices(write, depth.size)


def _assemble(
    points: Table,
    beams: Sequence[Beam],
    bixels: Bixels,
    weight: NDArray[np.float64],
    tables: list[tuple[Table, float]],
    cutoff_mm: float,
    bar: tqdm[Any],
) -> sparse.csr_array:
    """Fill K by slices of rows: first count the entries of each row, then write them in order."""
    sad_mm = beams[0].sad_mm
    runs, beam_runs = _runs(bixels, len(beams))
    directions = _directions(bixels, sad_mm).astype(np.float32)
    reach = np.array([_reach_mm(bixels.centres_mm[bixels.of_beam(b)], sad_mm, cutoff_mm) for b in range(len(beams))])
    geometry = (runs, beam_runs, directions, reach, cutoff_mm, bixels.width_mm, np.array(bixels.offset), sad_mm)
    indptr = np.zeros(len(points) + 1, dtype=np.int64)
    counts = indptr[1:]
    run_in_slices(lambda _, start, stop: _count(points[start:stop], *geometry, counts[start:stop]), len(points))
    indptr = np.cumsum(indptr)
    data = np.empty(indptr[-1], dtype=np.float32)
    indices = np.empty(indptr[-1], dtype=np.int32)
    stacked = np.stack([table for table, _ in tables])
    first_mm = tables[0][1]
    weight = weight.astype(np.float32)

    def fill(_: int, start: int, stop: int) -> None:
        _fill(points[start:stop], *geometry, weight, stacked, first_mm, indptr[start:stop], indices, data)
        bar.update()

    run_in_slices(fill, len(points))
    if indptr[-1] <= np.iinfo(np.int32).max:
        indptr = indptr.astype(np.int32)  # SciPy would copy the indices to the wider type
    return sparse.csr_array((data, indices, indptr), shape=(len(points), len(bixels)))


def _runs(bixels: Bixels, beams: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Bixels, which lie beam by beam as `bixels_covering_target` orders them, as unbroken runs along z.

    Returns
    -------
    runs : ndarray, shape (runs, 4)
        Place (x, z) of the first bixel of each run, how many there are, and the column of the first.
    beam_runs : ndarray, shape (beams + 1,)
        Where each beam's runs begin.
    """
    runs: list[NDArray[np.int64]] = []
    beam_runs = [0]
    for beam in range(beams):
        columns = bixels.of_beam(beam)
        place = bixels.place[columns]
        step = np.diff(place, axis=0)
        starts = np.flatnonzero(np.concatenate([[True], (step[:, 0] != 0) | (step[:, 1] != 1)]))
        lengths = np.diff(np.append(starts, len(place)))
        runs.append(np.column_stack([place[starts], lengths, columns[starts]]))
        beam_runs.append(beam_runs[-1] + len(starts))
    return np.concatenate(runs), np.array(beam_runs)


def _directions(bixels: Bixels, sad_mm: float) -> NDArray[np.float64]:
    """Unit vectors (x, y, z) from the source to the bixels, shape (3, bixels)."""
    x, z = bixels.centres_mm.T
    vectors = np.stack([x, np.full_like(x, sad_mm), z])
    unit: NDArray[np.float64] = vectors / np.linalg.norm(vectors, axis=0)
    return unit


def _reach_mm(centres_mm: NDArray[np.float64], sad_mm: float, cutoff_mm: float) -> float:
    """How far apart, in the isocentre plane, a voxel and a bixel within the cutoff can be: oblique rays spread it."""
    outermost = np.hypot(*centres_mm.T).max()
    return float((outermost + cutoff_mm) / (1 - outermost * cutoff_mm / sad_mm**2) - outermost)


@compiled
def _depth_doses(seen, depth, sad, attenuation, build_up, out):  # type: ignore[no-untyped-def] # pragma: no cover
    """Write each voxel's place (x, z) in the isocentre plane and its depth doses times the inverse square.

    The place is NaN where the voxel has no depth.
    """
    for v in range(depth.size):
        x, y, z = seen[0, v], seen[1, v], seen[2, v]
        out[v, 0] = x * sad / y if np.isfinite(depth[v]) else np.nan
        out[v, 1] = z * sad / y
        inverse_square = sad**2 / (x**2 + y**2 + z**2)
        primary = math.exp(-attenuation * depth[v])
        for k in range(build_up.size):
            share = build_up[k] / (build_up[k] - attenuation)
            out[v, 2 + k] = inverse_square * share * (primary - math.exp(-build_up[k] * depth[v]))


@numba.njit(inline="always")
def _off_axis(x, z, directions, column, sad):  # type: ignore[no-untyped-def] # pragma: no cover
    """Place (x, z) of a voxel relative to a bixel, both in the isocentre plane.

    The voxel's direction is turned as the bixel's axis is turned onto the central axis (Rodrigues), then projected.
    """
    to_x, to_y, to_z = directions[0, column], directions[1, column], directions[2, column]
    across = x * to_x + z * to_z
    turn = sad + across / (np.float32(1.0) + to_y)
    magnification = sad / (across + sad * to_y)
    return (x - to_x * turn) * magnification, (z - to_z * turn) * magnification


@numba.njit(inline="always")
def _within_cutoff(x, z, directions, column, cutoff, sad):  # type: ignore[no-untyped-def] # pragma: no cover
    off_x, off_z = _off_axis(x, z, directions, column, sad)
    return off_x * off_x + off_z * off_z <= np.float32(cutoff * cutoff)


@numba.njit(inline="always")
def _columns_within_cutoff(x, z, run, directions, reach, cutoff, bixel, offset, sad):  # type: ignore[no-untyped-def]
    """Columns, from and to, of a run's bixels around a voxel: those on a line in a cone lie side by side."""
    column, beyond = run[3], run[3] + run[2]
    aside = (run[0] + offset[0]) * bixel - x
    if abs(aside) > reach:
        return column, column
    half = math.sqrt(reach * reach - aside * aside)
    first = max(column, column + math.ceil((z - half) / bixel - offset[1]) - run[1])
    last = min(beyond, column + math.floor((z + half) / bixel - offset[1]) - run[1] + 1)
    while first < last and not _within_cutoff(x, z, directions, first, cutoff, sad):
        first += 1
    while first < last and not _within_cutoff(x, z, directions, last - 1, cutoff, sad):
        last -= 1
    return first, last


@compiled
def _count(  # type: ignore[no-untyped-def]
    points, runs, beam_runs, directions, reach, cutoff, bixel, offset, sad, counts
):
    sad = np.float32(sad)
    for v in range(points.shape[0]):
        count = 0
        for b in range(points.shape[1]):
            x, z = points[v, b, 0], points[v, b, 1]
            if np.isnan(x):
                continue
            for r in range(beam_runs[b], beam_runs[b + 1]):
                first, last = _columns_within_cutoff(x, z, runs[r], directions, reach[b], cutoff, bixel, offset, sad)
                count += max(last - first, 0)
        counts[v] = count


@compiled
def _fill(  # type: ignore[no-untyped-def]
    points,
    runs,
    beam_runs,
    directions,
    reach,
    cutoff,
    bixel,
    offset,
    sad,
    weight,
    tables,
    first_mm,
    indptr,
    indices,
    data,
):
    sad = np.float32(sad)
    begin, per_mm = np.float32(first_mm), np.float32(1.0 / BIXEL_TABLE_MM)
    for v in range(points.shape[0]):
        entry = indptr[v]
        for b in range(points.shape[1]):
            x, z = points[v, b, 0], points[v, b, 1]
            if np.isnan(x):
                continue
            table, doses = tables[b], points[v, b, 2:]
            for r in range(beam_runs[b], beam_runs[b + 1]):
                first, last = _columns_within_cutoff(x, z, runs[r], directions, reach[b], cutoff, bixel, offset, sad)
                for column in range(first, last):
                    off_x, off_z = _off_axis(x, z, directions, column, sad)
                    # Bilinear in the bixel's table; unsigned places spare Numba a check for negative ones.
                    p, q = (off_x - begin) * per_mm, (off_z - begin) * per_mm
                    p0, q0 = np.uint32(p), np.uint32(q)
                    p, q = p - np.float32(p0), q - np.float32(q0)
                    dose = np.float32(0.0)
                    for k in range(doses.size):
                        low = table[p0, q0, k] + q * (table[p0, q0 + 1, k] - table[p0, q0, k])
                        high = table[p0 + 1, q0, k] + q * (table[p0 + 1, q0 + 1, k] - table[p0 + 1, q0, k])
                        dose += doses[k] * (low + p * (high - low))
                    indices[entry] = column
                    data[entry] = dose * weight[column]
                    entry += 1
