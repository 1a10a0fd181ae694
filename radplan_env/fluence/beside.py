"""Dose that rows have beside K x: held fixed while the fluence is optimised, renewed between rounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from .constraints import DoseConstraint, means_of, with_means

Vector = NDArray[np.float64]


class Beside:
    """A problem's dose beyond K, with that of the rows that `constraints.rows_of` adds for means.

    Parameters
    ----------
    beyond_k : callable or None
        See `FluenceProblem`; None: there is none.
    constraints : sequence of DoseConstraint
    rows : int
        Of K and those added.

    Attributes
    ----------
    dose : ndarray, shape (rows,)
        In Gy, as of the last renewal; 0 before.
    """

    def __init__(
        self, beyond_k: Callable[[Vector], Vector] | None, constraints: Sequence[DoseConstraint], rows: int
    ) -> None:
        self._beyond_k = beyond_k
        self._means = means_of(constraints)
        self._known: Vector | None = None
        self.dose = np.zeros(rows)

    @property
    def follows(self) -> bool:
        """Whether the dose follows the fluence at all."""
        return self._beyond_k is not None

    def renew(self, fluence: Vector) -> None:
        """Take the dose of a fluence (bixels,)."""
        if self._beyond_k is None or fluence is self._known:
            return
        self._take(fluence, self._beyond_k(fluence))

    def start_from(self, fluence: Vector, dose: Vector, of_k: Vector) -> None:
        """Take what a start's dose, shape (voxels,), has beside K x."""
        if self._beyond_k is not None:
            self._take(fluence, dose - of_k[: dose.size])

    def _take(self, fluence: Vector, dose: Vector) -> None:
        self._known, self.dose = fluence, with_means(dose, self._means)
