"""Dose-volume metrics: pure functions of the doses (Gy) in a structure's voxels."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Doses = NDArray[np.floating[Any]]
T = TypeVar("T")


def mean_dose(dose: Doses) -> float:
    """Return the mean dose in Gy."""
    return float(_voxels(dose).mean(dtype=np.float64))


def min_dose(dose: Doses) -> float:
    """Return the dose of the coldest voxel in Gy."""
    return float(_voxels(dose).min())


def max_dose(dose: Doses) -> float:
    """Return the dose of the hottest voxel in Gy."""
    return float(_voxels(dose).max())


def dose_at_volume(dose: Doses, percent: float) -> float:
    """Return D_q, the dose in Gy that at least `percent` % of the structure receives.

    Between two voxels the dose is interpolated linearly, so D100% is the minimum and D0% the maximum.

    Parameters
    ----------
    dose : ndarray, shape (voxels,)
        Dose in each voxel of the structure, Gy.
    percent : float
        Volume q in % of the structure, 0 to 100.

    Raises
    ------
    ValueError
        If there are no voxels or `percent` is outside 0..100.
    """
    if not 0 <= percent <= 100:
        raise ValueError(f"volume must be between 0 and 100 %, got {percent!r}")
    return float(np.percentile(_voxels(dose), 100 - percent))


def dose_at_volume_cc(dose: Doses, cc: float, voxel_cc: float) -> float:
    """Return D_Xcc, the dose in Gy that the hottest `cc` cubic centimetres receive at least.

    It is D_q at q = cc / structure volume, so a volume of less than one voxel is interpolated like any other. A
    structure smaller than `cc` has no such dose: its maximum is returned, which no limit can find too low.

    Parameters
    ----------
    dose : ndarray, shape (voxels,)
        Dose in each voxel of the structure, Gy.
    cc : float
        Volume X in cc, zero or greater.
    voxel_cc : float
        Volume of one voxel in cc.

    Raises
    ------
    ValueError
        If there are no voxels, or a volume is negative or zero-sized.
    """
    percent = _percent_of_structure(dose, cc, voxel_cc)
    return max_dose(dose) if percent > 100 else dose_at_volume(dose, percent)


def coldest_dose_at_volume_cc(dose: Doses, cc: float, voxel_cc: float) -> float:
    """Return DC_Xcc, the dose in Gy that the coldest `cc` cubic centimetres receive at most (TG-263).

    It is D_q at q = 100 % - cc / structure volume. Of a structure smaller than `cc` it is the minimum, which no limit
    can find too high.

    Parameters
    ----------
    dose : ndarray, shape (voxels,)
        Dose in each voxel of the structure, Gy.
    cc : float
        Volume X in cc, zero or greater.
    voxel_cc : float
        Volume of one voxel in cc.

    Raises
    ------
    ValueError
        If there are no voxels, or a volume is negative or zero-sized.
    """
    percent = _percent_of_structure(dose, cc, voxel_cc)
    return min_dose(dose) if percent > 100 else dose_at_volume(dose, 100 - percent)


def volume_at_dose(dose: Doses, gy: float) -> float:
    """Return V_d, the % of the structure that receives at least `gy` Gy."""
    voxels = _voxels(dose)
    return 100 * _count_at_least(voxels, gy) / voxels.size


def homogeneity_index(dose: Doses, rx_gy: float) -> float:
    """Return HI = (D5 - D95) / Rx * 100 of a target; 0 is ideal (GPT-RadPlan, Eq. 2)."""
    d5, d95 = np.percentile(_voxels(dose), (95, 5))
    return float(100 * (d5 - d95) / rx_gy)


def conformity_index(target_dose: Doses, body_dose: Doses, rx_gy: float) -> float:
    """Return CI = TV95,PTV² / (TV · TV95,Body), 1 where the 95 % isodose is the target and nothing else.

    GPT-RadPlan's Eq. 3 with TV the *target* volume (van 't Riet 1997; Paddick 2000): as printed, with TV the body's
    volume, it could not tend to 1.

    Parameters
    ----------
    target_dose, body_dose : ndarray, shape (voxels,)
        Doses in Gy in the target and in the whole body, target included, on the same grid.
    rx_gy : float
        Prescription of the target in Gy.

    Raises
    ------
    ValueError
        If there are no voxels.
    """
    target = _voxels(target_dose)
    covered_target = _count_at_least(target, 0.95 * rx_gy)
    covered_body = _count_at_least(_voxels(body_dose), 0.95 * rx_gy)
    return covered_target**2 / (target.size * covered_body) if covered_body else 0.0


def intermediate_dose_spill(body_dose: Doses, target_voxels: int, rx_gy: float) -> float:
    """Return R50, the volume that receives half of the prescription as a multiple of the targets' volume (RTOG 0813).

    Parameters
    ----------
    body_dose : ndarray, shape (voxels,)
        Doses in Gy in the whole body, targets included.
    target_voxels : int
        Number of voxels in all targets together, on the same grid.
    rx_gy : float
        Highest prescription in Gy.

    Raises
    ------
    ValueError
        If there are no voxels.
    """
    if target_voxels < 1:
        raise ValueError(f"R50 is a multiple of the targets' volume, got {target_voxels!r} voxels")
    return _count_at_least(_voxels(body_dose), 0.5 * rx_gy) / target_voxels


def dvh(dose: Doses, edges_gy: Doses) -> NDArray[np.float64]:
    """Return the cumulative dose-volume histogram.

    Parameters
    ----------
    dose : ndarray, shape (voxels,)
        Dose in each voxel of the structure, Gy.
    edges_gy : ndarray, shape (edges,)
        Doses at which to read the histogram, Gy.

    Returns
    -------
    ndarray, shape (edges,)
        % of the structure that receives at least each edge's dose.

    Raises
    ------
    ValueError
        If there are no voxels.
    """
    voxels = np.sort(_voxels(dose), axis=None)
    # Edges in the voxels' own precision, as in `volume_at_dose`: a float32 voxel at an edge receives it.
    below = np.searchsorted(voxels, np.asarray(edges_gy).astype(voxels.dtype), side="left")
    return 100 * (voxels.size - below) / voxels.size


@dataclass(frozen=True)
class Metric:
    """A metric by its name, as protocols and plan summaries write it; see `parse_metric`.

    Parameters
    ----------
    name : str
        Canonical name: "D95%", "D0.03cc", "DC0.03cc", "V31Gy", "mean", "min", "max", "HI", "CI" or "R50".
    unit : str
        "Gy", "%" or "" for an index.
    kind : str
        "D%", "Dcc", "DCcc" or "VGy", otherwise as the name.
    number : float
        X of D_X%, D_Xcc, DC_Xcc and V_XGy, otherwise NaN.
    """

    name: str
    unit: str
    _compute: Callable[[_Context], float]
    kind: str
    number: float = math.nan

    def evaluate(
        self,
        dose: Doses,
        *,
        voxel_cc: float | None = None,
        rx_gy: float | None = None,
        body_dose: Doses | None = None,
        target_voxels: int | None = None,
    ) -> float:
        """Return the metric's value for a structure.

        Parameters
        ----------
        dose : ndarray, shape (voxels,)
            Dose in each voxel of the structure, Gy.
        voxel_cc : float, optional
            Volume of a voxel; D_Xcc and DC_Xcc need it.
        rx_gy : float, optional
            Prescription of the structure; HI, CI and R50 need it.
        body_dose : ndarray, shape (body voxels,), optional
            Dose in the whole body; CI needs it.
        target_voxels : int, optional
            Number of voxels in all targets together; R50 of the body needs it.

        Raises
        ------
        ValueError
            If there are no voxels, or something the metric needs was not given.
        """
        return self._compute(_Context(self.name, dose, voxel_cc, rx_gy, body_dose, target_voxels))


def parse_metric(name: str) -> Metric:
    """Return the metric that a name such as "D95%", "D0.03cc", "DC0.03cc", "V31Gy", "mean" or "HI" stands for.

    Raises
    ------
    ValueError
        If there is no such metric.
    """
    if name in _NAMED:
        return Metric(name, *_NAMED[name], kind=name)
    if match := re.fullmatch(r"([A-Za-z]+)(\d+(?:\.\d+)?)(%|cc|Gy|)", name):
        letter, number, suffix = match.groups()
        x = float(number)
        if letter + suffix in _PARAMETRIC and not (suffix == "%" and x > 100):
            unit, compute = _PARAMETRIC[letter + suffix]
            return Metric(f"{letter}{x:g}{suffix}", unit, lambda context: compute(x, context), letter + suffix, x)
    raise ValueError(f"no metric {name!r}; write D95%, D0.03cc, V31Gy, {', '.join(_NAMED)}")


def computations(kinds: Iterable[str]) -> list[Callable[..., float]]:
    """Return what computes metrics of these kinds, such as "D%" and "HI": what a digest of a score must cover."""
    return [_NAMED[kind][1] if kind in _NAMED else _PARAMETRIC[kind][1] for kind in kinds]


@dataclass(frozen=True, eq=False)
class _Context:
    """What a metric may ask for; asking for what was not given raises."""

    metric: str
    dose: Doses
    _voxel_cc: float | None
    _rx_gy: float | None
    _body_dose: Doses | None
    _target_voxels: int | None

    @property
    def voxel_cc(self) -> float:
        return self._needed("voxel_cc", self._voxel_cc)

    @property
    def rx_gy(self) -> float:
        return self._needed("rx_gy", self._rx_gy)

    @property
    def body_dose(self) -> Doses:
        return self._needed("body_dose", self._body_dose)

    @property
    def target_voxels(self) -> int:
        return self._needed("target_voxels", self._target_voxels)

    def _needed(self, what: str, value: T | None) -> T:
        if value is None:
            raise ValueError(f"{self.metric} needs {what}")
        return value


_NAMED: dict[str, tuple[str, Callable[[_Context], float]]] = {
    "mean": ("Gy", lambda c: mean_dose(c.dose)),
    "min": ("Gy", lambda c: min_dose(c.dose)),
    "max": ("Gy", lambda c: max_dose(c.dose)),
    "HI": ("", lambda c: homogeneity_index(c.dose, c.rx_gy)),
    "CI": ("", lambda c: conformity_index(c.dose, c.body_dose, c.rx_gy)),
    "R50": ("", lambda c: intermediate_dose_spill(c.dose, c.target_voxels, c.rx_gy)),
}
_PARAMETRIC: dict[str, tuple[str, Callable[[float, _Context], float]]] = {
    "D%": ("Gy", lambda percent, c: dose_at_volume(c.dose, percent)),
    "Dcc": ("Gy", lambda cc, c: dose_at_volume_cc(c.dose, cc, c.voxel_cc)),
    "DCcc": ("Gy", lambda cc, c: coldest_dose_at_volume_cc(c.dose, cc, c.voxel_cc)),
    "VGy": ("%", lambda gy, c: volume_at_dose(c.dose, gy)),
}


def _voxels(dose: Doses) -> Doses:
    """Return the doses as a floating array with at least one voxel."""
    dose = np.asarray(dose)
    if dose.size == 0:
        raise ValueError("no voxels to take a metric of")
    return dose if np.issubdtype(dose.dtype, np.floating) else dose.astype(np.float64)


def _percent_of_structure(dose: Doses, cc: float, voxel_cc: float) -> float:
    if not cc >= 0 or not voxel_cc > 0:
        raise ValueError(f"volumes must be positive, got {cc!r} cc of voxels of {voxel_cc!r} cc")
    return 100 * cc / (_voxels(dose).size * voxel_cc)


def _count_at_least(voxels: Doses, gy: float) -> int:
    # A Python float compares in the voxels' own precision: float32(70.2) is at least 70.2.
    return int(np.count_nonzero(voxels >= float(gy)))
