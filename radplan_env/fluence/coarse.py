"""Where to start: the same problem with wide bixels and few voxels, solved in a twinkling."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from . import newton
from .gram import Gram
from .loss import Loss
from .matrix import InfluenceMatrix, Rows, Vector

_LEVELS = ((8, 5),)
"""(neighbouring bixels joined, one voxel kept of so many), from the coarsest: measured with benchmarks/fluence.py."""
_FEWEST_BIXELS = 1000  # smaller problems need no help
_TOLERANCE = 0.3
_MAX_ITERATIONS = 12


class CoarseProblem:
    """The inner loop's problem on coarsened matrices: a start for the fine one, never a check of it.

    Parameters
    ----------
    matrix : InfluenceMatrix
    """

    def __init__(self, matrix: InfluenceMatrix) -> None:
        self._fine = matrix

    @cached_property
    def _levels(self) -> list[tuple[int, Rows, InfluenceMatrix]]:
        rows = [np.arange(0, self._fine.shape[0], stride) for _, stride in _LEVELS]
        return [
            (group, kept, self._fine.coarsened(kept, group)) for (group, _), kept in zip(_LEVELS, rows, strict=True)
        ]

    def start(self, loss: Loss, fluence: Vector) -> Vector:
        """Improve on a uniform fluence (bixels,) before the fine problem sees it."""
        if fluence.size < _FEWEST_BIXELS:
            return fluence
        ridge = newton.FIRST_RIDGE
        for group, rows, matrix in self._levels:
            minimum = newton.minimise(
                matrix,
                loss.on(rows),
                _joined(fluence, group),
                Gram(matrix),
                tolerance=_TOLERANCE,
                max_iterations=_MAX_ITERATIONS,
                ridge=ridge,
            )
            fluence = np.repeat(minimum.fluence, group)[: fluence.size]
        return fluence


def _joined(fluence: Vector, group: int) -> Vector:
    """Return the mean fluence of every `group` neighbours."""
    starts = np.arange(0, fluence.size, group)
    mean: Vector = np.add.reduceat(fluence, starts) / np.diff(np.append(starts, fluence.size))
    return mean
