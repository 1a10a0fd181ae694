"""From planning parameters to a delivered plan of one case, and its verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from radplan_env.beams import Beam, Bixels
from radplan_env.case import Case
from radplan_env.delivery.apertures import Apertures
from radplan_env.delivery.delivered import Delivery
from radplan_env.delivery.limits import Violation
from radplan_env.delivery.machine import Machine
from radplan_env.delivery.planner import COLD, ROWS, WARM, AperturePlanner, checked_fields
from radplan_env.delivery.techniques import Layout
from radplan_env.evaluation import Evaluation
from radplan_env.influence.rows import sampled_rows
from radplan_env.parameters import PlanningParameters
from radplan_env.protocol import BoundProtocol
from radplan_env.verdict import Judge, VerdictKind

from .delivered_dose import DeliveredDose
from .inner_problem import InnerProblem
from .plan import Plan
from .stage import Volume


class IdealPlanner(Protocol):
    """Plans the ideal fluence of coarse fields."""

    judge: Judge

    def plan(self, parameters: PlanningParameters, warm_start: Plan | None = None) -> Plan:
        """Return the ideal plan of these parameters."""
        ...

    def columns(self, plan: Plan) -> tuple[tuple[Beam, ...], Bixels]:
        """Return the beams of a plan, and what the values of its fluence belong to."""
        ...


@dataclass(frozen=True, eq=False)
class DeliverablePlan:
    """A plan as a machine delivers it.

    Parameters
    ----------
    plan : Plan
        The plan that was asked for, with its deliverable stage.
    ideal : Plan
        The ideal fluence that the apertures were optimised from: coarse fields all round for arcs, the plan's own beams
        for segments; with the same parameters.
    """

    plan: Plan
    ideal: Plan

    @property
    def delivery(self) -> Delivery:
        """Apertures, machine and technique."""
        assert self.plan.delivery is not None
        return self.plan.delivery

    @property
    def apertures(self) -> Apertures:
        """Leaf ends and monitor units."""
        return self.delivery.apertures

    @property
    def monitor_units(self) -> float:
        """In one fraction."""
        return self.delivery.monitor_units

    @property
    def seconds(self) -> float:
        """How long a fraction takes."""
        return self.delivery.seconds

    @property
    def violations(self) -> tuple[Violation, ...]:
        """Limits of the machine that the plan breaks: none."""
        return self.delivery.violations

    @property
    def dose_gy(self) -> Volume:
        """Total dose of the delivered plan, shape (z, y, x)."""
        return self.plan.dose_gy

    @property
    def evaluation(self) -> Evaluation:
        """What the verdict says of the delivered plan."""
        return self.plan.evaluation

    @property
    def points_lost(self) -> float:
        """By how much its score is below the ideal plan's."""
        return self.ideal.evaluation.score - self.evaluation.score


class Deliverer:
    """Delivers plans of one case by one layout of fields.

    Parameters
    ----------
    case : Case
    protocol : BoundProtocol
    judge : Judge
    technique : str
    machine : Machine
    layout : Layout
    ideal : IdealPlanner
        Of the layout's coarse fields.
    masks : Mapping of str to ndarray of bool
        What the inner loop's rows are members of.
    dose : DeliveredDose
    """

    def __init__(
        self,
        case: Case,
        protocol: BoundProtocol,
        judge: Judge,
        technique: str,
        machine: Machine,
        layout: Layout,
        ideal: IdealPlanner,
        masks: Mapping[str, NDArray[np.bool_]],
        dose: DeliveredDose,
    ) -> None:
        self._technique, self._ideal, self._dose = technique, ideal, dose
        self._fractions = protocol.protocol.fractions
        targets = [protocol.case_name[target.structure] for target in protocol.targets]
        assert ROWS.sampling is not None
        rows = sampled_rows(case, targets, ROWS.sampling, masks)
        self._inner = InnerProblem(protocol, case.id, rows)
        dose_gy = protocol.primary.prescription_gy / self._fractions
        own = case, targets, layout, machine, judge.beam_model, rows
        self._fields = checked_fields(*own)
        self._planner = partial(AperturePlanner, *own, dose_gy, self._fractions)

    @cached_property
    def planner(self) -> AperturePlanner:
        """Of the apertures; made when the first ideal plan is there, whose solve takes memory too."""
        return self._planner()

    def deliver(
        self, plan: Plan, *, parts: int, verdict: VerdictKind, warm_start: Plan | None = None
    ) -> DeliverablePlan:
        """Deliver a plan's parameters; see `PlanningSystem.deliver`."""
        parameters = replace(plan.parameters, gantry_angles_deg=None, collimator_angles_deg=None)
        known = self._usable(warm_start)
        ideal = self._ideal.plan(parameters, None if known is None else known.coarse)
        if known is None or known.delivery is None:
            start, effort = self.planner.start(*self._ideal.columns(ideal), ideal.fluence), COLD
        else:
            start, effort = known.delivery.apertures, WARM
        found = self.planner.optimised(self._inner.problem(parameters), self._inner.target, start, effort)
        beam = self.planner.beams[0]
        delivery = Delivery(
            technique=self._technique,
            machine=self.planner.machine,
            apertures=found,
            isocentre_mm=beam.isocentre_mm,
            sad_mm=beam.sad_mm,
            fractions=self._fractions,
            parts=parts,
            ideal_score=ideal.evaluation.score,
        )
        return DeliverablePlan(self._dose.scaled(plan, delivery, verdict, ideal), ideal)

    def _usable(self, known: Plan | None) -> Plan | None:
        """A plan to start from: of the same fields."""
        if known is None or known.delivery is None:
            return None
        return known if known.delivery.apertures.fields == self._fields else None
