"""Where to start: the same problem with wide bixels and few voxels, solved in milliseconds."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from radplan_env.beams import Bixels

from . import newton
from .gram import Gram
from .loss import Loss
from .matrix import InfluenceMatrix, Vector

_GROUP = 8  # neighbouring bixels joined
_STRIDE = 5  # one voxel kept of so many
_FEWEST_BIXELS = 1000  # smaller problems need no help
_TOLERANCE = 0.3
_MAX_ITERATIONS = 12


class CoarseProblem:
    """The inner loop's problem on a coarsened matrix: a start for the fine one, never a check of it.

    Parameters
    ----------
    matrix : InfluenceMatrix
    bixels : Bixels
        What its columns are: those beside each other on their beam are joined.
    """

    def __init__(self, matrix: InfluenceMatrix, bixels: Bixels) -> None:
        self._fine = matrix
        rank = np.empty(len(bixels), dtype=np.int64)
        rank[bixels.order] = np.arange(len(bixels))
        self._group = rank // _GROUP
        self._first = bixels.order[::_GROUP]
        self._rows = np.arange(0, matrix.shape[0], _STRIDE)

    @cached_property
    def _matrix(self) -> InfluenceMatrix:
        return self._fine.coarsened(self._rows, self._group)

    def start(self, loss: Loss, fluence: Vector) -> Vector:
        """Improve on a uniform fluence (bixels,) before the fine problem sees it."""
        if fluence.size < _FEWEST_BIXELS:
            return fluence
        minimum = newton.minimise(
            self._matrix,
            loss.on(self._rows),
            fluence[self._first],
            Gram(self._matrix),
            tolerance=_TOLERANCE,
            max_iterations=_MAX_ITERATIONS,
        )
        return minimum.fluence[self._group]
