"""Another inner solver behind the planning system's seam."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import EntryPoint, EntryPoints

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse

from radplan_env import RadPlanEnv, plugins
from radplan_env.beams import Bixels
from radplan_env.case import Case
from radplan_env.fluence import FluenceProblem, FluenceSolution, register_solver
from radplan_env.fluence.solver import SOLVERS
from radplan_env.influence import Fidelity
from radplan_env.planning import PlanningSystem

ROUGH = Fidelity("rough", dose_grid_mm=10, bixel_mm=15)


class ProjectedGradient:
    """Nesterov's accelerated projected gradient method; coverage by scaling the fluence."""

    def __init__(self, matrix: sparse.csr_array, bixels: Bixels | None) -> None:
        assert bixels is not None and len(bixels) == matrix.shape[1]
        self._matrix = matrix.astype(float)
        self._largest = float(sparse.linalg.norm(self._matrix) ** 2)

    def dose(self, fluence: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(self._matrix @ fluence)

    def solve_batch(self, problems: Sequence[FluenceProblem]) -> list[FluenceSolution]:
        return [self._solve(problem) for problem in problems]

    def _solve(self, problem: FluenceProblem) -> FluenceSolution:
        step = 1 / (2 * self._largest * max(term.weight / term.rows.size for term in problem.terms))
        x = ahead = np.zeros(self._matrix.shape[1])
        beyond = problem.beyond_k or (lambda fluence: np.zeros(self._matrix.shape[0]))
        for k in range(500):
            if k % 100 == 0:
                fixed = beyond(ahead)
            excess = self.dose(ahead) + fixed
            slope = np.zeros_like(excess)
            for term in problem.terms:
                over = excess[term.rows] - term.dose_gy
                over = np.maximum(over, 0) if term.one_sided else over
                slope[term.rows] += 2 * term.weight / term.rows.size * over
            before, x = x, np.maximum(ahead - step * (self._matrix.T @ slope), 0)
            ahead = x + k / (k + 3) * (x - before)
        coverage = problem.constraints[0]
        x = x * coverage.dose_gy / coverage.achieved_gy(self.dose(x) + beyond(x))
        return FluenceSolution.of(problem, x, self.dose(x) + beyond(x), kkt_residual=np.inf, iterations=500)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(SOLVERS, "built_in", dict(SOLVERS.built_in))
    register_solver("projected-gradient", ProjectedGradient)
    return "projected-gradient"


def test_a_registered_solver_plans(box_case: Case, toy: str) -> None:
    system = PlanningSystem(box_case, "prostate", fidelity=ROUGH, backend=toy, progress=False)
    peer = PlanningSystem(box_case, "prostate", fidelity=ROUGH, progress=False)
    parameters = system.protocol.start_parameters()
    plan, best = system.plan(parameters), peer.plan(parameters)
    assert plan.evaluation.metrics["PTV_7020"]["D95%"] == pytest.approx(70.2, rel=1e-3)
    assert 0.99 * best.solution.objective < plan.solution.objective < 2 * best.solution.objective
    assert not plan.solution.converged and plan.solution.constraints[0].met
    np.testing.assert_array_equal(system.replay(plan).dose_gy, plan.dose_gy)


def test_a_registered_solver_serves_the_environment(box_case: Case, toy: str) -> None:
    env = RadPlanEnv(cases=[box_case], protocol="prostate", fidelity=ROUGH, backend=toy)
    env.reset(seed=0)
    *_, info = env.step(np.zeros(env.action_space.shape, dtype=np.float32))
    assert np.isfinite(info["plan"]["score"])


def test_a_solver_of_another_package_is_found(box_case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    found = EntryPoints([EntryPoint("theirs", f"{__name__}:ProjectedGradient", SOLVERS.group)])
    monkeypatch.setattr(plugins, "_entry_points", lambda path, group: found.select(group=group))
    system = PlanningSystem(box_case, "prostate", fidelity=ROUGH, backend="theirs", progress=False)
    assert system.plan(system.protocol.start_parameters()).solution.constraints[0].met


def test_names_of_solvers_are_distinct(toy: str) -> None:
    for name in (toy, "newton"):
        with pytest.raises(ValueError, match="choose another name"):
            register_solver(name, ProjectedGradient)
