"""A planning system without Gymnasium: planning parameters in, plans out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radplan_env.beam_angles import collimator_angles, gantry_angles
from radplan_env.case import Case
from radplan_env.dose import dose_at
from radplan_env.evaluation import Evaluation, evaluate
from radplan_env.fluence import (
    CONSTRAINT_TOLERANCE,
    DoseConstraint,
    FluenceProblem,
    FluenceSolution,
    InnerSolver,
    Term,
    inner_solver,
)
from radplan_env.grid import Grid, resample
from radplan_env.influence import DoseInfluence, Fidelity, fidelity_named, influence
from radplan_env.limits import Limit
from radplan_env.parameters import PlanningParameters
from radplan_env.protocol import OUTSIDE_TARGETS, BoundProtocol, Protocol, load_protocol
from radplan_env.scorecards import Scorecard, ScorecardIdentity, check_scorecard, load_scorecard, scorecard_for
from radplan_env.verdict import Judge, VerdictKind
from radplan_env.verdict.against_reference import AgainstReference, compared, judged_voxels, voxel_points

from .complexity import complexity
from .plan import Plan, Summary
from .request import PlanRequest
from .stage import Stage

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
            beam_model = "matrad-generic" if engine == "pyradplan" else "generic-6x"
        how: dict[str, Any] = {"engine": engine, "beam_model": beam_model, "cache_dir": cache_dir, "progress": progress}

        # Without `self`: a system must be freed when the last who uses it lets go, not when the collector comes by.
        def beams(angles: tuple[float, ...]) -> tuple[DoseInfluence, InnerSolver]:
            k = influence(case, angles, targets, fidelity, **how)
            return k, inner_solver(backend, k.matrix, k.bixels)

        self._settings = {"fidelity": fidelity, "gantry_angles_deg": gantry_angles_deg, "backend": backend}
        self._settings |= {"collimator_angles_deg": collimator_angles_deg, "scorecard": self.scorecard}
        self._settings |= {"engine": engine, "cache_dir": cache_dir, "progress": progress}
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
        k, _ = self._beams(self.gantry_angles_deg)
        self.grid = k.grid
        self._body = k.body
        self.verdict: VerdictKind = verdict
        self.judge = Judge(case, self.protocol, self.scorecard, beam_model=beam_model)
        self.rows = {name: self._rows(mask) for name, mask in case.structures.items()}
        outside = np.ones(self._body.size, dtype=bool)
        for name in targets:
            outside[self.rows[name]] = False
        self.rows |= self._rows_of_regions()
        self.rows[OUTSIDE_TARGETS] = np.flatnonzero(outside)
        self._term_rows = self._disjoint_rows()

    def __reduce__(self) -> tuple[Any, ...]:
        # K is left out: a copy computes it again, or reads it from the cache, and the numbers are the same.
        return _again, (self.case, self.protocol, self._settings, self.solves)

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
        by_beams: dict[tuple[float, ...], dict[int, FluenceProblem]] = {}
        for index, request in enumerate(requests):
            angles = self._angles(request.parameters)
            by_beams.setdefault(angles, {})[index] = self._problem(request, angles)
        self.solves += len(requests)
        plans: dict[int, Plan] = {}
        for angles, problems in by_beams.items():
            k, solver = self._beams(angles)
            for index, solution in zip(problems, solver.solve_batch(list(problems.values())), strict=True):
                plans[index] = self._plan(requests[index].parameters, angles, k, solution)
        return [plans[index] for index in range(len(requests))]

    def replay(self, plan: Plan) -> Plan:
        """Compute dose and evaluation anew from a plan's fluence, without solving.

        Raises
        ------
        ValueError
            If the plan is of another case or its fluence does not fit the beams.
        """
        return self.restore(plan.summary(), plan.solution.fluence)

    def restore(self, summary: Summary, fluence: NDArray[np.float64]) -> Plan:
        """Make a plan again from its summary and its fluence, without solving.

        Dose, evaluation and objective are computed anew; how the solver fared is taken from the summary.

        Parameters
        ----------
        summary : PlanSummary
            What `Plan.summary` returned.
        fluence : ndarray, shape (bixels,)
            As the inner loop found it, ``plan.solution.fluence``.

        Raises
        ------
        ValueError
            If the plan is of another case, the fluence does not fit the beams or is no fluence, or the parameters
            are not this case's.
        """
        parameters = PlanningParameters.from_dict(
            {"structures": summary["parameters"], "limits": summary["limits"]}
            | {name: summary[name] for name in ("gantry_angles_deg", "collimator_angles_deg")}
        )
        self._check(parameters)
        angles = self._angles(parameters)
        k, solver = self._beams(angles)
        if summary["case"] != self.case.id or fluence.shape != (k.matrix.shape[1],):
            raise ValueError(f"the plan of {summary['case']} does not fit {self.case.id} with these beams")
        if not (np.isfinite(fluence).all() and (fluence >= 0).all()):
            raise ValueError("a fluence must be finite and nowhere negative")
        dose = solver.dose(fluence)
        problem = FluenceProblem(self._terms(parameters))
        judged = FluenceSolution.of(problem, fluence, dose, kkt_residual=0.0, iterations=0)
        report = {
            **summary["solver"],
            "objective": judged.objective,
            "objective_by_structure": judged.objective_by_structure,
        }
        solution = FluenceSolution.from_summary(report, fluence, dose)
        return self._plan(parameters, angles, k, solution, summary["verdict"])

    def evaluate(self, dose_gy: NDArray[Any]) -> Evaluation:
        """Evaluate a dose (z, y, x) in Gy on the dose grid, where plans are optimised: a diagnostic, no verdict.

        Raises
        ------
        ValueError
            If its shape is not the grid's, or it holds NaN, infinite or negative values.
        """
        if dose_gy.shape != self.grid.shape:
            raise ValueError(f"the dose has shape {dose_gy.shape}, the dose grid {self.grid.shape}")
        return self._evaluate_rows(dose_gy.ravel()[self._body])

    def judged_in_full(self, plan: Plan) -> Plan:
        """Return a plan of this case judged on all points of the verdict."""
        if plan.verdict == "full":
            return plan
        angles = plan.gantry_angles_deg
        return self._plan(plan.parameters, angles, self._beams(angles)[0], plan.solution, "full")

    def _evaluate_rows(self, dose: NDArray[Any]) -> Evaluation:
        return evaluate(
            {name: dose[rows] for name, rows in self.rows.items()},
            self.grid.voxel_cc,
            self.protocol,
            self.scorecard,
            in_targets_percent=self.judge.in_targets_percent,
        )

    @cached_property
    def reference(self) -> Evaluation | None:
        """Evaluation of the case's reference plan, or None if it has none.

        On the voxels of the case, where that plan was computed: resampling it to the dose grid would blur its
        edges and take about 1 Gy off the D95 of an OpenKBP target.
        """
        dose = self.case.reference_dose_gy
        if dose is None:
            return None
        case_name = self.protocol.case_name
        masks = {case_name.get(name, name): mask for name, mask in self.judge.regions.masks.items()}
        return evaluate(
            {name: dose[mask] for name, mask in masks.items()},
            self.case.grid.voxel_cc,
            self.protocol,
            self.scorecard,
            in_targets_percent=self.judge.in_targets_percent,
        )

    @cached_property
    def _scorecard_identity(self) -> ScorecardIdentity:
        return self.scorecard.identity

    def against_reference(self, plan: Plan) -> AgainstReference | None:
        """Compare a plan of this case with its reference plan, like with like; None if it has none.

        Both are averaged over the voxels of the reference's grid and scaled to D95 = Rx of the primary target there:
        see `radplan_env.verdict.against_reference`.
        """
        if self.case.reference_dose_gy is None:
            return None
        regions, k = self.judge.regions, self._beams(plan.gantry_angles_deg)[0]
        voxels = judged_voxels(self.protocol, regions)
        points = voxel_points(self.case, voxels)
        dose = dose_at(self.case, k.beams, plan.fluence, points, bixels=k.bixels, beam_model=self.judge.beam_model.name)
        return compared(self.case, self.protocol, regions, voxels, dose.reshape(len(voxels), -1).mean(axis=1))

    def _rows(self, mask: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Rows of K in a structure: body voxels whose centre it holds or, for one too small for that, touches."""
        rows = np.flatnonzero(resample(mask, self.case.grid, self.grid).ravel()[self._body])
        if rows.size == 0:
            rows = np.flatnonzero(_touched(mask, self.case.grid, self.grid).ravel()[self._body])
        return rows

    def _rows_of_regions(self) -> dict[str, NDArray[np.int64]]:
        """Rows of targets without what lies under the skin, and of the regions that scorecards ask for."""
        masks = self.judge.regions.masks
        cut = {
            self.protocol.case_name[target.structure]: self._rows(masks[target.structure])
            for target in self.protocol.targets
            if (masks[target.structure] != masks[f"{target.structure}.whole"]).any()
        }
        nearest = self.case.grid.nearest(self.grid).ravel()[self._body]
        structures = {*self.protocol.structures, OUTSIDE_TARGETS}
        regions = {
            name: np.flatnonzero(mask.ravel()[nearest]) for name, mask in masks.items() if name not in structures
        }
        return cut | {name: rows for name, rows in regions.items() if rows.size}

    def _disjoint_rows(self) -> dict[str, NDArray[np.int64]]:
        """Give each voxel to the first structure that holds it: targets by prescription, then organs, body last.

        As in matRad, so that an organ's objective does not pull at the target it overlaps; metrics see whole organs.
        """
        free = np.ones(self._body.size, dtype=bool)
        disjoint = {}
        for structure in self.protocol.structures:
            rows = self.rows[self.protocol.case_name[structure]]
            disjoint[structure] = rows[free[rows]]
            free[rows] = False
        return disjoint

    def _angles(self, parameters: PlanningParameters) -> tuple[float, ...]:
        return self.gantry_angles_deg if parameters.gantry_angles_deg is None else parameters.gantry_angles_deg

    def _collimators(self, parameters: PlanningParameters, beams: int) -> tuple[float, ...]:
        """Collimator angles of the parameters' beams; those of the system where the beams are its own, else 0."""
        if parameters.collimator_angles_deg is not None:
            return collimator_angles(parameters.collimator_angles_deg, beams)
        return collimator_angles(self.collimator_angles_deg if beams == len(self.gantry_angles_deg) else 0.0, beams)

    def _problem(self, request: PlanRequest, angles: tuple[float, ...]) -> FluenceProblem:
        self._check(request.parameters)
        known, start = request.warm_start, None
        if known is not None:
            if (known.case_id, known.grid) != (self.case.id, self.grid):
                raise ValueError(
                    f"a plan of {known.case_id} at fidelity {known.fidelity!r} cannot start one of "
                    f"{self.case.id} at {self.fidelity.name!r}"
                )
            # Multipliers of limits out of reach grow without end, and would drown whatever is solved next.
            usable = not known.parameters.limits or all(each.met for each in known.solution.constraints)
            if known.gantry_angles_deg == angles and usable:
                start = known.solution
        held = [self._constraint(limit) for limit in request.parameters.limits]
        return FluenceProblem(self._terms(request.parameters), [*self._coverages(), *held], start)

    def _terms(self, parameters: PlanningParameters) -> list[Term]:
        targets = {target.structure for target in self.protocol.targets}
        return [
            Term(structure, rows, chosen.weight, chosen.objective_dose_gy, one_sided=structure not in targets)
            for structure, rows in self._term_rows.items()
            if rows.size > 0
            for chosen in [parameters.structures[structure]]
        ]

    def _coverages(self) -> list[DoseConstraint]:
        primary = self.protocol.primary.structure
        return [
            DoseConstraint(
                target.structure,
                self.rows[self.protocol.case_name[target.structure]],
                "=" if target.structure == primary else "≥",
                target.prescription_gy,
            )
            for target in self.protocol.targets
        ]

    def _constraint(self, limit: Limit) -> DoseConstraint:
        known = {**self.protocol.case_name, OUTSIDE_TARGETS: OUTSIDE_TARGETS}
        if limit.structure not in known:
            raise ValueError(
                f"limit on {limit.name}: protocol {self.protocol.name!r} and case {self.case.id!r} share no such "
                f"structure; there are: {', '.join(known)}"
            )
        rows = self.rows[known[limit.structure]]
        percent, dose_gy = limit.dose_bound(rows.size * self.grid.voxel_cc)
        # Voxels held at a dose lie about it as closely as the solver aims. Just beyond it, V_d would count them all.
        hair = 2 * CONSTRAINT_TOLERANCE
        if limit.upper:
            return DoseConstraint(limit.structure, rows, "≤", dose_gy * (1 - hair), percent)
        return DoseConstraint(limit.structure, rows, "≥", dose_gy * (1 + hair), percent)

    def _check(self, parameters: PlanningParameters) -> None:
        wanted, given = set(self.protocol.structures), set(parameters.structures)
        if missing := wanted - given:
            raise ValueError(f"no parameters for {', '.join(sorted(missing))}; weight 0 leaves a structure out")
        if unknown := given - wanted:
            raise ValueError(
                f"parameters for {', '.join(sorted(unknown))}, which protocol {self.protocol.name!r} and case "
                f"{self.case.id!r} do not share; there are: {', '.join(self.protocol.structures)}"
            )

    def _plan(
        self,
        parameters: PlanningParameters,
        angles: tuple[float, ...],
        k: DoseInfluence,
        solution: FluenceSolution,
        verdict: VerdictKind | None = None,
    ) -> Plan:
        judged = self.judge.judge(k.beams, k.bixels, solution.fluence, verdict or self.verdict)
        return Plan(
            case_id=self.case.id,
            protocol=self.protocol.protocol,
            scorecard=self._scorecard_identity,
            fidelity=self.fidelity.name,
            gantry_angles_deg=angles,
            collimator_angles_deg=self._collimators(parameters, len(angles)),
            parameters=parameters,
            grid=self.grid,
            ideal=Stage("ideal", k.volume(judged.scaled_by * solution.dose_gy), judged.evaluation),
            solution=solution,
            scaled_by=judged.scaled_by,
            as_drawn={"d95_gy": judged.whole_d95_gy, "cropped_cc": self.judge.cropped_cc},
            own_rows_score=self._evaluate_rows(solution.dose_gy).score,
            complexity=complexity(k.beams, k.bixels, judged.scaled_by * solution.fluence, self._mu_per_fraction),
            verdict=judged.kind,
        )

    @property
    def _mu_per_fraction(self) -> float:
        """Monitor units in a fraction that one unit of total fluence takes."""
        return self.judge.beam_model.monitor_units_per_fluence / self.protocol.protocol.fractions


def _again(case: Case, protocol: BoundProtocol, settings: Mapping[str, Any], solves: int) -> PlanningSystem:
    system = PlanningSystem(case, protocol, **settings)
    system.solves = solves
    return system


def _touched(mask: NDArray[np.bool_], source: Grid, target: Grid) -> NDArray[np.bool_]:
    """Voxels of `target` that hold the centre of a voxel of the mask."""
    touched = np.zeros(target.shape, dtype=bool)
    indices = []
    for axis, index in enumerate(np.nonzero(mask)):
        position = source.coordinates_mm(axis)[index]
        nearest = np.rint((position - target.origin_mm[axis]) / target.spacing_mm[axis]).astype(int)
        indices.append(np.clip(nearest, 0, target.shape[axis] - 1))
    touched[tuple(indices)] = True
    return touched
