"""Beams traced to points once, and the dose of any fluence there, with its adjoint.

d(p) = Σ_b (SAD/r)² Σₖ Dₖ(depth) Cₖ(x, z) with Cₖ = F ∗ κₖ: the depth doses Dₖ of the point's radiological depth, and
the fluence F of the beam convolved with the model's lateral kernels in the isocentre plane, all of it: there is no
lateral cutoff but the model's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray

from radplan_env.beam_models import BeamModel, beam_model_named
from radplan_env.beam_models.convolution import Convolution
from radplan_env.beam_models.lattice import Reach, Window
from radplan_env.beams import Beam, Bixels
from radplan_env.case import Case
from radplan_env.dose.gather import gather, scatter
from radplan_env.dose.raster import BixelRows, Raster, Shading, check_fluence
from radplan_env.grid import Triple
from radplan_env.threads import run_in_slices
from radplan_env.tracing import body_density, depths, surface_distance_mm

Array = NDArray[np.float64]

DEPTH_STEP_MM = 0.05
"""Of the depth doses' table: interpolation changes them by less than 0.004 %."""

_KEPT_CONVOLUTIONS = 16  # of as many beams; an arc has hundreds, and computing them takes little of its dose
_THREADS_PAY_FROM = 50_000  # points; each has its dose whatever the slices are


def prepare(
    case: Case,
    beams: Sequence[Beam],
    points_mm: Array,
    *,
    beam_model: str | BeamModel = "generic-6x",
    spacing_mm: float | None = None,
) -> Prepared:
    """Trace beams through a case to points: once for all fluences.

    Parameters
    ----------
    case : Case
    beams : sequence of Beam
    points_mm : ndarray, shape (points, 3)
        (z, y, x) in patient coordinates, on the case's CT.
    beam_model : str or BeamModel
        One of `radplan_env.beam_models.BEAM_MODELS`.
    spacing_mm : float, optional
        Of the lattice in the isocentre plane on which fluence is convolved; the model's own by default, 1 mm.

    Returns
    -------
    Prepared
        4 bytes per point and place of the source: beams that differ in their collimator's angle share them.

    Raises
    ------
    ValueError
        If there is no beam, a point is not finite or outside the CT, or a beam's SAD is not the model's.
    """
    model = beam_model if isinstance(beam_model, BeamModel) else beam_model_named(beam_model)
    points = _checked_points(case, points_mm)
    if not beams:
        raise ValueError("no beam to compute dose of")
    if wrong := [beam.sad_mm for beam in beams if beam.sad_mm != model.sad_mm]:
        raise ValueError(f"beam model {model.name!r} has a source-axis distance of {model.sad_mm:g} mm, beams {wrong}")
    density, grid = body_density(case.ct_hu, case.structures["Body"], case.grid)
    upright = [replace(beam, collimator_deg=0.0) for beam in beams]  # a turned collimator leaves the rays as they are
    sources = list(dict.fromkeys(upright))
    depth_mm = np.empty((len(sources), len(points)), dtype=np.float32)  # stacked afterwards, it would lie there twice
    for row, beam in zip(depth_mm, sources, strict=True):
        row[:] = depths(density, grid, beam, points)
    ssd_mm = {beam: surface_distance_mm(density, grid, beam) for beam in sources}
    return Prepared(
        case_id=case.id,
        model=model,
        beams=tuple(beams),
        points_mm=points,
        depth_mm=depth_mm,
        source=tuple(map(sources.index, upright)),
        ssd_mm=tuple(ssd_mm[beam] for beam in upright),
        spacing_mm=model.kernels.lattice_mm if spacing_mm is None else spacing_mm,
    )


def _checked_points(case: Case, points_mm: Array) -> Array:
    points = np.ascontiguousarray(points_mm, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(f"points must have shape (points, 3), as (z, y, x) in mm; got {points.shape}")
    if bad := int(np.count_nonzero(~np.isfinite(points).all(axis=1))):
        raise ValueError(f"{bad} of {len(points)} points are NaN or infinite")
    low = np.array(case.grid.origin_mm) - np.array(case.grid.spacing_mm) / 2
    beyond = (points < low - 1e-6) | (points > low + case.grid.extent_mm + 1e-6)
    if bad := int(np.count_nonzero(beyond.any(axis=1))):
        raise ValueError(
            f"{bad} of {len(points)} points lie outside the CT of case {case.id!r}, which reaches from {low} to "
            f"{low + case.grid.extent_mm} mm (z, y, x): they belong to another case or another axis order"
        )
    return points


@dataclass(frozen=True, eq=False)
class Prepared:
    """Beams traced to points; see `prepare`.

    Parameters
    ----------
    case_id : str
    model : BeamModel
    beams : tuple of Beam
    points_mm : ndarray, shape (points, 3)
    depth_mm : ndarray of float32, shape (sources, points)
        Radiological depth of each point.
    source : tuple of int
        Which of the depths are each beam's.
    ssd_mm : tuple of float
        Source-surface distance along each beam's axis.
    spacing_mm : float
        Of the lattice in the isocentre plane.
    """

    case_id: str
    model: BeamModel
    beams: tuple[Beam, ...]
    points_mm: Array
    depth_mm: NDArray[np.float32]
    source: tuple[int, ...]
    ssd_mm: tuple[float, ...]
    spacing_mm: float
    _convolutions: dict[tuple[int, Window, float | None], Convolution] = field(default_factory=dict, repr=False)

    def dose(self, rasters: Sequence[Raster]) -> NDArray[np.float32]:
        """Return the dose in Gy, shape (points,), of one raster a beam.

        Raises
        ------
        ValueError
            If there is not one raster for each beam, or the model knows bixels only.
        """
        dose = np.zeros(len(self.points_mm))
        self._add_rasters(rasters, [dose] * len(self.beams))
        return _clipped(dose)

    def dose_by_beam(self, rasters: Sequence[Raster]) -> NDArray[np.float32]:
        """Return each beam's part of `dose`, shape (beams, points)."""
        doses = np.zeros((len(self.beams), len(self.points_mm)))
        self._add_rasters(rasters, list(doses))
        return _clipped(doses)

    def doses_from(self, rasters: Sequence[Raster], isocentres_mm: Sequence[Triple]) -> NDArray[np.float32]:
        """Return `dose` with the beams moved to each isocentre, shape (isocentres, points); points keep their depth."""
        moved = [
            replace(self, beams=tuple(replace(beam, isocentre_mm=place) for beam in self.beams))
            for place in isocentres_mm
        ]
        doses = np.zeros((len(moved), len(self.points_mm)))
        self._check_rasters(rasters)
        for b, raster in enumerate(rasters):
            reach_mm = np.max([each._points_reach_mm(b) for each in moved], axis=0)
            planes = self._planes(b, self._shading(raster), raster.fluence, None, reach_mm)
            for each, dose in zip(moved, doses, strict=True):
                each._gather(dose, b, planes)
        return _clipped(doses)

    def at(self, chosen: NDArray[np.bool_]) -> Prepared:
        """Return the beams traced to some of the points, shape (points,)."""
        return replace(self, points_mm=self.points_mm[chosen], depth_mm=self.depth_mm[:, chosen], _convolutions={})

    def _add_rasters(self, rasters: Sequence[Raster], doses: Sequence[Array]) -> None:
        """Add the dose of each beam's raster to that beam's of `doses`."""
        self._check_rasters(rasters)
        for b, (raster, dose) in enumerate(zip(rasters, doses, strict=True)):
            self._gather(dose, b, self._planes(b, self._shading(raster), raster.fluence, None))

    def _check_rasters(self, rasters: Sequence[Raster]) -> None:
        if self.model.kernels.pencils_only:
            raise ValueError(f"beam model {self.model.name!r} computes bixels only: choose generic-6x for apertures")
        if len(rasters) != len(self.beams):
            raise ValueError(f"{len(rasters)} rasters for {len(self.beams)} beams: each beam needs one")

    def _shading(self, raster: Raster) -> Shading:
        return Shading(raster.x_mm, raster.z_mm, self.model, self.spacing_mm)

    def dose_of_bixels(self, bixels: Bixels, fluence: Array) -> NDArray[np.float32]:
        """Return the dose in Gy, shape (points,), of a fluence (bixels,).

        Raises
        ------
        ValueError
            If the fluence or the bixels are not those of the beams, or a fluence is negative or not finite.
        """
        return _clipped(self.forward(bixels, self._checked(bixels, fluence)))

    def forward(self, bixels: Bixels, fluence: Array) -> Array:
        """Return the dose of a fluence as `dose_of_bixels`, linear to rounding: unchecked, and not clipped at 0."""
        dose = np.zeros(len(self.points_mm))
        for b, rows, shading in self._by_beam(bixels):
            self._gather(dose, b, self._planes(b, shading, rows.rectangle(fluence), bixels.width_mm))
        return dose

    def adjoint(self, bixels: Bixels, values: Array) -> Array:
        """Apply the adjoint of `forward`: return (bixels,) of a value per point."""
        result = np.zeros(len(bixels))
        for b, rows, shading in self._by_beam(bixels):
            result[rows.columns] = self._back(b, shading, values, bixels.width_mm)[rows.place]
        return result

    def adjoint_of_rasters(self, rasters: Sequence[Raster], values: Array) -> list[Array]:
        """Apply the adjoint of `dose`: return an array of each raster's shape of a value per point."""
        return [self._back(b, self._shading(raster), values, None) for b, raster in enumerate(rasters)]

    def _back(self, b: int, shading: Shading, values: Array, bixel_mm: float | None) -> Array:
        """Return what values at the points weigh on a beam's fluence, in the shape that the shading takes."""
        values = np.ascontiguousarray(values, dtype=np.float64)
        if values.shape != (len(self.points_mm),):
            raise ValueError(f"{values.shape} values for {len(self.points_mm)} points")
        convolution = self._convolution(b, shading.reach, bixel_mm)
        planes = np.zeros((*convolution.window.shape, convolution.components))
        scatter(*self._seen_by(b), 1 / self.spacing_mm, values, planes)
        return shading.back(convolution.back(planes, shading.places))

    def _checked(self, bixels: Bixels, fluence: Array) -> Array:
        fluence = np.asarray(fluence, dtype=np.float64)
        if fluence.shape != (len(bixels),):
            raise ValueError(
                f"a fluence of shape {fluence.shape} for {len(bixels)} bixels of case {self.case_id!r}: it belongs to "
                "another patient or another set of beams"
            )
        check_fluence(fluence, f"the fluence of case {self.case_id!r}")
        return fluence

    def _by_beam(self, bixels: Bixels) -> Iterator[tuple[int, BixelRows, Shading]]:
        if len(bixels) and bixels.beam.max() >= len(self.beams):
            raise ValueError(
                f"bixels of {bixels.beam.max() + 1} beams, but {len(self.beams)} were traced in case {self.case_id!r}"
            )
        for b in range(len(self.beams)):
            if not (bixels.beam == b).any():
                continue
            rows = BixelRows.of(bixels, b)
            yield b, rows, rows.shading(bixels.width_mm, self.model, self.spacing_mm)

    def _points_reach_mm(self, b: int) -> Array:
        """How far from the axis the points lie in the isocentre plane, along x and z; at most, by their box."""
        beam = self.beams[b]
        x, y, z = beam.from_source(*self._corners.T)
        u, w = beam.onto_collimator(x * beam.sad_mm / y, z * beam.sad_mm / y)
        return np.array([abs(u).max(), abs(w).max()])

    def _convolution(self, b: int, cells: Reach, bixel_mm: float | None, reach_mm: Array | None = None) -> Convolution:
        along_x, along_z = self._points_reach_mm(b) if reach_mm is None else reach_mm
        points = int(along_x / self.spacing_mm) + 2, int(along_z / self.spacing_mm) + 2
        key = b, Window(self.spacing_mm, cells, points), bixel_mm
        if (known := self._convolutions.get(key)) is not None:
            return known
        made = self.model.kernels.convolution(key[1], self.ssd_mm[b], bixel_mm)
        if len(self.beams) <= _KEPT_CONVOLUTIONS:
            self._convolutions[key] = made
        return made

    def _planes(
        self, b: int, shading: Shading, fluence: Array, bixel_mm: float | None, reach_mm: Array | None = None
    ) -> NDArray[np.float32]:
        """A beam's fluence convolved with each component's kernel, as far as the points lie or are told to."""
        convolution = self._convolution(b, shading.reach, bixel_mm, reach_mm)
        return convolution.planes(shading.cells(fluence), shading.places)

    def _gather(self, dose: Array, b: int, planes: NDArray[np.float32]) -> None:
        points, depth, geometry, curves, per_depth = self._seen_by(b)
        per_mm = 1 / self.spacing_mm

        def add(_: int, first: int, last: int) -> None:
            part = points[first:last], depth[first:last], geometry
            gather(*part, curves, per_depth, per_mm, planes, dose[first:last])

        if len(points) < _THREADS_PAY_FROM:
            add(0, 0, len(points))
        else:
            run_in_slices(add, len(points))

    def _seen_by(self, b: int) -> tuple[Array, NDArray[np.float32], tuple[float, ...], Array, float]:
        """Points, depths, geometry and depth dose of a beam, as the compiled kernels take them."""
        beam = self.beams[b]
        turn = beam.onto_collimator(np.array([1.0, 0.0]), np.array([0.0, 1.0]))[0]
        geometry = tuple(map(float, (*beam.isocentre_mm, *beam.cos_sin, beam.sad_mm, *turn)))
        return self.points_mm, self.depth_mm[self.source[b]], geometry, self._depth_doses, 1 / DEPTH_STEP_MM

    @cached_property
    def _corners(self) -> Array:
        """Corners of the box around the points, shape (8, 3)."""
        axes = self.points_mm.T if len(self.points_mm) else np.array([self.beams[0].isocentre_mm]).T
        return np.array(list(product(*((axis.min(), axis.max()) for axis in axes))))

    @cached_property
    def _depth_doses(self) -> Array:
        """Depth doses, shape (depths, components), from the surface to beyond the deepest point."""
        steps = np.arange(int(self.depth_mm.max(initial=0.0) / DEPTH_STEP_MM) + 3, dtype=np.float64)
        return np.ascontiguousarray(self.model.depth_doses(DEPTH_STEP_MM * steps).T)


def _clipped(dose: Array) -> NDArray[np.float32]:
    """Dose without the rounding of the transforms, about -1e-6 of the maximum."""
    clipped: NDArray[np.float32] = np.maximum(dose, 0).astype(np.float32)
    return clipped
