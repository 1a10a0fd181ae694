"""A planning system without Gymnasium: planning parameters in, plans out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from radplan_env.beam_angles import collimator_angles, gantry_angles
from radplan_env.case import Case
from radplan_env.dose import prepare
from radplan_env.evaluation import Evaluation, evaluate
from radplan_env.fluence import FluenceProblem, FluenceSolution, inner_solver
from radplan_env.grid import Grid
from radplan_env.influence import Fidelity, dose_grid, fidelity_named, influence, rows_of
from radplan_env.influence.rows import rows_of_grid
from radplan_env.parameters import PlanningParameters
from radplan_env.protocol import OUTSIDE_TARGETS, BoundProtocol, Protocol, load_protocol
from radplan_env.scorecards import Scorecard, ScorecardIdentity, check_scorecard, load_scorecard

from .beam_set import BeamSet
from .inner_problem import InnerProblem, with_outside
from .plan import Plan, Summary
from .request import PlanRequest
from .stage import Stage

Angles = tuple[tuple[float, ...], tuple[float, ...]]
"""Gantry and collimator angles of the beams."""

BEAM_MODEL = "matrad-generic"
"""What K and the dose shown are computed with."""

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
    scorecard : Scorecard or str
        By what plans are scored, or its name: see `radplan_env.scorecards`.
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
        scorecard: Scorecard | str = "v0",
        backend: str = "newton",
        engine: str = "radplan",
        cache_dir: str | Path | None = None,
        progress: bool = True,
    ) -> None:
        if isinstance(protocol, str | Path):
            protocol = load_protocol(protocol)
        self.case = case
        self.protocol = protocol.bind(case) if isinstance(protocol, Protocol) else protocol
        self.scorecard = load_scorecard(scorecard)
        check_scorecard(self.scorecard, self.protocol)
        self.fidelity = fidelity = fidelity_named(fidelity)
        targets = [self.protocol.case_name[target.structure] for target in self.protocol.targets]

        self.grid = dose_grid(case, fidelity)
        shown = rows_of_grid(case, self.grid)
        seen = shown if fidelity.sampling is None else rows_of(case, targets, fidelity)
        self._body = shown.index
        self.rows = with_outside(shown, self.protocol)
        """Body voxels on the dose grid in each structure, and outside the targets."""
        self._inner = inner = InnerProblem(self.protocol, case.id, seen)

        # Without `self`: a system must be freed when the last who uses it lets go, not when the collector comes by.
        def beams(gantry: tuple[float, ...], collimator: tuple[float, ...]) -> BeamSet:
            settings: dict[str, Any] = {"engine": engine, "cache_dir": cache_dir, "progress": progress}
            k = influence(case, gantry, targets, fidelity, rows=seen, collimator_angles_deg=collimator, **settings)
            traced = None if seen is shown else prepare(case, k.beams, shown.points_mm, beam_model=BEAM_MODEL)
            return BeamSet(k, inner_solver(backend, k.matrix, k.bixels), inner.target, traced)

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
        self._beams(self.gantry_angles_deg, self.collimator_angles_deg)  # a new patient's K is computed here

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
        by_beams: dict[Angles, dict[int, FluenceProblem]] = {}
        for index, request in enumerate(requests):
            angles = self._angles(request.parameters)
            by_beams.setdefault(angles, {})[index] = self._problem(request, angles)
        self.solves += len(requests)
        plans: dict[int, Plan] = {}
        for angles, problems in by_beams.items():
            beams = self._beams(*angles)
            for index, solution in zip(problems, beams.solver.solve_batch(list(problems.values())), strict=True):
                plans[index] = self._plan(requests[index].parameters, angles, beams, solution)
        return [plans[index] for index in range(len(requests))]

    def replay(self, plan: Plan) -> Plan:
        """Compute dose and evaluation anew from a plan's fluence, without solving.

        Raises
        ------
        ValueError
            If the plan is of another case or its fluence does not fit the beams.
        """
        return self.restore(plan.summary(), plan.fluence)

    def restore(self, summary: Summary, fluence: NDArray[np.float64]) -> Plan:
        """Make a plan again from its summary and its fluence, without solving.

        Dose, evaluation and objective are computed anew; how the solver fared is taken from the summary.

        Parameters
        ----------
        summary : PlanSummary
            What `Plan.summary` returned.
        fluence : ndarray, shape (bixels,)

        Raises
        ------
        ValueError
            If the plan is of another case, the fluence does not fit the beams or is no fluence, or the parameters
            are not this case's.
        """
        parameters = PlanningParameters.from_dict(
            {"structures": summary["parameters"], "limits": summary["limits"], "smoothness": summary["smoothness"]}
            | {name: summary[name] for name in ("gantry_angles_deg", "collimator_angles_deg")}
        )
        self._inner.check(parameters)
        angles = self._angles(parameters)
        beams = self._beams(*angles)
        if summary["case"] != self.case.id or fluence.shape != (len(beams.k.bixels),):
            raise ValueError(f"the plan of {summary['case']} does not fit {self.case.id} with these beams")
        if not (np.isfinite(fluence).all() and (fluence >= 0).all()):
            raise ValueError("a fluence must be finite and nowhere negative")
        problem = self._inner.problem(parameters, smoothness=beams.smoothness(self._smoothness(parameters)))
        dose = beams.solver.dose(fluence)
        judged = FluenceSolution.of(problem, fluence, dose, kkt_residual=0.0, iterations=0).summary()
        report = {**summary["solver"], **{name: judged[name] for name in _COMPUTED_ANEW}}
        return self._plan(parameters, angles, beams, FluenceSolution.from_summary(report, fluence, dose))

    def evaluate(self, dose_gy: NDArray[Any]) -> Evaluation:
        """Judge a dose (z, y, x) in Gy on the dose grid by the protocol.

        Raises
        ------
        ValueError
            If its shape is not the grid's, or it holds NaN, infinite or negative values.
        """
        if dose_gy.shape != self.grid.shape:
            raise ValueError(f"the dose has shape {dose_gy.shape}, the dose grid {self.grid.shape}")
        dose = dose_gy.ravel()[self._body]
        doses = {name: dose[rows] for name, rows in self.rows.items()}
        return evaluate(
            doses, self.grid.voxel_cc, self.protocol, self.scorecard, beyond_mm=lambda mm: dose[self._mm_outside > mm]
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
        masks = dict(self.case.structures)
        targets = [masks[self.protocol.case_name[target.structure]] for target in self.protocol.targets]
        body, treated = masks["Body"], np.logical_or.reduce(targets)
        masks[OUTSIDE_TARGETS] = body & ~treated
        doses = {name: dose[mask] for name, mask in masks.items()}
        grid = self.case.grid
        return evaluate(
            doses,
            grid.voxel_cc,
            self.protocol,
            self.scorecard,
            beyond_mm=lambda mm: dose[body & (_mm_outside(treated, grid) > mm)],
        )

    @cached_property
    def _mm_outside(self) -> NDArray[np.float64]:
        """How far each row of K lies from the nearest target, in mm; 0 within one."""
        treated = np.zeros(self._body.size, dtype=bool)
        for target in self.protocol.targets:
            treated[self.rows[self.protocol.case_name[target.structure]]] = True
        volume = np.zeros(int(np.prod(self.grid.shape)), dtype=bool)
        volume[self._body] = treated
        return _mm_outside(volume.reshape(self.grid.shape), self.grid).ravel()[self._body]

    @cached_property
    def _scorecard_identity(self) -> ScorecardIdentity:
        return self.scorecard.identity

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
        smoothness = self._beams(*angles).smoothness(self._smoothness(request.parameters))
        return self._inner.problem(request.parameters, start, smoothness)

    def _smoothness(self, parameters: PlanningParameters) -> float:
        own = self.protocol.protocol.smoothness
        if parameters.smoothness is None:
            return 0.0 if own is None else own.start
        return parameters.smoothness

    def _plan(
        self,
        parameters: PlanningParameters,
        angles: Angles,
        beams: BeamSet,
        solution: FluenceSolution,
    ) -> Plan:
        dose = np.zeros(self.grid.shape, dtype=np.float32)
        dose.flat[self._body] = beams.dose_shown(solution)
        return Plan(
            case_id=self.case.id,
            protocol=self.protocol.protocol,
            scorecard=self._scorecard_identity,
            fidelity=self.fidelity.name,
            gantry_angles_deg=angles[0],
            collimator_angles_deg=angles[1],
            parameters=parameters,
            grid=self.grid,
            ideal=Stage("ideal", dose, self.evaluate(dose)),
            solution=solution,
        )


def _again(case: Case, protocol: BoundProtocol, settings: Mapping[str, Any], solves: int) -> PlanningSystem:
    system = PlanningSystem(case, protocol, **settings)
    system.solves = solves
    return system


def _mm_outside(mask: NDArray[np.bool_], grid: Grid) -> NDArray[np.float64]:
    """Distance in mm from the centre of each voxel to that of the nearest voxel of the mask; 0 within it."""
    found: NDArray[np.float64] = distance_transform_edt(~mask, sampling=grid.spacing_mm)
    return found
