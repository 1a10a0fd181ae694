"""A case: the patient geometry every plan is made on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radplan_env import notebook
from radplan_env.errors import CaseError
from radplan_env.grid import Grid
from radplan_env.structure_names import is_target, map_names, naming_problem

__all__ = ["Case", "CaseError"]

MAX_FRACTION_OUTSIDE_BODY = 0.2
"""A structure may stick out of the body this far, and is then cut at it; beyond, it is off its patient."""

WORTH_SAYING = 0.01
"""From this share of a structure on, `Case.notes` says what happened to it."""

MAX_PLAUSIBLE_GY = 300.0
"""No course of external radiotherapy comes near this total dose; 7000 cGy taken for Gy are far beyond."""


@dataclass(frozen=True, eq=False, repr=False)
class Case:
    """CT, structures and, where there is one, the dose of a reference plan, on one grid.

    All arrays are (z, y, x) in patient LPS (see :class:`~radplan_env.grid.Grid`) and read-only: copies of what
    was given, but for arrays that are read-only already and view no other. A case carries no patient identity.

    Parameters
    ----------
    id
        Name of the case, such as ``"openkbp/pt_17"``.
    ct_hu
        CT numbers in HU.
    structures
        Boolean masks by TG-263 name, ``"Body"`` among them. What lies outside the body is cut off.
    grid
        Where the voxels are.
    reference_dose_gy
        Total dose in Gy of a plan to compare with.
    source
        Where the case comes from: ``"openkbp"``, ``"dicom"``, ``"matrad"``, ``"synthetic"``, …
    synthetic
        Whether the anatomy is invented.
    unmapped
        The source's structures left out because their names have no TG-263 mapping. Free text of
        unknown origin: keep it out of prompts.
    notes
        What was left out or changed on the way here, a sentence each: the cc of a structure cut at the body,
        contours without an area, a dose smaller than the CT. As `unmapped`, they may hold free text.
    source_version
        Version of what made the case, where another version makes another patient of the same id: part of the digest.

    Raises
    ------
    CaseError
        If shapes disagree, a mask is empty, not boolean or off the body, the body is missing, a name is
        not TG-263, or CT or dose hold NaN, infinite or (dose) negative values.
    """

    id: str
    ct_hu: NDArray[np.float32]
    structures: Mapping[str, NDArray[np.bool_]]
    grid: Grid
    reference_dose_gy: NDArray[np.float32] | None = None
    source: str = "arrays"
    synthetic: bool = False
    unmapped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    source_version: str = ""

    def __post_init__(self) -> None:
        def fail(problem: str) -> CaseError:
            return CaseError(f"case {self.id!r}: {problem}")

        if not isinstance(self.id, str) or not self.id:
            raise CaseError(f"a case needs a non-empty string as id, got {self.id!r}")
        shape = self.grid.shape
        ct = _values(self.ct_hu, "CT", shape, fail)
        dose = self.reference_dose_gy
        if dose is not None:
            dose = _values(dose, "reference dose", shape, fail)
            if dose.min() < 0:
                raise fail(f"the reference dose is negative somewhere ({dose.min():g} Gy)")
            if dose.max() > MAX_PLAUSIBLE_GY:
                raise fail(f"the reference dose reaches {dose.max():g} Gy: is it in cGy?")
        if "Body" not in self.structures:
            names = sorted([*self.structures, *self.unmapped])
            raise fail(f"no 'Body' among the structures {names}: add the external contour, or map its name to it")
        if problems := [problem for name in self.structures if (problem := naming_problem(name))]:
            raise fail(f"{'; '.join(problems)}. Map names with name_map in Case.from_arrays")
        body = _mask(self.structures["Body"], "Body", shape, fail)
        masks, notes = {}, list(self.notes)
        for name, given in self.structures.items():
            mask = body if name == "Body" else _mask(given, name, shape, fail)
            masks[name], outside = _inside(mask, body, name, fail)
            if outside > WORTH_SAYING:
                notes.append(
                    f"{outside:.1%} of {name!r} ({_cc(mask, self.grid) * outside:.1f} cc) lie outside 'Body': cut off"
                )
            masks[name].setflags(write=False)
        object.__setattr__(self, "ct_hu", ct)
        object.__setattr__(self, "reference_dose_gy", dose)
        object.__setattr__(self, "structures", MappingProxyType(masks))
        object.__setattr__(self, "unmapped", tuple(self.unmapped))
        object.__setattr__(self, "notes", tuple(notes))

    @classmethod
    def from_arrays(
        cls,
        *,
        id: str,
        ct_hu: ArrayLike,
        structures: Mapping[str, ArrayLike],
        voxel_size_mm: Sequence[float],
        orientation: str = "SPL",
        origin_mm: Sequence[float] | None = None,
        reference_dose_gy: ArrayLike | None = None,
        source: str = "arrays",
        synthetic: bool = False,
        name_map: Mapping[str, str | None] | None = None,
        unmapped: Sequence[str] = (),
        notes: Sequence[str] = (),
    ) -> Case:
        """Build a case from plain arrays in any axis order.

        Parameters
        ----------
        ct_hu, structures, reference_dose_gy
            Arrays of one shape, axes as `orientation` says; structures by TG-263 name or a known spelling.
        voxel_size_mm
            Voxel size along each array axis, in the order of the axes.
        orientation
            The direction in which each array axis increases: one of S/I, one of A/P, one of L/R.
            ``"SPL"`` is (z, y, x) in LPS; OpenKBP's arrays are ``"PLI"``.
        origin_mm
            LPS position (z, y, x) of the centre of voxel ``[0, 0, 0]`` of the arrays as given. By default
            the centre of the volume is the origin.
        name_map
            The caller's own names to TG-263 names; None as value leaves the structure out.
        unmapped
            Names of structures already left out, to be remembered.
        notes
            What else is to be remembered, a sentence each.

        Raises
        ------
        CaseError
            See the class; also for a structure whose name maps to no TG-263 name.
        """

        def fail(problem: str) -> CaseError:
            return CaseError(f"case {id!r}: {problem}")

        try:
            axes, flips = _axes_to_spl(orientation)
            mapped, unknown = map_names(structures, name_map)
            given = np.shape(ct_hu)
            if len(given) != 3 or len(voxel_size_mm) != 3:
                raise ValueError(f"CT and voxel_size_mm need three axes, got {given} and {voxel_size_mm!r}")
            shape = tuple(given[a] for a in axes)
            spacing = tuple(float(voxel_size_mm[a]) for a in axes)
            grid = Grid(shape, spacing, _origin_spl(origin_mm, shape, spacing, flips))  # type: ignore[arg-type]
        except ValueError as error:
            raise fail(str(error)) from error
        if unknown:
            raise fail(
                f"no TG-263 name is known for {list(unknown)}: give name_map, {{{unknown[0]!r}: its TG-263 name}}, "
                f"or {{{unknown[0]!r}: None}} to leave it out"
            )

        def spl(array: ArrayLike, what: str) -> NDArray[Any]:
            if np.shape(array) != given:
                raise fail(f"{what} has shape {np.shape(array)}, the CT {given}")
            moved = np.transpose(np.asarray(array), axes)
            return np.flip(moved, [axis for axis in range(3) if flips[axis]])

        return cls(
            id=id,
            ct_hu=spl(ct_hu, "CT"),
            structures={mapped[n]: spl(m, f"structure {n!r}") for n, m in structures.items() if n in mapped},
            grid=grid,
            reference_dose_gy=None if reference_dose_gy is None else spl(reference_dose_gy, "reference dose"),
            source=source,
            synthetic=synthetic,
            unmapped=tuple(unmapped),
            notes=tuple(notes),
        )

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the target structures (GTV, CTV, ITV, PTV), in the order of `structures`."""
        return tuple(name for name in self.structures if is_target(name))

    def volume_cc(self, name: str) -> float:
        """Volume of a structure."""
        return _cc(self.structures[name], self.grid)

    def digest(self) -> str:
        """SHA-256 of the content (arrays, names, grid, version; not the id): equal cases have equal digests."""
        digest = hashlib.sha256((repr(self.grid) + self.source_version).encode())
        digest.update(self.ct_hu.tobytes())
        for name in sorted(self.structures):
            digest.update(name.encode() + np.packbits(self.structures[name]).tobytes())
        if self.reference_dose_gy is not None:
            digest.update(b"dose" + self.reference_dose_gy.tobytes())
        return digest.hexdigest()

    def __repr__(self) -> str:
        return f"<Case {self.id}: {', '.join(self.structures)}>"

    def _repr_html_(self) -> str:
        voxels = " × ".join(str(size) for size in self.grid.shape)
        spacing = " × ".join(f"{mm:g}" for mm in self.grid.spacing_mm)
        caption = f"{self.id}: {voxels} voxels of {spacing} mm (z, y, x)"
        rows = [(name, f"{self.volume_cc(name):.1f}") for name in self.structures]
        return notebook.table(caption, ("structure", "cc"), rows)

    def __deepcopy__(self, memo: dict[int, Any]) -> Case:
        return self  # nothing in it changes, and gymnasium copies an environment's arguments again and again

    def __reduce__(self) -> tuple[Any, ...]:
        # A mapping proxy does not pickle, and numpy forgets read-only flags: build anew on the other side.
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return _rebuild, ({**values, "structures": dict(self.structures)},)


Fail = Callable[[str], CaseError]


def _rebuild(values: dict[str, Any]) -> Case:
    return Case(**values)


def _values(array: Any, what: str, shape: tuple[int, ...], fail: Fail) -> NDArray[np.float32]:
    values = _owned(array, np.float32)
    if values.shape != shape:
        raise fail(f"{what} has shape {values.shape}, the grid {shape}")
    if bad := int(np.count_nonzero(~np.isfinite(values))):
        raise fail(f"{what} holds {bad} values that are NaN or infinite: fill or crop them first")
    values.setflags(write=False)
    return values


def _mask(array: Any, name: str, shape: tuple[int, ...], fail: Fail) -> NDArray[np.bool_]:
    given = np.asarray(array)
    if given.shape != shape:
        raise fail(f"structure {name!r} has shape {given.shape}, the CT {shape}")
    if given.dtype != bool and not np.isin(given, (0, 1)).all():
        raise fail(f"structure {name!r} is no mask: it holds values other than 0 and 1")
    mask = _owned(given, np.bool_)
    if not mask.any():
        raise fail(f"structure {name!r} is empty: leave it out")
    return mask


def _owned(array: Any, dtype: type) -> NDArray[Any]:
    """The array itself if nobody can write to it, else a copy: a large CT need not be held twice."""
    if isinstance(array, np.ndarray) and array.dtype == dtype and array.base is None and array.flags.c_contiguous:
        return array.copy() if array.flags.writeable else array
    return np.array(array, dtype=dtype, order="C")


def _inside(mask: NDArray[np.bool_], body: NDArray[np.bool_], name: str, fail: Fail) -> tuple[NDArray[np.bool_], float]:
    """The part of a mask in the body, and the share of it that lies outside."""
    inside = mask & body
    outside = 1 - np.count_nonzero(inside) / np.count_nonzero(mask)
    if outside > MAX_FRACTION_OUTSIDE_BODY:
        raise fail(f"{outside:.0%} of structure {name!r} lies outside 'Body': check its grid and the body")
    return (inside, outside) if outside else (mask, 0.0)


def _cc(mask: NDArray[np.bool_], grid: Grid) -> float:
    return int(np.count_nonzero(mask)) * grid.voxel_cc


_OPPOSITE = dict(zip("SIPALR", "ISAPRL", strict=True))


def _axes_to_spl(orientation: str) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """Source axis for each of S, P, L, and whether it must be flipped."""
    letters = orientation.upper()
    axes = [next((i for i, c in enumerate(letters) if c in (to, _OPPOSITE[to])), None) for to in "SPL"]
    if len(letters) != 3 or None in axes:
        raise ValueError(f"orientation must name one of S/I, A/P and L/R each, such as 'SPL'; got {orientation!r}")
    z, y, x = (axis for axis in axes if axis is not None)
    return (z, y, x), (letters[z] != "S", letters[y] != "P", letters[x] != "L")


def _origin_spl(
    origin_mm: Sequence[float] | None,
    shape: Sequence[int],
    spacing_mm: Sequence[float],
    flips: Sequence[bool],
) -> tuple[float, ...]:
    lengths = [(n - 1) * s for n, s in zip(shape, spacing_mm, strict=True)]
    if origin_mm is None:
        return tuple(-length / 2 for length in lengths)
    if len(origin_mm) != 3:
        raise ValueError(f"origin_mm needs three entries (z, y, x), got {origin_mm!r}")
    return tuple(float(o) - length * flipped for o, length, flipped in zip(origin_mm, lengths, flips, strict=True))
