"""Actions: a point in [-1, 1]ⁿ and the planning parameters it stands for."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from radplan_env.parameters import PlanningParameters, StructureParameters
from radplan_env.protocol import Protocol, Slot

WEIGHT_DIGITS = 5
"""Weights are rounded to this many significant digits, which float32 actions can tell apart."""

DOSE_DECIMALS = 3
"""Objective doses are rounded to this many decimals of a Gy."""

PlainParameters = Mapping[str, Mapping[str, float]]

_QUANTITIES = ("weight", "objective_dose_gy")


@dataclass(frozen=True)
class ActionMap:
    """Maps actions to planning parameters and back.

    An action has two coordinates per slot of the protocol, its weight and its objective dose, in the order of
    `Protocol.slots`: ``[weight₀, dose₀, weight₁, dose₁, …]``, and a last one for the fluence's smoothness where the
    protocol leaves it open. -1 is the lowest and 1 the highest value of the protocol's range; in between, weights and
    smoothness go by their logarithm and doses linearly.

    Parameters are rounded (`WEIGHT_DIGITS`, `DOSE_DECIMALS`), so the way from parameters to an action and back
    is exact for all that an action can stand for.

    Parameters
    ----------
    protocol : Protocol
        The whole protocol, not one bound to a case: every case has the same action space.
    """

    protocol: Protocol

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Name of each coordinate, such as "Rectum weight", "Rectum objective_dose_gy" and "Fluence smoothness"."""
        names = [f"{slot.structure} {quantity}" for slot in self._slots for quantity in _QUANTITIES]
        return tuple(names if self.protocol.smoothness is None else [*names, "Fluence smoothness"])

    @property
    def space(self) -> Box[np.float32]:
        """The action space, a new one at every call: a space holds a random state."""
        return Box(-1.0, 1.0, (len(self.names),), np.float32)

    def ranges(self) -> dict[str, dict[str, list[float]]]:
        """Return the lowest and highest weight and objective dose by structure, as plain values."""
        return {
            slot.structure: {
                "weight": list(slot.weight_range),
                "objective_dose_gy": list(slot.objective_dose_range_gy),
            }
            for slot in self._slots
        }

    def check(self, action: NDArray[Any]) -> NDArray[np.float64]:
        """Return an action as float64.

        Raises
        ------
        ValueError
            If it has another shape, or holds NaN or values outside [-1, 1].
        """
        try:
            values = np.asarray(action, np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(f"an action is an array of {len(self.names)} numbers, got {action!r}") from error
        if values.shape != (len(self.names),):
            last = "" if self.protocol.smoothness is None else ", and the smoothness"
            raise ValueError(
                f"an action has shape {(len(self.names),)}, a weight and an objective dose for each of "
                f"{', '.join(self.protocol.slots)}{last}; got shape {values.shape}"
            )
        wrong = [name for name, value in zip(self.names, values, strict=True) if not -1 <= value <= 1]
        if wrong:
            raise ValueError(f"an action lies in [-1, 1]; it is NaN or outside for {', '.join(wrong)}")
        return values

    def to_parameters(self, action: NDArray[Any], structures: Collection[str] | None = None) -> PlanningParameters:
        """Return the parameters an action stands for.

        Parameters
        ----------
        action : ndarray, shape (coordinates,)
            A point of `space`.
        structures : collection of str, optional
            Only these structures, those a case has; all of the protocol's by default.

        Raises
        ------
        ValueError
            If the action has another shape, or holds NaN or values outside [-1, 1].
        """
        values = self.check(action)
        own = self.protocol.smoothness
        pairs = values[: len(self._slots) * len(_QUANTITIES)].reshape(-1, len(_QUANTITIES))
        return PlanningParameters(
            {
                slot.structure: StructureParameters(_weight(slot, float(weight)), _dose(slot, float(dose)))
                for slot, (weight, dose) in zip(self._slots, pairs, strict=True)
                if structures is None or slot.structure in structures
            },
            smoothness=None if own is None else _on_log_scale(own.range, float(values[-1])),
        )

    def moved(
        self,
        parameters: PlanningParameters,
        change: NDArray[Any],
        step: float,
        structures: Collection[str] | None = None,
    ) -> PlanningParameters:
        """Return the parameters that lie ``step * change`` from others in the coordinates of actions.

        They stop at the ends of their ranges; limits and gantry angles stay as they are.

        Parameters
        ----------
        parameters : PlanningParameters
            Where to start.
        change : ndarray, shape (coordinates,)
            A point of `space`.
        step : float
            Largest change of a coordinate.
        structures : collection of str, optional
            As for `to_parameters`.

        Raises
        ------
        ValueError
            If the change is not a point of `space`, or `to_action` would refuse the parameters.
        """
        coordinates = self.to_action(parameters.of_action()) + step * self.check(change)
        moved = self.to_parameters(np.clip(coordinates, -1, 1).astype(np.float32), structures)
        return replace(moved, limits=parameters.limits, gantry_angles_deg=parameters.gantry_angles_deg)

    def to_action(self, parameters: PlanningParameters | PlainParameters) -> NDArray[np.float32]:
        """Return the action that stands for parameters.

        Parameters
        ----------
        parameters : PlanningParameters or Mapping
            Or as `info` has them: ``{"Rectum": {"weight": 5, "objective_dose_gy": 0}, …}``. Structures left out,
            those a case lacks, get coordinates 0, which are not used.

        Returns
        -------
        ndarray of float32, shape (coordinates,)

        Raises
        ------
        ValueError
            If a structure has no slot in the protocol, a value is missing or outside its range, or gantry angles are
            given: beams belong to the environment, as they change the dose-influence matrix. If there are limits,
            which no action can say: hand such parameters themselves to `RadPlanEnv.step`.
        """
        if not isinstance(parameters, PlanningParameters):
            parameters = PlanningParameters.from_dict(parameters)
        if parameters.gantry_angles_deg is not None or parameters.collimator_angles_deg is not None:
            raise ValueError(
                "an action cannot turn the beams: give gantry_angles_deg and collimator_angles_deg to the environment, "
                "or hand the PlanningParameters themselves, with gantry_angles_deg, to step"
            )
        if parameters.limits:
            raise ValueError("an action cannot hold limits: hand the PlanningParameters themselves to step")
        if unknown := [name for name in parameters.structures if name not in self.protocol.slots]:
            raise ValueError(
                f"no slot for {', '.join(unknown)} in protocol {self.protocol.name!r}; "
                f"its slots: {', '.join(self.protocol.slots)}"
            )
        action = np.zeros((len(self._slots), len(_QUANTITIES)), np.float32)
        for row, slot in zip(action, self._slots, strict=True):
            if (values := parameters.structures.get(slot.structure)) is not None:
                _check_in_range(slot, values)
                row[:] = (
                    _log_coordinate(slot.weight_range, values.weight),
                    _dose_coordinate(slot, values.objective_dose_gy),
                )
        return np.append(action.ravel(), self._smoothness_coordinate(parameters)).astype(np.float32)

    def _smoothness_coordinate(self, parameters: PlanningParameters) -> list[float]:
        chosen, own = parameters.smoothness, self.protocol.smoothness
        if own is None:
            if chosen:
                raise ValueError(f"protocol {self.protocol.name!r} leaves no smoothness to choose, got {chosen:g}")
            return []
        chosen = own.start if chosen is None else chosen
        if not own.range[0] <= chosen <= own.range[1]:
            raise ValueError(f"smoothness {chosen:g} is outside its range {own.range[0]:g} to {own.range[1]:g}")
        return [_log_coordinate(own.range, chosen)]

    @property
    def _slots(self) -> tuple[Slot, ...]:
        return (*self.protocol.targets, *self.protocol.organs)


def _weight(slot: Slot, coordinate: float) -> float:
    return _on_log_scale(slot.weight_range, coordinate)


def _on_log_scale(ends: tuple[float, float], coordinate: float) -> float:
    low, high = ends
    value = low * (high / low) ** ((coordinate + 1) / 2)
    return min(max(float(f"{value:.{WEIGHT_DIGITS}g}"), low), high)


def _log_coordinate(ends: tuple[float, float], value: float) -> float:
    low, high = ends
    return 2 * math.log(value / low) / math.log(high / low) - 1


def _dose(slot: Slot, coordinate: float) -> float:
    low, high = slot.objective_dose_range_gy
    return min(max(round(low + (high - low) * (coordinate + 1) / 2, DOSE_DECIMALS), low), high)


def _dose_coordinate(slot: Slot, dose_gy: float) -> float:
    low, high = slot.objective_dose_range_gy
    return 2 * (dose_gy - low) / (high - low) - 1


def _check_in_range(slot: Slot, values: StructureParameters) -> None:
    for quantity, value, (low, high) in (
        ("weight", values.weight, slot.weight_range),
        ("objective_dose_gy", values.objective_dose_gy, slot.objective_dose_range_gy),
    ):
        if not low <= value <= high:
            raise ValueError(f"{quantity} {value:g} of {slot.structure} is outside its range {low:g} to {high:g}")
