"""Kᵀ diag(v) K of each target, kept for a patient: most of every Hessian, and the same in all but a factor."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .gram import Base, Gram
from .matrix import InfluenceMatrix
from .objective import Term

_BAND = 512
_MOST_BYTES = 5e8


@dataclass(frozen=True)
class _Made:
    term: Term
    base: Base


class TargetGrams:
    """Makes a target's matrix when it is first seen, and keeps those of the last problem.

    They depend on K and the targets alone, so that no solve sways another.

    Parameters
    ----------
    matrix : InfluenceMatrix
        K.
    dtype : type
    """

    def __init__(self, matrix: InfluenceMatrix, dtype: type[np.floating[Any]]) -> None:
        self._matrix, self._dtype = matrix, dtype
        self._known: list[_Made] = []
        self._lock = threading.Lock()

    def of(self, terms: Sequence[Term]) -> list[Base]:
        """Return those of the terms on targets; none where they would take more memory than they are worth."""
        targets = [term for term in terms if not term.one_sided]
        if len(targets) * self._matrix.shape[1] ** 2 * np.dtype(self._dtype).itemsize > _MOST_BYTES:
            return []
        with self._lock:
            self._known = [self._found(term) for term in targets]
            return [made.base for made in self._known]

    def _found(self, term: Term) -> _Made:
        for made in self._known:
            if _same(made.term.rows, term.rows) and _same(made.term.volumes_cc, term.volumes_cc):
                return made
        gram = Gram(self._matrix, self._dtype)
        curvature = np.zeros(self._matrix.shape[0])
        curvature[term.rows] = term.shares
        every = np.ones(self._matrix.shape[1], dtype=bool)
        gram.update(curvature, every, every)
        _mirror(whole := gram.lower)
        return _Made(term, Base(term.rows, term.shares, whole))


def _mirror(lower: NDArray[Any]) -> None:
    """Complete a matrix from its lower triangle, in place: it may be as large as K."""
    for start in range(0, len(lower), _BAND):
        band = slice(start, start + _BAND)
        lower[:start, band] = lower[band, :start].T
        square = np.tril(lower[band, band])
        lower[band, band] = square + np.tril(square, -1).T


def _same(one: NDArray[Any] | None, other: NDArray[Any] | None) -> bool:
    return one is other or (one is not None and other is not None and np.array_equal(one, other))
