"""The vector environment: several episodes side by side, whose solves are made together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from numbers import Integral
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from radplan_env.env import Action, Info, RadPlanEnv
from radplan_env.observations import Observation
from radplan_env.planning import Plan, PlanningSystem, PlanRequest
from radplan_env.threads import cores

Flags = NDArray[np.bool_]


class SubEnvironment(RadPlanEnv):
    """A RadPlanEnv whose next plan can be made ahead of its step, together with those of others."""

    _ahead: tuple[PlanRequest, Plan] | None = None

    def hand(self, request: PlanRequest, plan: Plan) -> None:
        """Take the plan that answers the request of the next step."""
        self._ahead = request, plan

    def _make_plan(self, request: PlanRequest) -> Plan:
        ahead, self._ahead = self._ahead, None
        return ahead[1] if ahead is not None and ahead[0] == request else super()._make_plan(request)


def plan_ahead(envs: Sequence[SubEnvironment], actions: Action, *, skip_ended: bool = False) -> None:
    """Make the plans that the next step of each sub-environment asks for, all of them together.

    Parameters
    ----------
    envs : sequence of SubEnvironment
    actions : ndarray, shape (sub-environments, coordinates)
    skip_ended : bool
        Leave out those whose episode is over, which will be reset instead.

    Raises
    ------
    ValueError
        If an action is invalid, or there are more or fewer than sub-environments; nothing has been solved then.
    gymnasium.error.ResetNeeded
        If an episode is over and not to be skipped, or none has begun; nothing has been solved then.
    """
    if len(actions) != len(envs):
        raise ValueError(f"{len(envs)} sub-environments take as many actions, a row each; got {len(actions)}")
    asking, requests = [], []
    for number, (env, action) in enumerate(zip(envs, actions, strict=True)):
        if not (skip_ended and env.over):
            try:
                requests.append((env.request(action), env.system))
            except Exception as error:
                error.add_note(f"in sub-environment {number}")
                raise
            asking.append(env)
    for env, (request, _), plan in zip(asking, requests, plan_together(requests), strict=True):
        env.hand(request, plan)


def plan_together(requests: Sequence[tuple[PlanRequest, PlanningSystem]]) -> list[Plan]:
    """Make plans of one or several cases: those of a case as one batch, different cases on threads.

    Parameters
    ----------
    requests : sequence of (PlanRequest, PlanningSystem)

    Returns
    -------
    list of Plan
        In the order of the requests; the same, to the last bit, as if each had been made alone.
    """
    by_system: dict[PlanningSystem, list[int]] = {}
    for index, (_, system) in enumerate(requests):
        by_system.setdefault(system, []).append(index)

    def batch(system: PlanningSystem) -> list[Plan]:
        return system.plan_batch([requests[index][0] for index in by_system[system]])

    plans: dict[int, Plan] = {}
    for numbers, made in zip(by_system.values(), _on_threads(batch, list(by_system)), strict=True):
        plans.update(zip(numbers, made, strict=True))
    return [plans[index] for index in range(len(requests))]


def _on_threads(solve: Callable[[PlanningSystem], list[Plan]], systems: Sequence[PlanningSystem]) -> list[list[Plan]]:
    workers = min(len(systems), cores())
    if workers <= 1:
        return [solve(system) for system in systems]
    # The solver limits BLAS for the whole process: without this, the first to end would lift the limit of the others.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(workers) as threads:
        return list(threads.map(solve, systems))


class RadPlanVectorEnv(SyncVectorEnv[Observation, Action]):
    """Several treatment-planning episodes side by side, planned together.

    Sub-environments are `RadPlanEnv`s: spaces, observations, rewards and info are theirs, batched as Gymnasium does.
    It is Gymnasium's `SyncVectorEnv`, and gives the same numbers to the last bit, but for how the plans of a step are
    made: those of one patient in one batch, those of different patients on threads. Sub-environments share the
    cohort and, of each patient in use, one dose-influence matrix.

    `gymnasium.make_vec("radplan_env:RadPlan/Prostate-v0", num_envs=8, fidelity="fast", relative_step=0.1)`

    ``reset(seed=s)`` seeds sub-environment i with s + i. ``reset(options={"case": id})`` takes all of them to
    one patient; with ``"reset_mask"`` beside it, an array of bool, those it holds True for.

    Parameters
    ----------
    num_envs : int
        Sub-environments, at least 1.
    autoreset_mode : AutoresetMode or str
        When a sub-environment whose episode is over begins the next: with the next step, whose action it then ignores
        ("NextStep"); within the same step, with the last observation and info in ``info["final_obs"]`` and
        ``info["final_info"]`` ("SameStep"); or when told to by ``reset(options={"reset_mask": mask})``
        ("Disabled"). See https://farama.org/Vector-Autoreset-Mode.
    **settings
        Those of `RadPlanEnv`.

    Raises
    ------
    ValueError
        As `RadPlanEnv`; if `num_envs` or `autoreset_mode` is not as above; from `step`, for too many
        or too few actions or an invalid one: no sub-environment has taken its step then.
    gymnasium.error.ResetNeeded
        From `step` before the first reset, or without autoreset, of an episode that is over.
    """

    envs: list[SubEnvironment]  # type: ignore[assignment]

    def __init__(
        self,
        num_envs: int = 1,
        *,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        **settings: Any,
    ) -> None:
        if isinstance(num_envs, bool) or not isinstance(num_envs, Integral) or num_envs < 1:
            raise ValueError(f"num_envs is a whole number of sub-environments, at least 1; got {num_envs!r}")
        first = SubEnvironment(**settings)
        super().__init__([first.sibling] * int(num_envs), autoreset_mode=autoreset_mode)

    def step(self, actions: Action) -> tuple[Observation, NDArray[np.float64], Flags, Flags, Info]:
        """Take a step in every sub-environment; see the class."""
        plan_ahead(self.envs, actions, skip_ended=self.autoreset_mode is AutoresetMode.NEXT_STEP)
        return super().step(actions)
