"""What a machine delivers of a plan: its apertures, and what they take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from radplan_env.beam_models import BeamModel
from radplan_env.beams import Beam
from radplan_env.delivery.apertures import Apertures, Field
from radplan_env.delivery.complexity import mean_gap_mm, modulation_complexity
from radplan_env.delivery.limits import Violation, total_seconds, violations
from radplan_env.delivery.machine import Machine
from radplan_env.delivery.techniques import FINE_PARTS
from radplan_env.dose import Raster
from radplan_env.grid import Triple


@dataclass(frozen=True, eq=False)
class Delivery:
    """Apertures on a machine.

    Parameters
    ----------
    technique : str
    machine : Machine
    apertures : Apertures
    isocentre_mm : tuple of float
        (z, y, x).
    sad_mm : float
    fractions : int
    parts : int
        Into how many parts an interval was divided for the dose of the verdict.
    ideal_score : float
        Of the fluence that the apertures were optimised from.
    """

    technique: str
    machine: Machine
    apertures: Apertures
    isocentre_mm: Triple
    sad_mm: float
    fractions: int
    parts: int
    ideal_score: float

    @property
    def monitor_units(self) -> float:
        """In one fraction."""
        return float(self.apertures.monitor_units.sum())

    @property
    def seconds(self) -> float:
        """How long a fraction takes."""
        return total_seconds(self.apertures, self.machine)

    @property
    def final(self) -> bool:
        """Whether the plan is judged as one that is handed over."""
        return self.parts == FINE_PARTS

    @property
    def violations(self) -> tuple[Violation, ...]:
        """Limits of the machine that the apertures break."""
        return violations(self.apertures, self.machine)

    def beams(self, parts: int = 1) -> tuple[Beam, ...]:
        """Return a beam in the middle of each part of each interval: see `Apertures.beams`."""
        return self.apertures.beams(self.isocentre_mm, self.sad_mm, parts)

    def rasters(self, model: BeamModel, parts: int = 1) -> list[Raster]:
        """Return the fluence of all fractions, a raster for each of `beams`."""
        return self.apertures.rasters(model, self.machine.dosimetric_leaf_gap_mm, self.fractions, parts)

    def summary(self) -> dict[str, Any]:
        """Return the figures in plain numbers."""
        return {
            "technique": self.technique,
            "machine": self.machine.name,
            "arcs": sum(field.is_arc for field in self.apertures.fields),
            "mu": self.monitor_units,
            "seconds": self.seconds,
            "mean_gap_mm": mean_gap_mm(self.apertures, self.machine.smallest_gap_mm),
            "modulation_complexity": modulation_complexity(self.apertures),
            "violations": len(self.violations),
            "ideal_score": self.ideal_score,
            "sub_angles": self.parts,
        }

    def header(self) -> dict[str, Any]:
        """Return everything but the arrays, fit for JSON."""
        return {
            "technique": self.technique,
            "machine": self.machine.to_dict(),
            "fields": [
                {"gantry_deg": f.gantry_deg, "collimator_deg": f.collimator_deg, "jaws_mm": f.jaws_mm}
                for f in self.apertures.fields
            ],
            "isocentre_mm": self.isocentre_mm,
            "sad_mm": self.sad_mm,
            "fractions": self.fractions,
            "parts": self.parts,
            "ideal_score": self.ideal_score,
        }

    def arrays(self) -> dict[str, Any]:
        """Return leaf ends and monitor units; positions are whole hundredths of a millimetre."""
        apertures = self.apertures
        return {
            "left_mm": apertures.left_mm.astype(np.float32),
            "right_mm": apertures.right_mm.astype(np.float32),
            "monitor_units": apertures.monitor_units,
        }

    @classmethod
    def read(cls, header: Mapping[str, Any], arrays: Mapping[str, Any]) -> Delivery:
        """Put together what `header` and `arrays` returned.

        Raises
        ------
        ValueError
            If they do not belong together.
        """
        machine = Machine.from_dict(header["machine"])
        fields = tuple(
            Field(tuple(f["gantry_deg"]), float(f["collimator_deg"]), tuple(f["jaws_mm"])) for f in header["fields"]
        )
        left, right = (np.round(np.asarray(arrays[name], dtype=float), 2) for name in ("left_mm", "right_mm"))
        apertures = Apertures(fields, machine.boundaries_mm, left, right, np.asarray(arrays["monitor_units"], float))
        z, y, x = header["isocentre_mm"]
        return cls(
            technique=str(header["technique"]),
            machine=machine,
            apertures=apertures,
            isocentre_mm=(float(z), float(y), float(x)),
            sad_mm=float(header["sad_mm"]),
            fractions=int(header["fractions"]),
            parts=int(header["parts"]),
            ideal_score=float(header["ideal_score"]),
        )
