"""The inner loop on a CUDA machine, behind the solver's seam, against ours on one core.

    python benchmarks/gpu.py --case synthetic --patient 0
    python benchmarks/gpu.py --case openkbp --patient pt_17 --data open-kbp/provided-data

It has never been run on a GPU; its logic is tested on the CPU (`--device cpu`).

Newton's method as ours, in float32: K is dense on the device, a Hessian is a product of its rows, each exchange of free
bixels takes a Cholesky factor, and bounds on doses switch between steps only. Every minimum is certified in float64, by
K on the CPU. The last line is one JSON object of the figures.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

# Run as a script: find our packages from any directory.
if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from scipy import sparse

from benchmarks.against import loaded, problem_of, stepped
from benchmarks.machine import print_figures, print_machine
from radplan_env.beams import Bixels
from radplan_env.fluence import FluenceProblem, inner_solver
from radplan_env.fluence.lagrangian import LagrangianSolver
from radplan_env.fluence.loss import Loss
from radplan_env.fluence.matrix import DoseOperator, InfluenceMatrix
from radplan_env.fluence.minimiser import Subproblem
from radplan_env.fluence.newton import Minimum, kkt_residual

Vector = NDArray[np.float64]
Rows = NDArray[np.int64]

ROWS = 8192
MOST_STEPS, MOST_EXCHANGES = 80, 15
FIRST_RIDGE, LAST_RIDGE = 3e-3, 1e-6
ROUNDING = 1e-6


@dataclass
class Args:
    case: Literal["synthetic", "openkbp"] = "synthetic"
    patient: str = "0"
    """Number of a synthetic prostate, or a training patient of OpenKBP."""
    data: Path = Path("../shared/data/openkbp/provided-data")
    device: str = "cuda"
    steps: int = 3
    """Warm solves, each after a step that multiplies every weight by 0.9 or 1.1."""


class DeviceMinimiser:
    """Newton's method for the subproblems of one solve, on a device: see `minimiser.Minimiser`."""

    def __init__(self, matrix: DoseOperator, problem: FluenceProblem, k: torch.Tensor) -> None:
        below = np.arange(len(k), matrix.shape[0])  # rows of means
        added, _ = matrix.scaled_rows(np.ones(below.size), below, np.arange(k.shape[1]), np.float32)
        self._matrix, self._k = matrix, torch.cat([k, torch.as_tensor(added, device=k.device)])
        none = sparse.csr_array((k.shape[1], k.shape[1]))
        self._roughness = none if problem.smoothness is None else problem.smoothness.hessian

    def improved(self, loss: Loss, fluence: Vector) -> Vector:
        return fluence

    def multipliers(self, minimum: Minimum, subproblem: Subproblem, short_gy: Vector) -> None:
        return None

    def minimise(self, subproblem: Subproblem, start: Vector, start_gy: Vector) -> Minimum:
        loss, negligible = subproblem.loss + subproblem.bounds, subproblem.negligible
        x, dose, ridge = start, start_gy, FIRST_RIDGE
        for iteration in range(MOST_STEPS + 1):
            value, gradient, curvature = self._derivatives(loss, x, dose, self._adjoint)
            last = iteration == MOST_STEPS
            if last or (iteration > 0 and kkt_residual(x, gradient, max(value, negligible)) <= subproblem.tolerance):
                dose = self._matrix.dose(x)  # the certificate, in float64
                value, gradient, curvature = self._derivatives(loss, x, dose, self._matrix.adjoint)
                residual = kkt_residual(x, gradient, max(value, negligible))
                if last or residual <= subproblem.tolerance:
                    break
            step = self._step(curvature, gradient, x, ridge)
            change, rough = (self._k @ self._on_device(step)).double().cpu().numpy(), self._roughened(step)
            length = loss.best_step(dose, change, 1.0, float(rough @ x), float(rough @ step))
            x, dose = np.maximum(x + length * step, 0.0), dose + length * change
            ridge = max(0.3 * ridge, LAST_RIDGE) if length > 0.3 else ridge
        return Minimum(x, dose, gradient, value, residual, iteration)

    def _derivatives(
        self, loss: Loss, x: Vector, dose: Vector, adjoint: Callable[[Vector, Rows], Vector]
    ) -> tuple[float, Vector, Vector]:
        """Return the value, its derivative by the fluence (bixels,) and its curvature by the dose (voxels,)."""
        value, slope, curvature = loss.derivatives(dose)
        active, rough = np.flatnonzero(curvature), self._roughened(x)
        return value + 0.5 * float(rough @ x), adjoint(slope[active], active) + rough, curvature

    def _roughened(self, x: Vector) -> Vector:
        return np.asarray(self._roughness @ x)

    def _adjoint(self, values: Vector, rows: Rows) -> Vector:
        whole = np.zeros(len(self._k))
        whole[rows] = values
        product: Vector = (self._on_device(whole) @ self._k).double().cpu().numpy()
        return product

    def _step(self, curvature: Vector, gradient: Vector, fluence: Vector, ridge: float) -> Vector:
        """Minimise the local quadratic over x ≥ 0: variables of the wrong sign change sides, all at once."""
        hessian = self._hessian(curvature)
        g, x, diagonal = self._on_device(gradient), self._on_device(fluence), hessian.diagonal()
        diagonal += ridge * diagonal.mean()
        free = x * diagonal > g
        for _ in range(MOST_EXCHANGES):
            given = torch.where(free, 0.0, -x)
            block = torch.where(free[:, None] & free, hessian, 0.0)
            block.diagonal().copy_(torch.where(free, diagonal, 1.0))
            right = torch.where(free, -(g + hessian @ given), 0.0)
            solved = torch.cholesky_solve(right[:, None], torch.linalg.cholesky(block))[:, 0]
            step = torch.where(free, solved, given)
            slope, accuracy = g + hessian @ step, ROUNDING * x.max()
            wrong = torch.where(free, x + step < -accuracy, slope < -accuracy * diagonal)
            if not wrong.any():
                break
            free = free ^ wrong
        result: Vector = torch.maximum(step, -x).double().cpu().numpy()
        return result

    def _hessian(self, curvature: Vector) -> torch.Tensor:
        hessian, root = self._on_device(self._roughness.toarray()), self._on_device(np.sqrt(curvature))
        rows = root.nonzero()[:, 0]
        for at in range(0, len(rows), ROWS):
            some = rows[at : at + ROWS]
            scaled = root[some, None] * self._k[some]
            hessian += scaled.T @ scaled
        return hessian

    def _on_device(self, array: NDArray[np.float64]) -> torch.Tensor:
        return torch.as_tensor(array, dtype=torch.float32, device=self._k.device)


def solver(matrix: sparse.csr_array, bixels: Bixels | None = None, device: str = "cuda") -> LagrangianSolver:
    """Return the solver for K on a device: a `SolverFactory`."""
    k = torch.as_tensor(matrix.toarray(), dtype=torch.float32, device=device)
    return LagrangianSolver(InfluenceMatrix(matrix), lambda operator, problem: DeviceMinimiser(operator, problem, k))


def main(args: Args) -> None:
    if args.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no CUDA device here; --device cpu runs the same arithmetic, slowly")
    print_machine(("numpy", "torch"))
    _, system, beams = loaded(args.case, args.data, args.patient)
    matrix, bixels = beams.k.matrix, beams.k.bixels
    solvers = {"ours": inner_solver("newton", matrix, bixels), args.device: solver(matrix, bixels, args.device)}
    rng, parameters, start = np.random.default_rng(0), system.protocol.start_parameters(), None
    figures = {}
    for number in range(args.steps + 1):
        problem, found = problem_of(system, beams, parameters, start), {}
        for name, each in solvers.items():
            began = time.perf_counter()
            (found[name],) = each.solve_batch([problem])
            figures[f"{name}, {f'step {number}' if number else 'cold'}"] = round(time.perf_counter() - began, 3)
        start, there, parameters = found["ours"], found[args.device], stepped(parameters, rng, "step")
        above = there.objective / start.objective - 1
        print(f"objective {above:+.3%}, KKT {there.kkt_residual:.1e}, {there.iterations} steps", flush=True)
    print_figures("gpu", figures)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
