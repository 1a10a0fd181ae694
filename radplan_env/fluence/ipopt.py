"""IPOPT (Wächter & Biegler 2006), the solver of the paper, as a second opinion on the inner loop.

Needs the extra `radplan_env[ipopt]`. The Hessian is approximated from gradients (limited memory), as in matRad.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from radplan_env import extras
from radplan_env.beams import Bixels

from .gram import Gram
from .lagrangian import LagrangianSolver
from .loss import Loss
from .matrix import DoseOperator, InfluenceMatrix, Vector
from .minimiser import Subproblem
from .multiplier_step import multipliers
from .newton import Minimum, kkt_residual
from .smoothness import Smoothness
from .solver import FluenceProblem

_MAX_ITERATIONS = 2400
_RIDGE = 1e-6  # of the Hessian for the multipliers' steps, relative to its mean diagonal
_UNBOUNDED = 1e19  # IPOPT reads bounds beyond this as infinite


def solver(matrix: sparse.csr_array, bixels: Bixels | None = None) -> LagrangianSolver:
    """Return IPOPT as the solver for K; see `solver.inner_solver`."""
    return LagrangianSolver(InfluenceMatrix(matrix), _IpoptMinimiser)


class _IpoptMinimiser:
    """IPOPT for the subproblems of one solve: see `minimiser.Minimiser`."""

    def __init__(self, matrix: DoseOperator, problem: FluenceProblem) -> None:
        self._matrix, self._smoothness = matrix, problem.smoothness

    def improved(self, loss: Loss, fluence: Vector) -> Vector:
        return fluence

    def minimise(self, subproblem: Subproblem, start: Vector, start_gy: Vector) -> Minimum:
        return minimise(
            self._matrix,
            subproblem.loss + subproblem.bounds,
            start,
            tolerance=subproblem.tolerance,
            negligible=subproblem.negligible,
            smoothness=self._smoothness,
        )

    def multipliers(
        self, minimum: Minimum, subproblem: Subproblem, short_gy: Vector
    ) -> tuple[Vector, Vector, Vector] | None:
        gram = Gram(self._matrix, np.float64, None if self._smoothness is None else self._smoothness.hessian)
        return multipliers(self._matrix, subproblem.loss, subproblem.bounds, short_gy, minimum, gram, _RIDGE)


def minimise(
    matrix: DoseOperator,
    loss: Loss,
    start: Vector,
    *,
    tolerance: float,
    negligible: float = 0.0,
    smoothness: Smoothness | None = None,
) -> Minimum:
    """Minimise a loss, and the fluence's roughness if asked to, over x ≥ 0.

    IPOPT judges its own convergence: `tolerance`, which is that of `newton.kkt_residual`, scales its stopping rules.

    Raises
    ------
    ImportError
        If ipyopt is not installed.
    """
    try:
        import ipyopt
    except ImportError as error:
        raise ImportError(f"the ipopt backend needs ipyopt: {extras.command('ipopt')}") from error
    bixels = matrix.shape[1]

    last: list[tuple[Vector, tuple[float, Vector, Vector]]] = []

    def derivatives(x: Vector) -> tuple[float, Vector, Vector]:
        if not last or not np.array_equal(last[0][0], x):  # IPOPT asks for value and gradient one after the other
            last[:] = [(x.copy(), loss.derivatives(matrix.dose(x)))]
        return last[0][1]

    def value(x: Vector) -> float:
        return derivatives(x)[0] + (0.0 if smoothness is None else smoothness.value(x))

    def gradient(x: Vector, out: Vector) -> Vector:
        _, slope, _ = derivatives(x)
        rows = np.flatnonzero(slope)
        out[:] = matrix.adjoint(slope[rows], rows)
        if smoothness is not None:
            out += smoothness.gradient(x)
        return out

    none = np.zeros(0)
    no_entries = (np.zeros(0, dtype=int), np.zeros(0, dtype=int))
    problem = ipyopt.Problem(
        n=bixels,
        x_l=np.zeros(bixels),
        x_u=np.full(bixels, _UNBOUNDED),
        m=0,
        g_l=none,
        g_u=none,
        sparsity_indices_jac_g=no_entries,
        sparsity_indices_h=no_entries,
        eval_f=value,
        eval_grad_f=gradient,
        eval_g=lambda x, out: out,
        eval_jac_g=lambda x, out: out,
        ipopt_options={
            "hessian_approximation": "limited-memory",
            "limited_memory_max_history": 20,
            "max_iter": _MAX_ITERATIONS,
            "tol": 1e-2 * tolerance,
            "acceptable_tol": 1e6,  # leave it to the objective: stop when it no longer falls
            "acceptable_obj_change_tol": 1e-3 * tolerance,
            "acceptable_iter": 15,
            "print_level": 0,
            "sb": "yes",
            "mu_strategy": "adaptive",
        },
    )
    fluence, _, _ = problem.solve(x0=np.maximum(start, 1e-6 * start.max()))
    fluence = np.maximum(fluence, 0.0)
    dose = matrix.dose(fluence)
    slope_by_fluence = gradient(fluence, np.empty(bixels))
    final = value(fluence)
    iterations = int(problem.stats["n_iter"]) if hasattr(problem, "stats") else 0
    residual = kkt_residual(fluence, slope_by_fluence, max(final, negligible))
    return Minimum(fluence, dose, slope_by_fluence, final, residual, iterations)
