"""What the inner loop makes of one set of planning parameters: fluence, dose and evaluation."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from radplan_env import notebook
from radplan_env.case import Case
from radplan_env.delivery.delivered import Delivery
from radplan_env.evaluation import Evaluation
from radplan_env.fluence import FluenceSolution
from radplan_env.grid import Grid, resample
from radplan_env.info import AsDrawn, Complexity, DeliverySummary, PlanSummary, RobustnessSummary
from radplan_env.parameters import PlanningParameters
from radplan_env.protocol import Protocol, read_protocol
from radplan_env.scorecards import ScorecardIdentity
from radplan_env.verdict import VerdictKind

from .stage import Stage, Volume, captioned

if TYPE_CHECKING:
    from radplan_env.render.drawing import Drawing

FORMAT = 3
"""Of plan files."""

Summary = PlanSummary
"""A plan as `Plan.summary` gives it."""


@dataclass(frozen=True, eq=False)
class Plan:
    """What the inner loop made of one set of planning parameters and, later, what a machine can deliver of it.

    Parameters
    ----------
    case_id : str
    protocol : Protocol
        The whole protocol.
    scorecard : ScorecardIdentity
        By what the plan is scored: name, version and digest.
    fidelity : str
    gantry_angles_deg, collimator_angles_deg : tuple of float
        Of each beam.
    parameters : PlanningParameters
    grid : Grid
        The dose grid.
    ideal : Stage
        Dose and verdict of the ideal fluence, before sequencing.
    solution : FluenceSolution
        What the solver found, before scaling, and its report.
    scaled_by : float
        Factor by which the solver's fluence is scaled so that D95 of the primary target is its prescription on the
        verdict's points.
    as_drawn : AsDrawn
        Coverage of the primary target with its skin, and what cropping takes from each target.
    own_rows_score : float
        Score of the unscaled dose where it was optimised: a diagnostic, no verdict.
    complexity : Complexity
        What delivering it would take; `PlanningSystem.with_rounding` adds what rounding costs.
    verdict : {"full", "sampled"}
        Whether it was judged on all points of the verdict.
    deliverable : Stage, optional
        Dose and evaluation of the deliverable plan, once there is one.
    delivery : Delivery, optional
        Its apertures.
    robustness : RobustnessSummary, optional
        What becomes of them under errors, of a plan that is handed over.
    coarse : Plan, optional
        The ideal fluence that they were optimised from; in memory only.
    """

    case_id: str
    protocol: Protocol
    scorecard: ScorecardIdentity
    fidelity: str
    gantry_angles_deg: tuple[float, ...]
    collimator_angles_deg: tuple[float, ...]
    parameters: PlanningParameters
    grid: Grid
    ideal: Stage
    solution: FluenceSolution
    scaled_by: float
    as_drawn: AsDrawn
    own_rows_score: float
    complexity: Complexity
    verdict: VerdictKind = "full"
    deliverable: Stage | None = None
    delivery: Delivery | None = None
    robustness: RobustnessSummary | None = None
    coarse: Plan | None = field(default=None, repr=False)

    @property
    def stage(self) -> Stage:
        """The last stage there is: what is shown, exported and summed up."""
        return self.ideal if self.deliverable is None else self.deliverable

    @property
    def dose_gy(self) -> Volume:
        """Total dose of the last stage, shape (z, y, x)."""
        return self.stage.dose_gy

    @property
    def evaluation(self) -> Evaluation:
        """Evaluation of the last stage."""
        return self.stage.evaluation

    def delivered(
        self,
        dose_gy: Volume,
        evaluation: Evaluation,
        delivery: Delivery,
        robustness: RobustnessSummary | None,
        coarse: Plan | None = None,
    ) -> Plan:
        """Return the plan with a deliverable stage."""
        return replace(
            self,
            deliverable=Stage("deliverable", dose_gy, evaluation),
            delivery=delivery,
            robustness=robustness,
            coarse=self.coarse if coarse is None else coarse,
        )

    @property
    def fluence(self) -> NDArray[np.float64]:
        """Fluence of every bixel of the scaled plan, shape (bixels,)."""
        scaled: NDArray[np.float64] = self.scaled_by * self.solution.fluence
        return scaled

    def dose_on(self, grid: Grid) -> Volume:
        """Return the dose in Gy on another grid, by linear interpolation."""
        return resample(self.dose_gy, self.grid, grid)

    def show(self, case: Case, *, title: str | None = None) -> Drawing:
        """Draw the plan: dose on three planes, DVHs, criteria, parameters; a figure that notebooks show.

        Parameters
        ----------
        case : Case
            Whose plan it is.
        title : str, optional

        Raises
        ------
        ValueError
            If the plan is of another case.
        """
        from radplan_env.render import plan_figure  # matplotlib is slow to import

        if case.id != self.case_id:
            raise ValueError(f"this is a plan of {self.case_id}, not of {case.id}")
        return plan_figure(
            case,
            self.dose_on(case.grid),
            self.summary(),
            prescription_gy=self.protocol.primary.prescription_gy,
            title=title or captioned(f"{case.id}, {self.fidelity}", [self.stage.kind]),
            dvh=self.evaluation.dvh,
            reference_dose_gy=case.reference_dose_gy,
        )

    def dvh(self, *, title: str | None = None) -> Drawing:
        """Draw the dose-volume histograms of the last stage, as the verdict sees them."""
        from radplan_env.render import dvh_figure  # matplotlib is slow to import

        prescription_gy = self.protocol.primary.prescription_gy
        return dvh_figure(self.evaluation.dvh, prescription_gy=prescription_gy, title=title or self.case_id)

    def __repr__(self) -> str:
        judged = self.evaluation
        met = sum(result.passed for result in judged.criteria)
        screen = "is refused by" if judged.screened is False else "passes"
        return (
            f"Plan({self.case_id!r}, {self.stage.kind}, {self.fidelity}: score {judged.score:.1f}, "
            f"{met} of {len(judged.criteria)} criteria met, {screen} the screen)"
        )

    def _repr_html_(self) -> str:
        chosen = self.parameters
        caption = f"{self.stage.kind} plan of {self.case_id}, {self.fidelity}"
        rows = [(name, f"{one.weight:g}", f"{one.objective_dose_gy:g}") for name, one in chosen.structures.items()]
        parameters = notebook.table(caption, ("structure", "weight", "objective dose, Gy"), rows)
        return parameters + self.evaluation._repr_html_()

    def summary(self) -> PlanSummary:
        """Return the last stage in plain dicts, lists and numbers: what agents read and records hold."""
        judged = self.evaluation
        chosen = self.parameters.to_dict()
        return {
            "case": self.case_id,
            "stage": self.stage.kind,
            "score": judged.score,
            "screened": judged.screened,
            "reasons": list(judged.verdict.reasons),
            "verdict": self.verdict,
            "scaled_by": self.scaled_by,
            "as_drawn": deepcopy(self.as_drawn),
            "own_rows_score": self.own_rows_score,
            "complexity": deepcopy(self.complexity),
            "met": judged.met,
            "metrics": {structure: dict(values) for structure, values in judged.metrics.items()},
            "criteria": [result.to_dict() for result in judged.criteria],
            "parameters": chosen["structures"],
            "limits": chosen["limits"],
            "smoothness": chosen["smoothness"],
            "gantry_angles_deg": list(self.gantry_angles_deg),
            "collimator_angles_deg": list(self.collimator_angles_deg),
            "terms": {
                name: {"points": points, "available": judged.available[name]} for name, points in judged.terms.items()
            },
            "solver": self.solution.summary(),
            "delivered": self._delivered(),
        }

    def _delivered(self) -> DeliverySummary | None:
        if self.delivery is None or self.deliverable is None:
            return None
        judged = self.deliverable.evaluation
        summary: Any = {
            "score": judged.score,
            "screened": judged.screened,
            **self.delivery.summary(),
            "robustness": deepcopy(self.robustness),
        }
        described: DeliverySummary = summary
        return described

    def save(self, path: str | Path) -> Path:
        """Write the plan, its protocol within, to a .npz file that `Plan.load` reads."""
        path = Path(path)
        stages = [self.ideal] if self.deliverable is None else [self.ideal, self.deliverable]
        header = {
            "format": FORMAT,
            "case_id": self.case_id,
            "protocol": self.protocol.to_dict(),
            "scorecard": self.scorecard,
            "fidelity": self.fidelity,
            "gantry_angles_deg": self.gantry_angles_deg,
            "collimator_angles_deg": self.collimator_angles_deg,
            "parameters": self.parameters.to_dict(),
            "grid": asdict(self.grid),
            "scaled_by": self.scaled_by,
            "as_drawn": self.as_drawn,
            "own_rows_score": self.own_rows_score,
            "complexity": self.complexity,
            "verdict": self.verdict,
            "stages": {stage.kind: stage.evaluation.to_dict() for stage in stages},
            "solution": self.solution.summary(),
            "delivery": None if self.delivery is None else self.delivery.header(),
            "robustness": self.robustness,
        }
        arrays: dict[str, Any] = {f"{stage.kind}_dose_gy": stage.dose_gy for stage in stages}
        if self.delivery is not None:
            arrays |= self.delivery.arrays()
        with path.open("wb") as file:
            np.savez_compressed(file, header=np.array(json.dumps(header)), fluence=self.solution.fluence, **arrays)
        return path

    @classmethod
    def load(cls, path: str | Path) -> Plan:
        """Read what `save` wrote; nothing else is needed, neither of the package's protocols nor of the run.

        Raises
        ------
        ValueError
            If the file is not a whole plan of this format.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                header = json.loads(str(file["header"]))
                if header.get("format") != FORMAT:
                    raise ValueError(f"it is of format {header.get('format', 'unknown')}, this is format {FORMAT}")
                protocol = read_protocol(header["protocol"], f"of {path}")
                stages = {
                    kind: Stage(kind, file[f"{kind}_dose_gy"], Evaluation.from_dict(judged, protocol))
                    for kind, judged in header["stages"].items()
                }
                ideal, fluence = stages["ideal"], file["fluence"]
                dose: Any = ideal.dose_gy.ravel()
                delivery = None if header["delivery"] is None else Delivery.read(header["delivery"], file)
            return cls(
                case_id=header["case_id"],
                protocol=protocol,
                scorecard=header["scorecard"],
                fidelity=header["fidelity"],
                gantry_angles_deg=tuple(header["gantry_angles_deg"]),
                collimator_angles_deg=tuple(header["collimator_angles_deg"]),
                parameters=PlanningParameters.from_dict(header["parameters"]),
                grid=Grid(**header["grid"]),
                ideal=ideal,
                solution=FluenceSolution.from_summary(header["solution"], fluence, dose / header["scaled_by"]),
                scaled_by=header["scaled_by"],
                as_drawn=header["as_drawn"],
                own_rows_score=header["own_rows_score"],
                complexity=header["complexity"],
                verdict=header["verdict"],
                deliverable=stages.get("deliverable"),
                delivery=delivery,
                robustness=header["robustness"],
            )
        except FileNotFoundError:
            raise
        except Exception as error:  # a damaged archive can fail in as many ways as zip, json and numpy know
            raise ValueError(f"{path} is not a whole plan file: {error}") from error
