"""What changes from step to step, and what the environment tells of it in `info`."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field

from radplan_env.actions import ActionMap
from radplan_env.beam_angles import gantry_angles
from radplan_env.criterion import Criterion
from radplan_env.info import CriterionTask, HistoryEntry, PlanSummary, TaskInfo
from radplan_env.parameters import PlanningParameters
from radplan_env.planning import Plan, PlanningSystem
from radplan_env.render.image import CaseImage

Angles = tuple[float, ...]


MOST_TURNS = 2
"""Sets of gantry angles of its own that an episode may plan with, beside those of its environment."""


@dataclass
class Episode:
    """An episode under way: the case, the parameters and plan of the last step, and what came before."""

    system: PlanningSystem
    parameters: PlanningParameters
    image: CaseImage | None = None
    plan: Plan | None = None
    history: list[HistoryEntry] = field(default_factory=list)
    over: bool = False
    turned: list[Angles] = field(default_factory=list)
    """Sets of gantry angles of its own that it has planned with."""

    def check_beams(self, *sets: Angles | None) -> None:
        """See that plans with these gantry angles may follow; None stands for the environment's.

        Each set that is new makes a dose-influence matrix, which takes as long as a new patient does.

        Raises
        ------
        ValueError
            If they are no angles, not as many as the environment's, belong to arcs, or are one set too many.
        """
        known = [self.system.gantry_angles_deg, *self.turned]
        new = [angles for angles in dict.fromkeys(sets) if angles is not None and angles not in known]
        if not new:
            return
        if self.system.delivery.technique == "vmat":
            raise ValueError("plans are delivered as arcs: there are no gantry angles to choose")
        beams = len(self.system.gantry_angles_deg)
        for angles in new:
            if len(gantry_angles(angles)) != beams:
                raise ValueError(f"give {beams} gantry angles, as many as there are beams, not {len(angles)}")
        if len(self.turned) + len(new) > MOST_TURNS:
            raise ValueError(
                f"an episode plans with at most {MOST_TURNS} sets of gantry angles beside the environment's, and "
                f"{len(self.turned)} have been used; go back to one of those"
            )

    def turn(self, angles: Angles) -> None:
        """Note that a plan was made with these gantry angles."""
        if angles not in (self.system.gantry_angles_deg, *self.turned):
            self.turned.append(angles)

    def add(self, plan: Plan) -> None:
        """Take up the plan that a step made."""
        self.plan, self.parameters = plan, plan.parameters
        self.turn(plan.gantry_angles_deg)
        self.history.append(
            {
                "step": len(self.history) + 1,
                "score": plan.evaluation.score,
                "met": plan.evaluation.met,
                "parameters": plan.parameters.to_dict()["structures"],
            }
        )

    def summary(self) -> PlanSummary:
        """Return ``info["plan"]``."""
        if self.plan is None:
            return _no_plan(self.system, self.parameters)
        return {**self.plan.summary(), "history": deepcopy(self.history)}

    def task(self, action_map: ActionMap, budget: int) -> TaskInfo:
        """Return what there is to know before the first solve."""
        bound, case, scorecard = self.system.protocol, self.system.case, self.system.scorecard
        ranges = action_map.ranges()
        return {
            "case": {
                "id": case.id,
                "source": case.source,
                "synthetic": case.synthetic,
                "structures": list(bound.structures),
                "missing": list(bound.missing),
            },
            "protocol": {
                "name": bound.name,
                "title": bound.protocol.title,
                "fractions": bound.protocol.fractions,
                "prescriptions_gy": {target.structure: target.prescription_gy for target in bound.targets},
                "criteria": [_described(criterion) for criterion in bound.criteria],
            },
            "scorecard": {"name": scorecard.name, "version": scorecard.version},
            "ranges": {name: ranges[name] for name in bound.structures},
            "start_parameters": self.parameters.to_dict()["structures"],
            "budget": budget,
        }


def _no_plan(system: PlanningSystem, parameters: PlanningParameters) -> PlanSummary:
    """The summary, to be drawn, of an episode before its first solve."""
    chosen = parameters.to_dict()
    nan = float("nan")
    return {
        "case": system.case.id,
        "stage": "ideal",
        "score": 0.0,
        "screened": None,
        "reasons": [],
        "verdict": system.verdict,
        "scaled_by": 1.0,
        "as_drawn": {"d95_gy": 0.0, "cropped_cc": dict(system.judge.cropped_cc)},
        "own_rows_score": 0.0,
        "complexity": {"mu_per_fraction": 0.0, "highest_over_median": 0.0},
        "met": False,
        "metrics": {},
        "criteria": [],
        "parameters": chosen["structures"],
        "limits": chosen["limits"],
        "smoothness": chosen["smoothness"],
        "gantry_angles_deg": list(system.gantry_angles_deg),
        "collimator_angles_deg": list(system.collimator_angles_deg),
        "terms": {},
        "solver": {"converged": False, "iterations": 0, "objective": nan, "kkt_residual": nan},
        "delivered": None,
        "history": [],
    }


def _described(criterion: Criterion) -> CriterionTask:
    return {
        "structure": criterion.structure,
        "metric": criterion.metric,
        "upper": criterion.upper,
        "limit": criterion.limit,
        "unit": criterion.unit,
        "priority": criterion.priority,
    }
