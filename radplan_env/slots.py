"""Slots: what planning parameters are chosen for, the structures of a protocol and the fluence's smoothness."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from radplan_env.criterion import Model, number_or_refused, tg263

START_OF_RX = (1.0, 1.15)
"""A target's start objective dose lies in this range, as multiples of its prescription; ICRU 50 allows 107 %."""

LOWEST_OF_RX, HIGHEST_OF_RX = (0.95, 1.05), 1.2
"""A target's objective doses range from near its prescription up to no more than this multiple of it."""


class Slot(Model):
    """A structure that planning parameters are chosen for: where they start and between what they range.

    Parameters
    ----------
    structure : str
        TG-263 name.
    start_weight, start_objective_dose_gy : float
        Start parameters, those of a template plan.
    weight_range, objective_dose_range_gy : (float, float)
        Lowest and highest value an agent may choose. Weights are chosen on a logarithmic scale.
    """

    structure: str
    start_weight: float
    weight_range: tuple[float, float]
    start_objective_dose_gy: float
    objective_dose_range_gy: tuple[float, float]

    @field_validator("structure")
    @classmethod
    def _known_structure(cls, name: str) -> str:
        return tg263(name)

    @field_validator("start_objective_dose_gy", mode="before")
    @classmethod
    def _dose_in_gy(cls, value: Any) -> Any:
        return number_or_refused(value)

    @field_validator("objective_dose_range_gy", mode="before")
    @classmethod
    def _doses_in_gy(cls, values: Any) -> Any:
        return [number_or_refused(value) for value in values] if isinstance(values, list | tuple) else values

    @model_validator(mode="after")
    def _starts_in_range(self) -> Self:
        if self.weight_range[0] <= 0:
            raise ValueError("weight_range must be positive, it is searched on a logarithmic scale")
        if self.objective_dose_range_gy[0] < 0:
            raise ValueError("objective_dose_range_gy must not be negative")
        for what, (low, high), start in (
            ("weight", self.weight_range, self.start_weight),
            ("objective_dose_gy", self.objective_dose_range_gy, self.start_objective_dose_gy),
        ):
            if not low < high or not low <= start <= high:
                raise ValueError(f"start_{what} {start:g} is not within a range {low:g} < {high:g}")
        return self


class Target(Slot):
    """A target volume with its prescription; the inner loop holds D95 to it (Eq. 1)."""

    prescription_gy: Annotated[float, Field(gt=0)]

    @model_validator(mode="after")
    def _fits_prescription(self) -> Self:
        rx, (low, high) = self.prescription_gy, self.objective_dose_range_gy
        wrong = []
        if not START_OF_RX[0] * rx <= self.start_objective_dose_gy <= START_OF_RX[1] * rx:
            wrong.append(
                f"start_objective_dose_gy {self.start_objective_dose_gy:g} is {self.start_objective_dose_gy / rx:.0%} "
                f"of the prescription, want {START_OF_RX[0] * rx:g} to {START_OF_RX[1] * rx:g} Gy"
            )
        if not LOWEST_OF_RX[0] * rx <= low <= LOWEST_OF_RX[1] * rx:
            wrong.append(
                f"objective_dose_range_gy begins at {low:g}, {low / rx:.0%} of the prescription, want it to begin "
                f"near {rx:g} Gy ({LOWEST_OF_RX[0] * rx:g} to {LOWEST_OF_RX[1] * rx:g})"
            )
        if high > HIGHEST_OF_RX * rx:
            wrong.append(
                f"objective_dose_range_gy ends at {high:g}, {high / rx:.0%} of the prescription, want at most "
                f"{HIGHEST_OF_RX * rx:g} Gy"
            )
        if wrong:
            raise ValueError(f"prescription {rx:g} Gy: {'; '.join(wrong)}")
        return self


class Organ(Slot):
    """An organ at risk, or the body."""


class SmoothnessSlot(Model):
    """Weight of the fluence's roughness in the inner loop: where it starts and between what it ranges.

    Parameters
    ----------
    start : float
    range : (float, float)
        Lowest and highest value an agent may choose, on a logarithmic scale.
    """

    start: float
    range: tuple[float, float]

    @model_validator(mode="after")
    def _starts_in_range(self) -> Self:
        low, high = self.range
        if not 0 < low < high or not low <= self.start <= high:
            raise ValueError(f"start {self.start:g} is not within a range 0 < {low:g} < {high:g}")
        return self
