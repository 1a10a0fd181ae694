"""From what a planner asks for to planning parameters: clamped to their ranges, which is said, and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

from radplan_env.limits import Limit
from radplan_env.parameters import PlanningParameters
from radplan_env.planning import PlanningSystem
from radplan_env.protocol import OUTSIDE_TARGETS, BoundProtocol

from .arguments import Change, Faults, LimitArgument, ToolError

Ranges = Mapping[str, Mapping[str, Sequence[float]]]


def changed(
    base: PlanningParameters, change: Change, system: PlanningSystem, ranges: Ranges
) -> tuple[PlanningParameters, list[str]]:
    """Return the parameters that a change leads to, and what of it was clamped.

    Parameters
    ----------
    base : PlanningParameters
    change : Change
    system : PlanningSystem
    ranges : Mapping
        Lowest and highest weight and objective dose by structure.

    Raises
    ------
    ToolError
        "unknown_structure", "wrong_arguments" or "excluding_limits", whichever comes first; it tells all of them.
    """
    protocol = system.protocol
    parameters, clamped, faults = base, list[str](), Faults()
    unknown = [name for name in {**(change.weights or {}), **(change.objective_doses or {})} if name not in ranges]
    if unknown:
        faults.append(_no_structures(unknown, protocol.structures))
    for quantity, words, unit, asked in (
        ("weight", "weight", "", change.weights),
        ("objective_dose_gy", "objective dose", " Gy", change.objective_doses),
    ):
        for structure, value in (asked or {}).items():
            if structure in ranges:
                done, said = _within(f"{structure} {words}", value, ranges[structure][quantity], unit)
                clamped += said
                parameters = parameters.replace(structure, **{quantity: done})
    if change.smoothness is not None:
        own = protocol.protocol.smoothness
        if own is None:
            faults.append(ToolError("wrong_arguments", "this protocol leaves no smoothness to choose: leave it out"))
        else:
            done, said = _within("smoothness", change.smoothness, own.range, "")
            clamped += said
            parameters = replace(parameters, smoothness=done)
    if change.gantry_angles_deg is not None:
        parameters = replace(parameters, gantry_angles_deg=tuple(change.gantry_angles_deg))
    if change.limits is not None:
        limits = _limits(change.limits, system, faults)
        with faults.kept():  # two on one side of a metric
            parameters = replace(parameters, limits=tuple(limits))
    faults.check()
    return parameters, clamped


def _within(name: str, asked: float, ends: Sequence[float], unit: str) -> tuple[float, list[str]]:
    done = min(max(asked, ends[0]), ends[1])
    if done == asked:
        return done, []
    return done, [f"{name} {asked:g}{unit} asked, {done:g}{unit} done: end of its range {ends[0]:g} to {ends[1]:g}"]


def _no_structures(names: Sequence[str], known: Sequence[str]) -> ToolError:
    wrong = ", ".join(repr(name) for name in names)
    return ToolError("unknown_structure", f"no structure {wrong} in this task; there are: {', '.join(known)}")


def _limits(asked: Sequence[LimitArgument], system: PlanningSystem, faults: Faults) -> list[Limit]:
    protocol = system.protocol
    known = (*protocol.structures, OUTSIDE_TARGETS)
    if unknown := list(dict.fromkeys(each.structure for each in asked if each.structure not in known)):
        faults.append(_no_structures(unknown, known))
    limits = list[Limit]()
    for each in asked:
        with faults.kept():
            limits.append(Limit(each.structure, each.metric, each.at_most, each.at_least))
    of_task = [limit for limit in limits if limit.structure in known]
    if excluded := excluding(of_task, protocol, system.judge.points.region_cc):
        faults.append(ToolError("excluding_limits", f"{excluded}: no plan holds both. Give one up or move one"))
    return limits


def excluding(limits: Sequence[Limit], protocol: BoundProtocol, volume_cc: Mapping[str, float]) -> str | None:
    """Return two limits that exclude each other, in words; None where every pair may go together.

    D_q falls as q grows: D_p at least a excludes D_q at most b where q ≤ p and b < a. A mean at most b leaves the
    coldest at most b, one at least a the hottest at least a. The targets' D95, which the inner loop holds, counts. That
    no pair excludes another does not say that a plan holds them all.

    Parameters
    ----------
    limits : sequence of Limit
    protocol : BoundProtocol
    volume_cc : Mapping[str, float]
        By structure.
    """
    bounds = [_DoseBound.of(limit, volume_cc[limit.structure]) for limit in limits]
    held = [
        _DoseBound(t.structure, 95.0, False, t.prescription_gy, f"{t.structure} D95% ≥ Rx") for t in protocol.targets
    ]
    for high in (each for each in bounds if each.upper):
        for low in (each for each in (*held, *bounds) if not each.upper):
            reaches = high.percent <= low.percent or (high.mean and low.mean)
            if high.structure == low.structure and reaches and high.dose_gy < low.dose_gy:
                return f"{high.words} and {low.words}"
    return None


@dataclass(frozen=True)
class _DoseBound:
    """What a limit says of D_q: at most or at least a dose."""

    structure: str
    percent: float
    upper: bool
    dose_gy: float
    words: str
    mean: bool = False

    @classmethod
    def of(cls, limit: Limit, volume_cc: float) -> Self:
        percent, dose_gy = limit.dose_bound(volume_cc)
        mean = percent is None
        implied = 100.0 if limit.upper else 0.0
        return cls(
            limit.structure, implied if percent is None else percent, limit.upper, dose_gy, limit.bound.words, mean
        )
