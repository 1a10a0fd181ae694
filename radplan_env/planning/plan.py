"""What the inner loop makes of one set of planning parameters: fluence, dose and evaluation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radplan_env.evaluation import Evaluation
from radplan_env.fluence import FluenceSolution
from radplan_env.grid import Grid, resample
from radplan_env.parameters import PlanningParameters
from radplan_env.protocol import Protocol, load_protocol

Summary = Mapping[str, Any]
"""A plan as `Plan.summary` gives it."""

Volume = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Plan:
    """What the inner loop made of one set of planning parameters, before sequencing.

    Parameters
    ----------
    case_id : str
    protocol : str
        Name of the protocol.
    fidelity : str
    gantry_angles_deg : tuple of float
    parameters : PlanningParameters
    dose_gy : ndarray of float32, shape (z, y, x)
        Total dose on the dose grid, 0 outside the body.
    grid : Grid
        The dose grid.
    evaluation : Evaluation
    solution : FluenceSolution
        Fluence and the solver's report.
    """

    case_id: str
    protocol: str
    fidelity: str
    gantry_angles_deg: tuple[float, ...]
    parameters: PlanningParameters
    dose_gy: Volume
    grid: Grid
    evaluation: Evaluation
    solution: FluenceSolution

    @property
    def fluence(self) -> NDArray[np.float64]:
        """Fluence of every bixel, shape (bixels,)."""
        return self.solution.fluence

    def dose_on(self, grid: Grid) -> Volume:
        """Return the dose in Gy on another grid, by linear interpolation."""
        return resample(self.dose_gy, self.grid, grid)

    def summary(self) -> dict[str, Any]:
        """Return the plan in plain dicts, lists and numbers: what agents read and records hold."""
        judged = self.evaluation
        return {
            "case": self.case_id,
            "score": judged.score,
            "met": judged.met,
            "metrics": {structure: dict(values) for structure, values in judged.metrics.items()},
            "criteria": [result.to_dict() for result in judged.criteria],
            "parameters": self.parameters.to_dict()["structures"],
            "limits": self.parameters.to_dict()["limits"],
            "gantry_angles_deg": list(self.gantry_angles_deg),
            "terms": {
                name: {"points": points, "available": judged.available[name]} for name, points in judged.terms.items()
            },
            "solver": self.solution.summary(),
        }

    def save(self, path: str | Path) -> Path:
        """Write the plan to a .npz file that `Plan.load` reads and `PlanningSystem.replay` confirms."""
        path = Path(path)
        header = {
            "case_id": self.case_id,
            "protocol": self.protocol,
            "fidelity": self.fidelity,
            "gantry_angles_deg": self.gantry_angles_deg,
            "parameters": self.parameters.to_dict(),
            "grid": asdict(self.grid),
            "evaluation": self.evaluation.to_dict(),
            "solution": self.solution.summary(),
        }
        with path.open("wb") as file:
            np.savez_compressed(file, header=np.array(json.dumps(header)), fluence=self.fluence, dose_gy=self.dose_gy)
        return path

    @classmethod
    def load(cls, path: str | Path, protocol: Protocol | None = None) -> Plan:
        """Read what `save` wrote; a protocol that is not the package's own must be handed in.

        Raises
        ------
        ValueError
            If the file is not a whole plan.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                header, fluence, dose = json.loads(str(file["header"])), file["fluence"], file["dose_gy"]
            protocol = load_protocol(header["protocol"]) if protocol is None else protocol
            return cls(
                case_id=header["case_id"],
                protocol=header["protocol"],
                fidelity=header["fidelity"],
                gantry_angles_deg=tuple(header["gantry_angles_deg"]),
                parameters=PlanningParameters.from_dict(header["parameters"]),
                dose_gy=dose,
                grid=Grid(**header["grid"]),
                evaluation=Evaluation.from_dict(header["evaluation"], protocol),
                solution=FluenceSolution.from_summary(header["solution"], fluence, dose.ravel()),
            )
        except FileNotFoundError:
            raise
        except Exception as error:  # a damaged archive can fail in as many ways as zip, json and numpy know
            raise ValueError(f"{path} is not a whole plan file: {error}") from error
