"""What every picture checks of what it is given."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from radplan_env.case import Case


def dose_on_ct(dose_gy: NDArray[Any], case: Case, name: str = "dose_gy") -> NDArray[np.float32]:
    """Return a dose as float32.

    Parameters
    ----------
    dose_gy : ndarray, shape (z, y, x)
        Total dose on the CT grid, Gy.
    case : Case
    name : str
        What the caller calls it, for the message.

    Raises
    ------
    ValueError
        If it is not on the CT grid or not finite.
    """
    dose = np.asarray(dose_gy, np.float32)
    if dose.shape != case.grid.shape:
        raise ValueError(f"{name} has shape {dose.shape}, the CT {case.grid.shape}: resample it to case.grid")
    if not np.isfinite(dose).all():
        raise ValueError(f"{name} holds values that are NaN or infinite")
    return dose


def check_prescription(prescription_gy: float) -> None:
    """Raise ValueError unless a prescription in Gy is positive."""
    if not prescription_gy > 0:
        raise ValueError(f"prescription_gy must be positive, got {prescription_gy!r}")
