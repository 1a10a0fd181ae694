"""Whether and how the plans of a planning system are delivered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from radplan_env.case import Case
from radplan_env.delivery.delivered import Delivery
from radplan_env.delivery.machine import Machine, machine_named
from radplan_env.delivery.planner import checked_fields
from radplan_env.delivery.techniques import FINE_PARTS, DeliverWhen, Layout, checked_technique, layout_of
from radplan_env.influence.rows import Rows
from radplan_env.protocol import BoundProtocol
from radplan_env.verdict import Judge

from .delivered_dose import DeliveredDose
from .delivering import DeliverablePlan, Deliverer, IdealPlanner
from .plan import Plan

_MANY_FIELDS, _FEWER_FIELDS = 18, 12  # coarse fields of an arc; fewer for several targets, which take more bixels


@dataclass(frozen=True)
class DeliverySettings:
    """How plans are delivered, and which.

    Parameters
    ----------
    technique : {"none", "vmat", "step-and-shoot"}
        Arcs, from evenly spaced coarse fields, or ten segments of each of the plan's beams; "none" leaves plans ideal.
    machine : Machine or str
        Or the name or YAML file of one: see `radplan_env.delivery.machine`.
    arcs : int
        How many, with "vmat".
    when : {"each", "final"}
        Whether every plan is delivered, or only that which an episode hands over.

    Raises
    ------
    ValueError
        If the technique or the machine is unknown, or `when` neither.
    """

    technique: str = "none"
    machine: Machine | str = "millennium120"
    arcs: int = 1
    when: DeliverWhen = "each"

    def __post_init__(self) -> None:
        checked_technique(self.technique)
        if self.when not in ("each", "final"):
            raise ValueError(f"deliver each plan or the final one, not {self.when!r}")
        if isinstance(self.machine, str):
            object.__setattr__(self, "machine", machine_named(self.machine))

    @property
    def chosen_machine(self) -> Machine:
        """The machine itself, where its name was given."""
        assert isinstance(self.machine, Machine)
        return self.machine

    @property
    def each(self) -> bool:
        """Whether every plan is delivered."""
        return self.technique != "none" and self.when == "each"


@dataclass(frozen=True, eq=False)
class Deliveries:
    """Delivers the plans of one case; holds what the last technique, machine and beams need.

    Parameters
    ----------
    case : Case
    protocol : BoundProtocol
    judge : Judge
    masks : Mapping of str to ndarray of bool
        What the inner loop's rows are members of.
    shown : Rows
        Where doses are shown.
    ideal : callable
        Makes a planner of the ideal fluence of a layout's coarse fields.
    settings : DeliverySettings
    """

    case: Case
    protocol: BoundProtocol
    judge: Judge
    masks: Mapping[str, NDArray[np.bool_]]
    shown: Rows
    ideal: Callable[[Layout], IdealPlanner]
    settings: DeliverySettings
    _dose: DeliveredDose = field(init=False, repr=False)
    _held: dict[tuple[Machine, Layout], Deliverer] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_dose", DeliveredDose(self.case, self.judge, self.shown))

    def deliver(
        self, plan: Plan, settings: DeliverySettings, *, warm_start: Plan | None, final: bool
    ) -> DeliverablePlan:
        """Deliver a plan's parameters; see `PlanningSystem.deliver`."""
        if plan.case_id != self.case.id:
            raise ValueError(f"a plan of {plan.case_id} cannot be delivered to {self.case.id}")
        deliverer, parts = self._deliverer(plan, settings), FINE_PARTS if final else 1
        return deliverer.deliver(plan, parts=parts, verdict=plan.verdict, warm_start=warm_start)

    def check(self, settings: DeliverySettings, *angles_deg: tuple[float, ...]) -> None:
        """Raise ValueError if plans of these gantry and collimator angles cannot be delivered."""
        targets = [self.protocol.case_name[target.structure] for target in self.protocol.targets]
        machine, layout = settings.chosen_machine, self._layout(settings, *angles_deg)
        checked_fields(self.case, targets, layout, machine, self.judge.beam_model, self.shown)

    def each(self, plan: Plan, warm_start: Plan | None) -> Plan:
        """Return a plan that an episode makes: delivered, where every plan is."""
        if not self.settings.each:
            return plan
        return self.deliver(plan, self.settings, warm_start=warm_start, final=False).plan

    def handed_over(self, plan: Plan, delivered: Plan) -> Plan:
        """Return a plan judged in full as it is handed over; `delivered` is the same plan as the episode knows it."""
        if self.settings.technique == "none":
            return plan
        if delivered.delivery is None:
            return self.deliver(plan, self.settings, warm_start=None, final=True).plan
        if delivered.delivery.final and delivered.verdict == plan.verdict:
            return delivered
        finely = replace(delivered.delivery, parts=FINE_PARTS)
        return self._dose.scaled(plan, finely, plan.verdict, delivered.coarse)

    def again(self, plan: Plan, delivery: Delivery | None) -> Plan:
        """Return a plan with the dose and verdict of apertures, without optimising.

        Raises
        ------
        ValueError
            If the apertures are for another number of fractions than the protocol's.
        """
        if delivery is None:
            return plan
        if delivery.fractions != (fractions := self.protocol.protocol.fractions):
            raise ValueError(f"apertures of {delivery.fractions} fractions do not fit a protocol of {fractions}")
        return self._dose.again(plan, delivery, plan.verdict)

    def _layout(self, settings: DeliverySettings, *angles_deg: tuple[float, ...]) -> Layout:
        fields = _MANY_FIELDS if len(self.protocol.targets) == 1 else _FEWER_FIELDS
        return layout_of(settings.technique, settings.chosen_machine, settings.arcs, fields, *angles_deg)

    def _deliverer(self, plan: Plan, settings: DeliverySettings) -> Deliverer:
        key = settings.chosen_machine, self._layout(settings, plan.gantry_angles_deg, plan.collimator_angles_deg)
        if key not in self._held:
            self._held.clear()  # each holds a K
            own = self.case, self.protocol, self.judge, settings.technique, *key
            ideal = self.ideal(key[1])
            ideal.judge = self.judge  # whose points and traced beams are large
            self._held[key] = Deliverer(*own, ideal, self.masks, self._dose)
        return self._held[key]
