"""Planning parameters: what an outer loop chooses and the inner loop (Eq. 1) receives."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from radplan_env.limits import Limit


@dataclass(frozen=True)
class StructureParameters:
    """Weight and objective dose of one structure.

    Parameters
    ----------
    weight : float
        Importance of the structure's term in Eq. 1; it multiplies the *mean* over the structure's voxels
        (matRad's convention), so weights compare across organs of different size. Not negative.
    objective_dose_gy : float
        Dose the term aims at (target) or penalises above (organ at risk), in Gy. Not negative.

    Raises
    ------
    ValueError
        If either number is negative or not finite.
    """

    weight: float
    objective_dose_gy: float

    def __post_init__(self) -> None:
        for name, value in (("weight", self.weight), ("objective_dose_gy", self.objective_dose_gy)):
            if not math.isfinite(value) or value < 0:
                raise ValueError(f"{name} must be a finite number, zero or greater; got {value!r}")
        object.__setattr__(self, "weight", float(self.weight))
        object.__setattr__(self, "objective_dose_gy", float(self.objective_dose_gy))


@dataclass(frozen=True)
class PlanningParameters:
    """Weights and objective doses by structure and, where there are any, limits and other beam angles.

    Parameters
    ----------
    structures : Mapping[str, StructureParameters]
        Parameters by TG-263 structure name.
    gantry_angles_deg : tuple of float, optional
        Gantry angles of the coplanar beams; None keeps the planning system's own.
    collimator_angles_deg : tuple of float, optional
        Collimator angle of each beam; None keeps the planning system's own, or 0 where there are other beams.
    limits : tuple of Limit
        What the plan must hold while the objectives are minimised.
    smoothness : float, optional
        Weight of the fluence's roughness beside the structures' terms, not negative: see
        `radplan_env.fluence.smoothness`. None stands for the protocol's start value, or 0 where it has none.

    Raises
    ------
    ValueError
        If there are two limits on the same side of one metric, or the smoothness is negative or not finite.
    """

    structures: Mapping[str, StructureParameters]
    gantry_angles_deg: tuple[float, ...] | None = field(default=None)
    limits: tuple[Limit, ...] = ()
    collimator_angles_deg: tuple[float, ...] | None = field(default=None)
    smoothness: float | None = None

    def __post_init__(self) -> None:
        if self.smoothness is not None:
            if not math.isfinite(self.smoothness) or self.smoothness < 0:
                raise ValueError(f"smoothness must be a finite number, zero or greater; got {self.smoothness!r}")
            object.__setattr__(self, "smoothness", float(self.smoothness))
        object.__setattr__(self, "limits", tuple(self.limits))
        sides = [(limit.name, limit.upper) for limit in self.limits]
        if twice := sorted({name for name, side in sides if sides.count((name, side)) > 1}):
            raise ValueError(f"two limits on the same side of {', '.join(twice)}: give one")
        object.__setattr__(self, "structures", MappingProxyType(dict(self.structures)))
        for name in ("gantry_angles_deg", "collimator_angles_deg"):
            if (angles := getattr(self, name)) is not None:
                object.__setattr__(self, name, tuple(float(angle) for angle in angles))

    def __reduce__(self) -> tuple[Any, ...]:
        values = (self.gantry_angles_deg, self.limits, self.collimator_angles_deg, self.smoothness)
        return PlanningParameters, (dict(self.structures), *values)

    def replace(
        self, structure: str, *, weight: float | None = None, objective_dose_gy: float | None = None
    ) -> PlanningParameters:
        """Return a copy in which one structure's weight, objective dose or both are changed.

        Raises
        ------
        KeyError
            If the structure has no parameters yet.
        """
        if structure not in self.structures:
            raise KeyError(f"no parameters for {structure!r}; there are: {', '.join(self.structures)}")
        old = self.structures[structure]
        new = StructureParameters(
            weight=old.weight if weight is None else weight,
            objective_dose_gy=old.objective_dose_gy if objective_dose_gy is None else objective_dose_gy,
        )
        return replace(self, structures={**self.structures, structure: new})

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts and lists, fit for JSON."""
        structures = {
            name: {"weight": p.weight, "objective_dose_gy": p.objective_dose_gy} for name, p in self.structures.items()
        }
        return {
            "structures": structures,
            "gantry_angles_deg": None if self.gantry_angles_deg is None else list(self.gantry_angles_deg),
            "collimator_angles_deg": None if self.collimator_angles_deg is None else list(self.collimator_angles_deg),
            "limits": [limit.to_dict() for limit in self.limits],
            "smoothness": self.smoothness,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> PlanningParameters:
        """Read what `to_dict` wrote, or its structures alone, as ``info["start_parameters"]`` has them.

        Raises
        ------
        ValueError
            If a key is unknown or missing.
        """
        if "structures" not in data:
            data = {"structures": data}
        if unknown := set(data) - {"structures", "gantry_angles_deg", "collimator_angles_deg", "limits", "smoothness"}:
            raise ValueError(f"unknown keys in planning parameters: {', '.join(sorted(unknown))}")
        try:
            structures = {name: StructureParameters(**values) for name, values in data["structures"].items()}
        except (AttributeError, TypeError) as error:
            wanted = "{weight, objective_dose_gy} per structure"
            raise ValueError(f"planning parameters need {wanted}: {error}") from error
        limits = tuple(Limit.from_dict(limit) for limit in data.get("limits", ()))
        angles = data.get("gantry_angles_deg"), data.get("collimator_angles_deg")
        return cls(structures, angles[0], limits, angles[1], data.get("smoothness"))

    def of_action(self) -> PlanningParameters:
        """Return what an action can stand for of them: without limits, and for the environment's gantry angles."""
        return replace(self, limits=(), gantry_angles_deg=None)

    @classmethod
    def of_plan(cls, summary: Mapping[str, Any]) -> PlanningParameters:
        """Return what a plan was made with but for its beams: structures, limits and smoothness.

        Parameters
        ----------
        summary : PlanSummary
            ``info["plan"]``, or what `Plan.summary` returned.
        """
        chosen = {name: summary[name] for name in ("limits", "smoothness")}
        return cls.from_dict({"structures": summary["parameters"], **chosen})
