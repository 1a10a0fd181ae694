"""The planner's desk: the plans of an episode by number, and what is left of its budget."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from numpy.typing import NDArray

from radplan_env.dose_view import DoseView
from radplan_env.env import RadPlanEnv
from radplan_env.parameters import PlanningParameters
from radplan_env.planning import Plan, PlanningSystem
from radplan_env.planning.looking import dose_at_points

from .arguments import Change, Faults, ToolError
from .changes import changed

_KEPT = 2  # plans whose doses at points are kept: those that are compared


@dataclass(frozen=True, eq=False)
class Solved:
    """A plan of the episode.

    Parameters
    ----------
    number : int
        From 1.
    plan : Plan
    base : Solved, optional
        The plan whose parameters it began from; None for the template's.
    clamped : tuple of str
        What was asked for and could not be done.
    """

    number: int
    plan: Plan
    base: Solved | None
    clamped: tuple[str, ...]

    @property
    def score(self) -> float:
        """From 0 to 100."""
        return self.plan.evaluation.score


def _view(solved: Solved, system: PlanningSystem) -> DoseView:
    points = system.judge.points
    return system.judge.view(dose_at_points(system, solved.plan, points), points, solved.plan.scaled_by)


def _check_dose_gy(solved: Solved, system: PlanningSystem) -> NDArray[Any]:
    return dose_at_points(system, solved.plan, system.judge.check_points)


class Desk:
    """An episode as the console sees it.

    Parameters
    ----------
    env : RadPlanEnv
        Reset to the case; every solve from then on is the console's.
    """

    def __init__(self, env: RadPlanEnv) -> None:
        self.env = env
        self.system = env.system
        self.start = self.system.protocol.start_parameters()
        self.plans: list[Solved] = []
        self.chosen: Solved | None = None
        """The plan that the planner hands over, once it has finished."""
        self.finished = False
        self._views = lru_cache(_KEPT)(_view)
        self._check_doses = lru_cache(_KEPT)(_check_dose_gy)

    def view(self, solved: Solved) -> DoseView:
        """Return the doses that a plan is judged by: only what is measured of them is told."""
        return self._views(solved, self.system)

    def check_dose_gy(self, solved: Solved) -> NDArray[Any]:
        """Return the dose at ``judge.check_points``, shape (points,): where it is high or low may be told."""
        return self._check_doses(solved, self.system)

    @property
    def solves_left(self) -> int:
        """Solves that the episode still has."""
        return 0 if self.env.over else self.env.budget - len(self.plans)

    @property
    def best(self) -> Solved | None:
        """The plan that counts: the highest score among those that pass the scorecard's screen, else of all."""
        passing = [each for each in self.plans if each.plan.evaluation.screened is not False]
        return max(passing or self.plans, key=lambda each: each.score, default=None)

    def get(self, plan: int | str) -> Solved:
        """Return a plan of the episode.

        Raises
        ------
        ToolError
            "unknown_plan".
        """
        if not self.plans:
            raise ToolError("unknown_plan", "there is no plan yet: make one with `plan`")
        if plan == "best":
            assert self.best is not None
            return self.best
        number = len(self.plans) if plan == "last" else plan
        if not isinstance(number, int) or not 1 <= number <= len(self.plans):
            raise ToolError("unknown_plan", f"there is no plan {plan!r}: plans are numbered 1 to {len(self.plans)}")
        return self.plans[number - 1]

    def parameters_for(self, change: Change) -> tuple[PlanningParameters, Solved | None, list[str]]:
        """Return the parameters that a change leads to, the plan it begins from, and what was clamped.

        Raises
        ------
        ToolError
            As `changed`, "unknown_plan", or "wrong_arguments" for beams that the episode may not plan with; it tells
            all that is wrong.
        """
        faults, base = Faults(), None
        if not (change.base == "start" or (not self.plans and isinstance(change.base, str))):
            with faults.kept():
                base = self.get(change.base)
        if change.gantry_angles_deg is not None:
            with faults.kept():
                self.env.check_beams(tuple(change.gantry_angles_deg))
        parameters, clamped = self.start if base is None else base.plan.parameters, list[str]()
        with faults.kept():
            parameters, clamped = changed(parameters, change, self.system, self.env.action_map.ranges())
        faults.check()
        return parameters, base, clamped

    def check_beams(self, *asked: PlanningParameters) -> None:
        """Raise ToolError ("wrong_arguments") unless the episode may plan with all these gantry angles."""
        try:
            self.env.check_beams(*(parameters.gantry_angles_deg for parameters in asked))
        except ValueError as error:
            raise ToolError("wrong_arguments", str(error)) from None

    def check_solves(self, wanted: int) -> None:
        """Raise ToolError ("no_solves_left") unless the budget has so many solves."""
        if self.solves_left == 0:
            raise ToolError("no_solves_left", "no solves are left: look at what there is, and finish")
        if wanted > self.solves_left:
            raise ToolError("no_solves_left", f"that takes {wanted} solves and {self.solves_left} are left: try fewer")

    def add(self, plan: Plan, base: Solved | None, clamped: list[str]) -> Solved:
        """Take up the plan that a solve has made."""
        self.plans.append(Solved(len(self.plans) + 1, plan, base, tuple(clamped)))
        return self.plans[-1]
