"""Dose-volume metrics: pure functions of the doses (Gy) in a structure's voxels and of their volumes.

`voxel_cc` is one number where all voxels are alike, as on a dose grid, or the volume of each, as of points that stand
for parts of different sizes. Voxels of one size are samples of a continuous dose, between which D_q is interpolated;
with a volume each they are a histogram, and D_q is read off its steps: splitting a voxel into two changes nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeGuard, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from radplan_env.radiobiology import generalised_eud, lyman_eud, ntcp

Doses = NDArray[np.floating[Any]]
Volumes = float | NDArray[np.floating[Any]]
T = TypeVar("T")

_ROUNDING = 1e-9  # of a sum of volumes, relative


def by_dose(dose: Doses) -> NDArray[np.int64]:
    """Return the indices of voxels in ascending order of dose, shape (voxels,); equal ones stay in their order.

    Single precision without a sign sorts as its bits do: these with the index below them, several times as fast as a
    stable sort of the doses.
    """
    if dose.dtype != np.float32 or dose.size >= 2**32 or np.signbit(dose).any():
        return np.argsort(dose, kind="stable")
    bits = np.ascontiguousarray(dose).view(np.uint32).astype(np.uint64) << np.uint64(32)
    return (np.sort(bits | np.arange(dose.size, dtype=np.uint64)) & np.uint64(2**32 - 1)).astype(np.int64)


def ascending(dose: Doses, voxel_cc: Volumes) -> tuple[Doses, Volumes]:
    """Return doses, shape (voxels,), and their volumes by ascending dose: the same arrays where they are already."""
    if bool((dose[1:] >= dose[:-1]).all()):
        return dose, voxel_cc
    order = by_dose(dose)
    return dose[order], voxel_cc if _alike(voxel_cc) else np.asarray(voxel_cc)[order]


def mean_dose(dose: Doses, voxel_cc: Volumes = 1.0) -> float:
    """Return the mean dose in Gy."""
    voxels = _voxels(dose)
    if _alike(voxel_cc):
        return float(voxels.mean(dtype=np.float64))
    return float(np.average(voxels.astype(np.float64), weights=voxel_cc))


def min_dose(dose: Doses) -> float:
    """Return the dose of the coldest voxel in Gy."""
    return float(_voxels(dose).min())


def max_dose(dose: Doses) -> float:
    """Return the dose of the hottest voxel in Gy."""
    return float(_voxels(dose).max())


def dose_at_volume(dose: Doses, percent: float, voxel_cc: Volumes = 1.0) -> float:
    """Return D_q, the dose in Gy that at least `percent` % of the structure receives.

    D100% is the minimum and D0% the maximum. Between two voxels of one size the dose is interpolated linearly.

    Parameters
    ----------
    dose : ndarray, shape (voxels,)
        Dose in each voxel of the structure, Gy.
    percent : float
        Volume q in % of the structure, 0 to 100.
    voxel_cc : float or ndarray, shape (voxels,)
        Volume of every voxel or of each, in cc.

    Raises
    ------
    ValueError
        If there are no voxels or `percent` is outside 0..100.
    """
    if not 0 <= percent <= 100:
        raise ValueError(f"volume must be between 0 and 100 %, got {percent!r}")
    voxels = _voxels(dose)
    if _alike(voxel_cc):
        return float(np.percentile(voxels, 100 - percent))
    coldest_first = np.argsort(voxels, kind="stable")  # hardly any work where they are sorted already
    colder = np.cumsum(np.asarray(voxel_cc, np.float64)[coldest_first])
    exempt = colder[-1] * (1 - percent / 100 + _ROUNDING)
    return float(voxels[coldest_first[min(np.searchsorted(colder, exempt, side="right"), voxels.size - 1)]])


def dose_at_volume_cc(dose: Doses, cc: float, voxel_cc: Volumes) -> float:
    """Return D_Xcc, the dose in Gy that the hottest `cc` cubic centimetres receive at least.

    It is D_q at q = cc / structure volume, so a volume of less than one voxel is interpolated like any other. A
    structure smaller than `cc` has no such dose: its maximum is returned, which no limit can find too low.

    Parameters
    ----------
    dose : ndarray, shape (voxels,)
        Dose in each voxel of the structure, Gy.
    cc : float
        Volume X in cc, zero or greater.
    voxel_cc : float or ndarray, shape (voxels,)
        Volume of every voxel or of each, in cc.

    Raises
    ------
    ValueError
        If there are no voxels, or a volume is negative or zero-sized.
    """
    percent = _percent_of_structure(dose, cc, voxel_cc)
    return max_dose(dose) if percent > 100 else dose_at_volume(dose, percent, voxel_cc)


def coldest_dose_at_volume_cc(dose: Doses, cc: float, voxel_cc: Volumes) -> float:
    """Return DC_Xcc, the dose in Gy that the coldest `cc` cubic centimetres receive at most (TG-263).

    It is D_q at q = 100 % - cc / structure volume. Of a structure smaller than `cc` it is the minimum, which no limit
    can find too high.

    Parameters
    ----------
    dose : ndarray, shape (voxels,)
        Dose in each voxel of the structure, Gy.
    cc : float
        Volume X in cc, zero or greater.
    voxel_cc : float or ndarray, shape (voxels,)
        Volume of every voxel or of each, in cc.

    Raises
    ------
    ValueError
        If there are no voxels, or a volume is negative or zero-sized.
    """
    percent = _percent_of_structure(dose, cc, voxel_cc)
    return min_dose(dose) if percent > 100 else dose_at_volume(dose, 100 - percent, voxel_cc)


def volume_at_dose(dose: Doses, gy: float, voxel_cc: Volumes = 1.0) -> float:
    """Return V_d, the % of the structure that receives at least `gy` Gy."""
    voxels = _voxels(dose)
    weights = 1.0 if _alike(voxel_cc) else voxel_cc
    return 100 * _volume_at_least(voxels, gy, weights) / _volume(voxels, weights)


def homogeneity_index(dose: Doses, rx_gy: float, voxel_cc: Volumes = 1.0) -> float:
    """Return HI = (D5 - D95) / Rx * 100 of a target; 0 is ideal (GPT-RadPlan, Eq. 2)."""
    if _alike(voxel_cc):
        d5, d95 = np.percentile(_voxels(dose), (95, 5))
        return float(100 * (d5 - d95) / rx_gy)
    return 100 * (dose_at_volume(dose, 5, voxel_cc) - dose_at_volume(dose, 95, voxel_cc)) / rx_gy


def conformity_index(
    target_dose: Doses, body_dose: Doses, rx_gy: float, target_cc: Volumes = 1.0, body_cc: Volumes = 1.0
) -> float:
    """Return CI = TV95,PTV² / (TV · TV95,Body), 1 where the 95 % isodose is the target and nothing else.

    GPT-RadPlan's Eq. 3 with TV the *target* volume (van 't Riet 1997; Paddick 2000): as printed, with TV the body's
    volume, it could not tend to 1.

    Parameters
    ----------
    target_dose, body_dose : ndarray, shape (voxels,)
        Doses in Gy in the target and in the whole body, target included.
    rx_gy : float
        Prescription of the target in Gy.
    target_cc, body_cc : float or ndarray, shape (voxels,)
        Volumes of their voxels in cc; equal everywhere by default.

    Raises
    ------
    ValueError
        If there are no voxels.
    """
    target, body = _voxels(target_dose), _voxels(body_dose)
    if _alike(target_cc) and _alike(body_cc) and target_cc == body_cc:
        target_cc = body_cc = 1.0  # whole numbers of voxels
    covered_target = _volume_at_least(target, 0.95 * rx_gy, target_cc)
    covered_body = _volume_at_least(body, 0.95 * rx_gy, body_cc)
    return covered_target**2 / (_volume(target, target_cc) * covered_body) if covered_body else 0.0


def intermediate_dose_spill(body_dose: Doses, targets_cc: float, rx_gy: float, body_cc: Volumes = 1.0) -> float:
    """Return R50, the volume that receives half of the prescription as a multiple of the targets' volume (RTOG 0813).

    Parameters
    ----------
    body_dose : ndarray, shape (voxels,)
        Doses in Gy in the whole body, targets included.
    targets_cc : float
        Volume of all targets together, in cc.
    rx_gy : float
        Highest prescription in Gy.
    body_cc : float or ndarray, shape (voxels,)
        Volume of every voxel of the body or of each, in cc.

    Raises
    ------
    ValueError
        If there are no voxels, or the targets have no volume.
    """
    if not targets_cc > 0:
        raise ValueError(f"R50 is a multiple of the targets' volume, got {targets_cc!r} cc")
    if _alike(body_cc):
        voxels = round(targets_cc / body_cc, 6)  # a whole number again, whatever its product was rounded to
        return _volume_at_least(_voxels(body_dose), 0.5 * rx_gy, 1.0) / voxels
    return _volume_at_least(_voxels(body_dose), 0.5 * rx_gy, body_cc) / targets_cc


def dvh(dose: Doses, edges_gy: Doses, voxel_cc: Volumes = 1.0) -> NDArray[np.float64]:
    """Return the cumulative dose-volume histogram.

    Parameters
    ----------
    dose : ndarray, shape (voxels,)
        Dose in each voxel of the structure, Gy.
    edges_gy : ndarray, shape (edges,)
        Doses at which to read the histogram, Gy.
    voxel_cc : float or ndarray, shape (voxels,)
        Volume of every voxel or of each, in cc.

    Returns
    -------
    ndarray, shape (edges,)
        % of the structure that receives at least each edge's dose.

    Raises
    ------
    ValueError
        If there are no voxels.
    """
    voxels = _voxels(dose)
    voxels, volumes = ascending(voxels.ravel(), voxel_cc)
    # Edges in the voxels' own precision, as in `volume_at_dose`: a float32 voxel at an edge receives it.
    edges = np.asarray(edges_gy).astype(voxels.dtype)
    below = np.searchsorted(voxels, edges, side="left")
    if _alike(volumes):
        return 100 * (voxels.size - below) / voxels.size
    volume = np.concatenate([[0.0], np.cumsum(volumes, dtype=np.float64)])
    percent: NDArray[np.float64] = 100 * (volume[-1] - volume[below]) / volume[-1]
    return percent


@dataclass(frozen=True)
class Metric:
    """A metric by its name, as protocols and plan summaries write it; see `parse_metric`.

    Parameters
    ----------
    name : str
        Canonical name: "D95%", "D0.03cc", "DC0.03cc", "V31Gy", "mean", "min", "max", "HI", "CI", "R50", "gEUD(a=8)",
        "EUD(n=1.17,ab=3)" or "NTCP(n=0.09,m=0.13,td50=76.9,ab=3)".
    unit : str
        "Gy", "%" or "" for an index or a probability.
    kind : str
        "D%", "Dcc", "DCcc", "VGy", "gEUD", "EUD" or "NTCP", otherwise as the name.
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
        voxel_cc: Volumes | None = None,
        rx_gy: float | None = None,
        body_dose: Doses | None = None,
        body_cc: Volumes | None = None,
        targets_cc: float | None = None,
        fractions: int | None = None,
    ) -> float:
        """Return the metric's value for a structure.

        Parameters
        ----------
        dose : ndarray, shape (voxels,)
            Dose in each voxel of the structure, Gy.
        voxel_cc : float or ndarray, shape (voxels,), optional
            Volume of every voxel or of each. D_Xcc and DC_Xcc need it; others take all voxels as alike.
        rx_gy : float, optional
            Prescription of the structure; HI, CI and R50 need it.
        body_dose : ndarray, shape (body voxels,), optional
            Dose in the whole body; CI needs it.
        body_cc : float or ndarray, shape (body voxels,), optional
            Volume of every voxel of the body or of each; that of the structure's voxels if it is one number.
        targets_cc : float, optional
            Volume of all targets together; R50 of the body needs it.
        fractions : int, optional
            Number of fractions; EUD and NTCP, which are taken of EQD2, need it.

        Raises
        ------
        ValueError
            If there are no voxels, or something the metric needs was not given.
        """
        return self._compute(_Context(self.name, dose, voxel_cc, rx_gy, body_dose, body_cc, targets_cc, fractions))


def parse_metric(name: str) -> Metric:
    """Return the metric that a name such as "D95%", "D0.03cc", "DC0.03cc", "V31Gy", "mean" or "HI" stands for.

    Models take their parameters in brackets: "gEUD(a=8)"; "EUD(n=1.17,ab=3)" and "NTCP(n=…,m=…,td50=…,ab=…)" are
    Lyman's, of EQD2 with an α/β of `ab` Gy.

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
    if (match := re.fullmatch(r"(\w+)\((\w+=-?[\d.]+(?:, ?\w+=-?[\d.]+)*)\)", name)) and match[1] in _MODELS:
        unit, wanted, model = _MODELS[match[1]]
        given = dict(part.strip().split("=") for part in match[2].split(","))
        if set(given) == set(wanted):
            values = [float(given[key]) for key in wanted]
            canonical = ",".join(f"{key}={value:g}" for key, value in zip(wanted, values, strict=True))
            return Metric(f"{match[1]}({canonical})", unit, lambda context: model(context, *values), match[1])
    models = ", ".join(f"{kind}({','.join(f'{key}=…' for key in wanted)})" for kind, (_, wanted, _) in _MODELS.items())
    raise ValueError(f"no metric {name!r}; write D95%, D0.03cc, V31Gy, {', '.join(_NAMED)}, {models}")


def computations(kinds: Iterable[str]) -> list[Callable[..., float]]:
    """Return what computes metrics of these kinds, such as "D%" and "HI": what a digest of a score must cover."""
    by_kind = {name: entry[-1] for table in (_NAMED, _PARAMETRIC, _MODELS) for name, entry in table.items()}
    return [by_kind[kind] for kind in kinds]


@dataclass(frozen=True, eq=False)
class _Context:
    """What a metric may ask for; asking for what was not given raises."""

    metric: str
    dose: Doses
    _voxel_cc: Volumes | None
    _rx_gy: float | None
    _body_dose: Doses | None
    _body_cc: Volumes | None
    _targets_cc: float | None
    _fractions: int | None

    @property
    def voxel_cc(self) -> Volumes:
        return cast("Volumes", self._needed("voxel_cc", self._voxel_cc))

    @property
    def volumes(self) -> Volumes:
        """Volumes for metrics that need shares of them only."""
        return 1.0 if self._voxel_cc is None else self._voxel_cc

    @property
    def body_cc(self) -> Volumes:
        if self._body_cc is None and _alike(self.volumes):
            return self.volumes
        return cast("Volumes", self._needed("body_cc", self._body_cc))

    @property
    def rx_gy(self) -> float:
        return self._needed("rx_gy", self._rx_gy)

    @property
    def body_dose(self) -> Doses:
        return self._needed("body_dose", self._body_dose)

    @property
    def targets_cc(self) -> float:
        return self._needed("targets_cc", self._targets_cc)

    @property
    def fractions(self) -> int:
        return self._needed("fractions", self._fractions)

    def _needed(self, what: str, value: T | None) -> T:
        if value is None:
            raise ValueError(f"{self.metric} needs {what}")
        return value


def _eud(context: _Context, n: float, alpha_beta_gy: float) -> float:
    return lyman_eud(context.dose, n, context.fractions, alpha_beta_gy, context.volumes)


_NAMED: dict[str, tuple[str, Callable[[_Context], float]]] = {
    "mean": ("Gy", lambda c: mean_dose(c.dose, c.volumes)),
    "min": ("Gy", lambda c: min_dose(c.dose)),
    "max": ("Gy", lambda c: max_dose(c.dose)),
    "HI": ("", lambda c: homogeneity_index(c.dose, c.rx_gy, c.volumes)),
    "CI": ("", lambda c: conformity_index(c.dose, c.body_dose, c.rx_gy, c.volumes, c.body_cc)),
    "R50": ("", lambda c: intermediate_dose_spill(c.dose, c.targets_cc, c.rx_gy, c.voxel_cc)),
}
_PARAMETRIC: dict[str, tuple[str, Callable[[float, _Context], float]]] = {
    "D%": ("Gy", lambda percent, c: dose_at_volume(c.dose, percent, c.volumes)),
    "Dcc": ("Gy", lambda cc, c: dose_at_volume_cc(c.dose, cc, c.voxel_cc)),
    "DCcc": ("Gy", lambda cc, c: coldest_dose_at_volume_cc(c.dose, cc, c.voxel_cc)),
    "VGy": ("%", lambda gy, c: volume_at_dose(c.dose, gy, c.volumes)),
}
_MODELS: dict[str, tuple[str, tuple[str, ...], Callable[..., float]]] = {
    "gEUD": ("Gy", ("a",), lambda c, a: generalised_eud(c.dose, a, c.volumes)),
    "EUD": ("Gy", ("n", "ab"), _eud),
    "NTCP": ("", ("n", "m", "td50", "ab"), lambda c, n, m, td50, ab: ntcp(_eud(c, n, ab), td50, m)),
}


def _voxels(dose: Doses) -> Doses:
    """Return the doses as a floating array with at least one voxel."""
    dose = np.asarray(dose)
    if dose.size == 0:
        raise ValueError("no voxels to take a metric of")
    return dose if np.issubdtype(dose.dtype, np.floating) else dose.astype(np.float64)


def _alike(voxel_cc: Volumes) -> TypeGuard[float]:
    """Whether every voxel has one and the same volume."""
    return np.ndim(voxel_cc) == 0


def _volume(voxels: Doses, voxel_cc: Volumes) -> float:
    """Volume of the structure in cc."""
    return voxels.size * voxel_cc if _alike(voxel_cc) else float(np.sum(voxel_cc, dtype=np.float64))


def _volume_at_least(voxels: Doses, gy: float, voxel_cc: Volumes) -> float:
    """Volume in cc that receives at least this dose."""
    # A Python float compares in the voxels' own precision: float32(70.2) is at least 70.2.
    receives = voxels >= float(gy)
    if _alike(voxel_cc):
        return int(np.count_nonzero(receives)) * voxel_cc
    return float(np.sum(voxel_cc, where=receives, dtype=np.float64))


def _percent_of_structure(dose: Doses, cc: float, voxel_cc: Volumes) -> float:
    if not cc >= 0 or not np.min(voxel_cc) > 0:
        raise ValueError(f"volumes must be positive, got {cc!r} cc of voxels of {np.min(voxel_cc)!r} cc")
    return 100 * cc / _volume(_voxels(dose), voxel_cc)
