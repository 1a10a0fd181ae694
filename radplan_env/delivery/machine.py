"""Treatment machines as data: what a collimator, a gantry and a dose rate can do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from radplan_env.yaml_files import YAMLFileError, parse_yaml, read_yaml

MACHINES = ("millennium120",)
"""Machines that come with the package."""
DEFAULT_MACHINE = MACHINES[0]


@dataclass(frozen=True)
class Machine:
    """A linac with a multileaf collimator.

    Parameters
    ----------
    name, title : str
    leaf_boundaries_mm : tuple of float
        Ascending, in the isocentre plane: one more than there are leaf pairs.
    leaf_span_mm : float
        How far the leaves of one bank may lie apart within a field.
    leaf_speed_mm_per_s : float
    smallest_gap_mm : float
        Between the two leaves of a pair that moves.
    dosimetric_leaf_gap_mm : float
        By how much rounded leaf ends widen every opening.
    gantry_deg_per_s : tuple of float
        Lowest and highest speed.
    gantry_change_deg_per_s : float
        How much the speed may change from one interval of an arc to the next.
    monitor_units_per_min : tuple of float
        Lowest and highest dose rate.
    arc_collimator_deg : tuple of float
        Collimator angle of the first arc, the second, and so on.

    Raises
    ------
    ValueError
        If a number is not finite or out of order, or boundaries do not ascend.
    """

    name: str
    title: str
    leaf_boundaries_mm: tuple[float, ...]
    leaf_span_mm: float
    leaf_speed_mm_per_s: float
    smallest_gap_mm: float
    dosimetric_leaf_gap_mm: float
    gantry_deg_per_s: tuple[float, float]
    gantry_change_deg_per_s: float
    monitor_units_per_min: tuple[float, float]
    arc_collimator_deg: tuple[float, ...]

    def __post_init__(self) -> None:
        bounds = self.boundaries_mm
        if bounds.size < 2 or not np.isfinite(bounds).all() or (np.diff(bounds) <= 0).any():
            raise self._wrong("leaf_boundaries_mm", "two ascending numbers or more")
        if abs(np.diff(bounds) / 5 - np.rint(np.diff(bounds) / 5)).max() > 1e-9 or (bounds % 5).any():
            raise self._wrong("leaf_boundaries_mm", "multiples of 5 mm, the width of the planner's bixels")
        if (widths := np.diff(bounds)).max() > 2 * widths.min():
            raise self._wrong("leaf_boundaries_mm", "leaves none of which is more than twice as wide as another")
        for name in ("leaf_span_mm", "leaf_speed_mm_per_s", "gantry_change_deg_per_s"):
            if not 0 < getattr(self, name) < np.inf:
                raise self._wrong(name, "a positive number")
        for name in ("smallest_gap_mm", "dosimetric_leaf_gap_mm"):
            if not 0 <= getattr(self, name) < np.inf:
                raise self._wrong(name, "a number, zero or greater")
        for name in ("gantry_deg_per_s", "monitor_units_per_min"):
            low, high = getattr(self, name)
            if not 0 <= low < high < np.inf:
                raise self._wrong(name, "the lowest and the highest, in this order")
        if not self.arc_collimator_deg or not np.isfinite(self.arc_collimator_deg).all():
            raise self._wrong("arc_collimator_deg", "one finite angle or more")

    @property
    def boundaries_mm(self) -> NDArray[np.float64]:
        """Leaf boundaries, shape (pairs + 1,)."""
        return np.array(self.leaf_boundaries_mm, dtype=float)

    @property
    def pairs(self) -> int:
        """How many leaf pairs there are."""
        return len(self.leaf_boundaries_mm) - 1

    @property
    def monitor_units_per_s(self) -> tuple[float, float]:
        """Lowest and highest dose rate."""
        low, high = self.monitor_units_per_min
        return low / 60, high / 60

    def pair_at(self, z_mm: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the leaf pair at places along z.

        Raises
        ------
        ValueError
            If a place lies beyond the last leaf.
        """
        bounds = self.boundaries_mm
        if z_mm.size and (z_mm.min() < bounds[0] or z_mm.max() > bounds[-1]):
            raise ValueError(
                f"the target reaches from {z_mm.min():.0f} to {z_mm.max():.0f} mm along the leaf bank of machine "
                f"{self.name!r}, which ends at {bounds[0]:g} and {bounds[-1]:g} mm: choose another machine or "
                "collimator angle"
            )
        pairs: NDArray[np.int64] = np.searchsorted(bounds, z_mm, side="right") - 1
        return pairs

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the machine's numbers."""
        numbers = {key: value for key, value in asdict(self).items() if key not in ("name", "title")}
        return hashlib.sha256(json.dumps(numbers, sort_keys=True).encode()).hexdigest()

    def to_yaml(self) -> str:
        """Return the machine as a YAML file that `read_machine` reads."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True, width=120)

    def to_dict(self) -> dict[str, Any]:
        """Return the machine in plain values, its name among them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Machine:
        """Read what `to_dict` returned."""
        return _machine(str(data["name"]), {key: value for key, value in data.items() if key != "name"})

    def _wrong(self, key: str, wanted: str) -> ValueError:
        return ValueError(f"machine {self.name!r}: {key} must be {wanted}; got {getattr(self, key)}")


@lru_cache
def machine_named(name: str) -> Machine:
    """Return the machine of this name, or of this YAML file.

    Raises
    ------
    ValueError
        If there is none, or its file lacks a key, has one too many or a value that cannot be.
    """
    if name in MACHINES:
        return _machine(
            name, parse_yaml((files("radplan_env.delivery") / "machines" / f"{name}.yaml").read_text("utf-8"))
        )
    if name.endswith((".yaml", ".yml")):
        return read_machine(Path(name))
    raise ValueError(f"unknown machine {name!r}: choose from {', '.join(MACHINES)}, or give the path of a YAML file")


def read_machine(path: Path) -> Machine:
    """Return the machine of a YAML file, by the name that it gives or else by the file's.

    Raises
    ------
    ValueError
        If it cannot be read, lacks a key, has one too many or a value that cannot be.
    """
    try:
        data = read_yaml(path)
    except YAMLFileError as error:
        raise ValueError(f"machine file {path}: {error}") from error
    if not isinstance(data, dict):
        return _machine(path.stem, data)
    return _machine(str(data.get("name", path.stem)), {key: value for key, value in data.items() if key != "name"})


def _machine(name: str, data: Any) -> Machine:
    wanted = {each.name for each in fields(Machine)} - {"name"}
    if not isinstance(data, dict) or set(data) != wanted:
        given = set(data) if isinstance(data, dict) else set()
        lacking, unknown = ", ".join(sorted(wanted - given)), ", ".join(sorted(map(str, given - wanted)))
        raise ValueError(f"machine {name!r}: missing keys: {lacking or 'none'}; unknown keys: {unknown or 'none'}")
    try:
        numbers = {
            key: tuple(map(float, value)) if isinstance(value, list | tuple) else float(value)
            for key, value in data.items()
            if key != "title"
        }
        return Machine(name=name, title=str(data["title"]), **numbers)  # type: ignore[arg-type]
    except TypeError as error:
        raise ValueError(f"machine {name!r}: every value but the title is a number or a list of numbers") from error
