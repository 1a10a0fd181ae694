"""The backend `newton`: our semismooth Newton method with its Hessians, ridges, precisions and coarse starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import sparse

from radplan_env.beams import Bixels

from . import newton
from .coarse import CoarseProblem
from .gram import Base, Gram
from .lagrangian import LagrangianSolver
from .loss import Loss
from .matrix import DoseOperator, InfluenceMatrix, Vector
from .minimiser import Subproblem
from .multiplier_step import multipliers
from .smoothness import Smoothness
from .solver import FluenceProblem
from .target_grams import TargetGrams

_UPDATE_RIDGE = 1e-4  # between updates of the multipliers little changes
_MAX_ITERATIONS = (25, 60)  # in single, and then in double precision
_SINGLE_PRECISION_FROM = 300  # bixels; below, double precision costs next to nothing


def solver(matrix: sparse.csr_array, bixels: Bixels | None = None) -> LagrangianSolver:
    """Return our solver for K; see `solver.inner_solver`."""
    k = InfluenceMatrix(matrix)
    coarse = None if bixels is None else CoarseProblem(k, bixels)
    large = matrix.shape[1] >= _SINGLE_PRECISION_FROM
    precisions: Sequence[type[np.floating[Any]]] = (np.float32, np.float64) if large else (np.float64,)
    kept = TargetGrams(k, precisions[0])

    def minimiser(operator: DoseOperator, problem: FluenceProblem) -> _NewtonMinimiser:
        return _NewtonMinimiser(operator, problem.smoothness, coarse, precisions, kept.of(problem.terms))

    return LagrangianSolver(k, minimiser)


class _NewtonMinimiser:
    """Newton's method for the subproblems of one solve: see `minimiser.Minimiser`."""

    def __init__(
        self,
        matrix: DoseOperator,
        smoothness: Smoothness | None,
        coarse: CoarseProblem | None,
        precisions: Sequence[type[np.floating[Any]]],
        bases: Sequence[Base],
    ) -> None:
        self._matrix, self._smoothness, self._coarse = matrix, smoothness, coarse
        constant = None if smoothness is None else smoothness.hessian
        # Their rounding depends on their history: kept, one solve would sway the next.
        self._ridge = _UPDATE_RIDGE
        self._grams = [Gram(matrix, dtype, constant, bases if dtype is precisions[0] else ()) for dtype in precisions]

    def improved(self, loss: Loss, fluence: Vector) -> Vector:
        return fluence if self._coarse is None else self._coarse.start(loss, fluence)

    def minimise(self, subproblem: Subproblem, start: Vector, start_gy: Vector) -> newton.Minimum:
        ridge = min(_UPDATE_RIDGE, self._ridge) if subproblem.near else newton.FIRST_RIDGE
        iterations = 0
        for gram, most in zip(self._grams, _MAX_ITERATIONS[-len(self._grams) :], strict=True):
            minimum = newton.minimise(
                self._matrix,
                subproblem.loss,
                start,
                gram,
                start_gy=start_gy,
                tolerance=subproblem.tolerance,
                max_iterations=most,
                negligible=subproblem.negligible,
                ridge=ridge,
                smoothness=self._smoothness,
                bounds=subproblem.bounds,
                pulling=subproblem.pulling,
            )
            iterations += minimum.iterations
            if minimum.kkt_residual <= subproblem.tolerance:
                break
            start, start_gy, ridge = minimum.fluence, minimum.dose, _UPDATE_RIDGE
        self._ridge = minimum.ridge or _UPDATE_RIDGE
        return replace(minimum, iterations=iterations)

    def multipliers(
        self, minimum: newton.Minimum, subproblem: Subproblem, short_gy: Vector
    ) -> tuple[Vector, Vector, Vector] | None:
        loss, bounds = subproblem.loss, subproblem.bounds
        return multipliers(self._matrix, loss, bounds, short_gy, minimum, self._grams[0], self._ridge)
