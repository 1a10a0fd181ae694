"""A planning system without Gymnasium: planning parameters in, plans out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radplan_env.beam_angles import collimator_angles, gantry_angles
from radplan_env.beam_models import DEFAULT_BEAM_MODEL, beam_model_named
from radplan_env.beams import Beam, Bixels
from radplan_env.case import Case
from radplan_env.delivery.delivered import Delivery
from radplan_env.delivery.machine import Machine
from radplan_env.delivery.planner import BIXEL_MM, OFFSET
from radplan_env.delivery.techniques import Layout
from radplan_env.dose import prepare
from radplan_env.evaluation import Evaluation, evaluate
from radplan_env.fluence import FluenceProblem, FluenceSolution, inner_solver
from radplan_env.influence import Fidelity, dose_grid, fidelity_named, goes_beyond_k, influence, rows_of
from radplan_env.influence.rows import Rows, rows_of_grid
from radplan_env.metrics import dose_at_volume
from radplan_env.parameters import PlanningParameters
from radplan_env.protocol import BoundProtocol, Protocol, load_protocol
from radplan_env.scorecards import Scorecard, ScorecardIdentity, check_scorecard, load_scorecard, scorecard_for
from radplan_env.verdict import Judge, VerdictKind
from radplan_env.verdict.against_reference import AgainstReference, compared, judged_voxels, voxel_points

from .beam_set import BeamSet
from .complexity import complexity, rounded
from .delivered_dose import dose_of
from .deliveries import Deliveries, DeliverySettings
from .delivering import DeliverablePlan
from .inner_problem import InnerProblem, with_outside
from .plan import Plan, Summary
from .request import PlanRequest
from .stage import Stage

Angles = tuple[tuple[float, ...], tuple[float, ...]]
"""Gantry and collimator angles of the beams."""

_COMPUTED_ANEW = ("objective", "objective_by_structure", "roughness")  # of a solver's report, when a plan is restored
_KEPT_BEAM_SETS = 2  # an outer loop that turns the beams compares few sets at a time; each holds a K


class PlanningSystem:
    """Plans one case: holds its dose-influence matrix and turns planning parameters into plans.

    Parameters
    ----------
    case : Case
    protocol : Protocol, BoundProtocol or str
        Or the name or path of one.
    fidelity : str or Fidelity
    gantry_angles_deg : sequence of float, optional
        The protocol's beams by default.
    collimator_angles_deg : float or sequence of float, optional
        One for all beams or one for each; the protocol's by default, or 0 where `gantry_angles_deg` are given.
    scorecard : Scorecard or str, optional
        By what plans are scored, or its name: see `radplan_env.scorecards`. By default v1, or v0 for a protocol
        without a section of v1.
    verdict : {"full", "sampled"}
        Whether plans are judged on all points of the verdict or, for training, on a fixed subset: see
        `radplan_env.verdict`.
    delivery : DeliverySettings, optional
        How plans are delivered, and so judged; by default they are ideal.
    beam_model : str, optional
        Of K and of the dose that plans are judged by, one of `radplan_env.beam_models.BEAM_MODELS`; "generic-6x" by
        default, and with engine "pyradplan" the only one that it knows, "matrad-generic".
    backend : str
        Solver of the inner loop, one of `radplan_env.fluence.solver_names()`.
    engine, cache_dir : str, str or Path, optional
        What computes K, and where it is kept: see `radplan_env.influence.influence`.
    progress : bool
        Whether computing K shows a progress bar.

    Raises
    ------
    CaseError
        If the case lacks the protocol's primary target.
    ValueError
        If the fidelity, backend, engine, protocol, scorecard or beams are unknown or invalid.
    """

    def __init__(
        self,
        case: Case,
        protocol: Protocol | BoundProtocol | str | Path,
        *,
        fidelity: str | Fidelity = "standard",
        gantry_angles_deg: Any = None,
        collimator_angles_deg: Any = None,
        scorecard: Scorecard | str | None = None,
        verdict: VerdictKind = "full",
        delivery: DeliverySettings | None = None,
        beam_model: str | None = None,
        backend: str = "newton",
        engine: str = "radplan",
        cache_dir: str | Path | None = None,
        progress: bool = True,
    ) -> None:
        if isinstance(protocol, str | Path):
            protocol = load_protocol(protocol)
        self.case = case
        self.protocol = protocol.bind(case) if isinstance(protocol, Protocol) else protocol
        self.scorecard = scorecard_for(self.protocol) if scorecard is None else load_scorecard(scorecard)
        check_scorecard(self.scorecard, self.protocol.protocol)
        self.fidelity = fidelity = fidelity_named(fidelity)
        targets = [self.protocol.case_name[target.structure] for target in self.protocol.targets]

        if beam_model is None:
            beam_model = "matrad-generic" if engine == "pyradplan" else DEFAULT_BEAM_MODEL
        model = beam_model_named(beam_model)
        self.judge = Judge(case, self.protocol, self.scorecard, beam_model=beam_model)
        masks = {**case.structures, **self._regions()}
        self.grid = dose_grid(case, fidelity)
        shown = rows_of_grid(case, self.grid, masks)
        seen = shown if fidelity.sampling is None else rows_of(case, targets, fidelity, masks)
        self._shown, self._seen = shown, seen
        self._inner = inner = InnerProblem(self.protocol, case.id, seen)

        # Without `self`: a system must be freed when the last who uses it lets go, not when the collector comes by.
        def beams(gantry: tuple[float, ...], collimator: tuple[float, ...]) -> BeamSet:
            settings: dict[str, Any] = {"engine": engine, "cache_dir": cache_dir, "progress": progress}
            settings |= {"rows": seen, "collimator_angles_deg": collimator, "beam_model": beam_model}
            k = influence(case, gantry, targets, fidelity, **settings)
            traced_shown = None if seen is shown else prepare(case, k.beams, shown.points_mm, beam_model=model)
            traced_seen = prepare(case, k.beams, seen.points_mm, beam_model=model) if goes_beyond_k(model) else None
            return BeamSet(k, inner_solver(backend, k.matrix, k.bixels), inner.target, traced_seen, traced_shown)

        self._settings = {"fidelity": fidelity, "gantry_angles_deg": gantry_angles_deg, "backend": backend}
        self._settings |= {"collimator_angles_deg": collimator_angles_deg, "cache_dir": cache_dir, "progress": progress}
        self._settings |= {"scorecard": self.scorecard, "verdict": verdict, "beam_model": beam_model, "engine": engine}
        settings = {**self._settings, "fidelity": replace(fidelity, bixel_mm=BIXEL_MM, bixel_offset=OFFSET)}
        ideal = partial(_coarse, case, self.protocol, settings)
        self.delivery = DeliverySettings() if delivery is None else delivery
        self._deliveries = Deliveries(case, self.protocol, self.judge, masks, shown, ideal, self.delivery)
        self.solves = 0
        """How many inner optimisations this system has made: the unit of every budget."""
        self._beams = lru_cache(_KEPT_BEAM_SETS)(beams)
        own = self.protocol.protocol
        self.gantry_angles_deg = (
            own.gantry_angles_deg if gantry_angles_deg is None else gantry_angles(gantry_angles_deg)
        )
        if collimator_angles_deg is None:
            collimator_angles_deg = own.collimator_angles_deg if gantry_angles_deg is None else 0.0
        self.collimator_angles_deg = collimator_angles(collimator_angles_deg, len(self.gantry_angles_deg))
        self.verdict: VerdictKind = verdict
        self._beams(self.gantry_angles_deg, self.collimator_angles_deg)  # a new patient's K is computed here

    def __reduce__(self) -> tuple[Any, ...]:
        # K is left out: a copy computes it again, or reads it from the cache, and the numbers are the same.
        return _again, (self.case, self.protocol, {**self._settings, "delivery": self.delivery}, self.solves)

    def plan(self, parameters: PlanningParameters, warm_start: Plan | None = None) -> Plan:
        """Optimise the fluence for these parameters: one solve.

        Parameters
        ----------
        parameters : PlanningParameters
            For every structure the protocol and the case share. Weight 0 leaves a structure out. Limits that cannot
            be held are reported as not met in ``plan.solution.constraints``.
        warm_start : Plan, optional
            A plan of this case to start from; used if its beams are the same and its limits, if any, were met.

        Raises
        ------
        ValueError
            If a structure has no parameters, or one with parameters or a limit is none of this case's; if
            `warm_start` is of another case.
        """
        return self.plan_batch([PlanRequest(parameters, warm_start)])[0]

    def plan_batch(self, requests: Sequence[PlanRequest]) -> list[Plan]:
        """Make several plans in one go; each is, to the last bit, what `plan` makes of its request alone.

        Raises
        ------
        ValueError
            As `plan`; all requests are checked before the first is solved.
        """
        by_beams: dict[Angles, dict[int, FluenceProblem]] = {}
        for index, request in enumerate(requests):
            angles = self._angles(request.parameters)
            by_beams.setdefault(angles, {})[index] = self._problem(request, angles)
        self.solves += len(requests)
        plans: dict[int, Plan] = {}
        for angles, problems in by_beams.items():
            beams = self._beams(*angles)
            for index, solution in zip(problems, beams.solver.solve_batch(list(problems.values())), strict=True):
                made = self._plan(requests[index].parameters, angles, beams, solution)
                plans[index] = self._deliveries.each(made, requests[index].warm_start)
        return [plans[index] for index in range(len(requests))]

    def deliver(
        self,
        plan: Plan,
        technique: str = "vmat",
        machine: Machine | str = "millennium120",
        arcs: int = 1,
        *,
        warm_start: Plan | None = None,
        final: bool = True,
    ) -> DeliverablePlan:
        """Deliver a plan's parameters on a machine: scaled to cover the primary target, within the machine's limits.

        Parameters
        ----------
        plan : Plan
            Of this case.
        technique, machine, arcs : str, Machine or str, int
            See `DeliverySettings`.
        warm_start : Plan, optional
            A delivered one of this case to start from; used if its fields are the same.
        final : bool
            Whether to divide intervals of 4 degrees for the verdict's dose, as for a plan that is handed over.

        Raises
        ------
        ValueError
            If the technique or machine is unknown, the target does not fit the collimator, or the plan is of another
            case.
        """
        settings = DeliverySettings(technique, machine, arcs)
        return self._deliveries.deliver(plan, settings, warm_start=warm_start, final=final)

    def check_delivery(self, settings: DeliverySettings) -> None:
        """Raise ValueError if a plan of the system's beams cannot be delivered so, without planning or computing K."""
        self._deliveries.check(settings, self.gantry_angles_deg, self.collimator_angles_deg)

    def columns(self, plan: Plan) -> tuple[tuple[Beam, ...], Bixels]:
        """Return the beams of a plan of this system, and what the values of its fluence belong to."""
        k = self._beams(plan.gantry_angles_deg, plan.collimator_angles_deg).k
        return k.beams, k.bixels

    def replay(self, plan: Plan) -> Plan:
        """Compute dose and evaluation anew from a plan's fluence, without solving.

        Raises
        ------
        ValueError
            If the plan is of another case or its fluence does not fit the beams.
        """
        return self.restore(plan.summary(), plan.solution.fluence, plan.delivery)

    def restore(self, summary: Summary, fluence: NDArray[np.float64], delivery: Delivery | None = None) -> Plan:
        """Make a plan again from its summary, its fluence and its apertures, without solving.

        Dose, evaluation and objective are computed anew; how the solver fared is taken from the summary.

        Parameters
        ----------
        summary : PlanSummary
            What `Plan.summary` returned.
        fluence : ndarray, shape (bixels,)
            As the inner loop found it, ``plan.solution.fluence``.
        delivery : Delivery, optional
            ``plan.delivery``, of a delivered plan.

        Raises
        ------
        ValueError
            If the plan is of another case, the fluence does not fit the beams or is no fluence, or the parameters
            are not this case's.
        """
        parameters = replace(
            PlanningParameters.of_plan(summary),
            gantry_angles_deg=tuple(summary["gantry_angles_deg"]),
            collimator_angles_deg=tuple(summary["collimator_angles_deg"]),
        )
        self._inner.check(parameters)
        angles = self._angles(parameters)
        beams = self._beams(*angles)
        if summary["case"] != self.case.id or fluence.shape != (len(beams.k.bixels),):
            raise ValueError(f"the plan of {summary['case']} does not fit {self.case.id} with these beams")
        if not (np.isfinite(fluence).all() and (fluence >= 0).all()):
            raise ValueError("a fluence must be finite and nowhere negative")
        problem = self._inner.problem(parameters, smoothness=beams.smoothness(self._smoothness(parameters)))
        dose = beams.dose_seen(fluence)
        judged = FluenceSolution.of(problem, fluence, dose, kkt_residual=0.0, iterations=0).summary()
        report = {**summary["solver"], **{name: judged[name] for name in _COMPUTED_ANEW}}
        solution = FluenceSolution.from_summary(report, fluence, dose)
        return self._deliveries.again(self._plan(parameters, angles, beams, solution, summary["verdict"]), delivery)

    def evaluate(self, dose_gy: NDArray[Any]) -> Evaluation:
        """Evaluate a dose (z, y, x) in Gy on the dose grid, where plans are shown: a diagnostic, no verdict.

        Raises
        ------
        ValueError
            If its shape is not the grid's, or it holds NaN, infinite or negative values.
        """
        return self._evaluate_rows(self._at_shown(dose_gy), self._shown)

    def doses(self, dose_gy: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Return the doses of a dose (z, y, x) on the dose grid in each structure's voxels, by its name in the case.

        "OutsideTargets" and the regions that scorecards ask for are among them.

        Raises
        ------
        ValueError
            If its shape is not the grid's.
        """
        dose = self._at_shown(dose_gy)
        return {name: dose[index] for name, index in with_outside(self._shown, self.protocol).items()}

    def _at_shown(self, dose_gy: NDArray[Any]) -> NDArray[Any]:
        if dose_gy.shape != self.grid.shape:
            raise ValueError(f"the dose has shape {dose_gy.shape}, the dose grid {self.grid.shape}")
        return dose_gy.ravel()[self._shown.index]

    def judged_in_full(self, plan: Plan) -> Plan:
        """Return a plan of this case judged on all points of the verdict; with a technique, delivered, and finely."""
        angles, full = (plan.gantry_angles_deg, plan.collimator_angles_deg), plan
        if plan.verdict != "full":
            full = self._plan(plan.parameters, angles, self._beams(*angles), plan.solution, "full")
        return self._deliveries.handed_over(full, plan)

    def with_rounding(self, plan: Plan) -> Plan:
        """Return a plan of this case whose `complexity` says what rounding its fluence to ten levels costs.

        It takes one more dose and verdict, so plans do not have it of themselves. The rounded plan is scaled and judged
        as any other; the cost is the plan's score less that, in points.
        """
        k = self._beams(plan.gantry_angles_deg, plan.collimator_angles_deg).k
        judged = self.judge.judge(k.beams, k.bixels, rounded(k.bixels, plan.solution.fluence), plan.verdict)
        cost = plan.ideal.evaluation.score - judged.evaluation.score
        return replace(plan, complexity={**plan.complexity, "rounding_costs": cost})

    def _evaluate_rows(self, dose: NDArray[Any], rows: Rows) -> Evaluation:
        members = with_outside(rows, self.protocol)
        return evaluate(
            {name: dose[index] for name, index in members.items()},
            {name: rows.volumes_cc[index] for name, index in members.items()},
            self.protocol,
            self.scorecard,
            in_targets_percent=self.judge.in_targets_percent,
        )

    @cached_property
    def reference(self) -> Evaluation | None:
        """Evaluation of the case's reference plan, or None if it has none.

        On the voxels of the case, where that plan was computed: resampling it to the dose grid would blur its
        edges and take about 1 Gy off the D95 of an OpenKBP target. It is scaled to D95 = Rx of the primary target, as
        every plan is. These are not the verdict's points: `against_reference` compares like with like.
        """
        dose, factor = self.case.reference_dose_gy, self.reference_scaled_by
        if dose is None or factor is None:
            return None
        case_name = self.protocol.case_name
        masks = {case_name.get(name, name): mask for name, mask in self.judge.regions.masks.items()}
        return evaluate(
            {name: factor * dose[mask] for name, mask in masks.items()},
            self.case.grid.voxel_cc,
            self.protocol,
            self.scorecard,
            scaled_by=factor,
            in_targets_percent=self.judge.in_targets_percent,
        )

    @cached_property
    def reference_scaled_by(self) -> float | None:
        """Factor of the case's reference plan to D95 = Rx of the primary target; 1 for one without dose."""
        dose, primary = self.case.reference_dose_gy, self.protocol.primary
        if dose is None:
            return None
        d95 = dose_at_volume(dose[self.judge.regions.masks[primary.structure]], 95)
        return primary.prescription_gy / d95 if d95 > 0 else 1.0

    @cached_property
    def _scorecard_identity(self) -> ScorecardIdentity:
        return self.scorecard.identity

    def _regions(self) -> dict[str, NDArray[np.bool_]]:
        """Masks of targets without what lies under the skin, and of the regions that scorecards ask for."""
        case_name = self.protocol.case_name
        return {case_name.get(name, name): mask for name, mask in self.judge.regions.masks.items() if name != "Body"}

    def against_reference(self, plan: Plan) -> AgainstReference | None:
        """Compare a plan of this case with its reference plan, like with like; None if it has none.

        Both are averaged over the voxels of the reference's grid and scaled to D95 = Rx of the primary target there:
        see `radplan_env.verdict.against_reference`.
        """
        if self.case.reference_dose_gy is None:
            return None
        voxels = judged_voxels(self.protocol, regions := self.judge.regions)
        points, model = voxel_points(self.case, voxels), self.judge.beam_model
        dose = dose_of(plan, model, self.columns, lambda beams: prepare(self.case, beams, points, beam_model=model))
        return compared(self.case, self.protocol, regions, voxels, dose.reshape(len(voxels), -1).mean(axis=1))

    def _angles(self, parameters: PlanningParameters) -> Angles:
        """Gantry and collimator angles; the collimators are the system's where the number of beams is, else 0."""
        gantry = self.gantry_angles_deg if parameters.gantry_angles_deg is None else parameters.gantry_angles_deg
        if parameters.collimator_angles_deg is not None:
            return gantry, collimator_angles(parameters.collimator_angles_deg, len(gantry))
        own = self.collimator_angles_deg if len(gantry) == len(self.gantry_angles_deg) else 0.0
        return gantry, collimator_angles(own, len(gantry))

    def _problem(self, request: PlanRequest, angles: Angles) -> FluenceProblem:
        self._inner.check(request.parameters)
        known, start = request.warm_start, None
        if known is not None:
            if (known.case_id, known.fidelity, known.grid) != (self.case.id, self.fidelity.name, self.grid):
                raise ValueError(
                    f"a plan of {known.case_id} at fidelity {known.fidelity!r} cannot start one of "
                    f"{self.case.id} at {self.fidelity.name!r}"
                )
            # Multipliers of limits out of reach grow without end, and would drown whatever is solved next.
            usable = not known.parameters.limits or all(each.met for each in known.solution.constraints)
            if (known.gantry_angles_deg, known.collimator_angles_deg) == angles and usable:
                start = known.solution
        beams = self._beams(*angles)
        smoothness = beams.smoothness(self._smoothness(request.parameters))
        return self._inner.problem(request.parameters, start, smoothness, beams.beyond_k)

    def _smoothness(self, parameters: PlanningParameters) -> float:
        own = self.protocol.protocol.smoothness
        if parameters.smoothness is None:
            return 0.0 if own is None else own.start
        return parameters.smoothness

    def _resolved(self, parameters: PlanningParameters) -> PlanningParameters:
        """Return the parameters with the smoothness that was planned with, where the protocol has one."""
        own = self.protocol.protocol.smoothness
        return parameters if own is None else replace(parameters, smoothness=self._smoothness(parameters))

    def _plan(
        self,
        parameters: PlanningParameters,
        angles: Angles,
        beams: BeamSet,
        solution: FluenceSolution,
        verdict: VerdictKind | None = None,
    ) -> Plan:
        k = beams.k
        judged = self.judge.judge(k.beams, k.bixels, solution.fluence, verdict or self.verdict)
        dose = np.zeros(self.grid.shape, dtype=np.float32)
        dose.flat[self._shown.index] = judged.scaled_by * beams.dose_shown(solution)
        return Plan(
            case_id=self.case.id,
            protocol=self.protocol.protocol,
            scorecard=self._scorecard_identity,
            fidelity=self.fidelity.name,
            gantry_angles_deg=angles[0],
            collimator_angles_deg=angles[1],
            parameters=self._resolved(parameters),
            grid=self.grid,
            ideal=Stage("ideal", dose, judged.evaluation),
            solution=solution,
            scaled_by=judged.scaled_by,
            as_drawn={"d95_gy": judged.whole_d95_gy, "cropped_cc": self.judge.cropped_cc},
            own_rows_score=self._evaluate_rows(solution.dose_gy, self._seen).score,
            complexity=complexity(k.beams, k.bixels, judged.scaled_by * solution.fluence, self._mu_per_fraction),
            verdict=judged.kind,
        )

    @property
    def _mu_per_fraction(self) -> float:
        """Monitor units in a fraction that one unit of total fluence takes."""
        return self.judge.beam_model.monitor_units_per_fluence / self.protocol.protocol.fractions


def _coarse(case: Case, protocol: BoundProtocol, settings: Mapping[str, Any], layout: Layout) -> PlanningSystem:
    """Return the system of a layout's coarse fields."""
    beams = {"gantry_angles_deg": layout.coarse_gantry_deg, "collimator_angles_deg": layout.coarse_collimator_deg}
    return PlanningSystem(case, protocol, **{**settings, **beams})


def _again(case: Case, protocol: BoundProtocol, settings: Mapping[str, Any], solves: int) -> PlanningSystem:
    system = PlanningSystem(case, protocol, **settings)
    system.solves = solves
    return system
