"""The section of a protocol that scorecard v1 reads: its terms and what it screens for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from radplan_env.bound import Bound
from radplan_env.metrics import parse_metric
from radplan_env.scorecards.utility import complication_free, logistic

REGIONS = ("whole", "core", "alone")
"""What a target's name may be followed by: "PTV_7000.core"; see `radplan_env.verdict.regions`."""

OVERALL = ("OutsideTargets", "Beyond20mm", "Body")

_PERCENT_OF_RX = re.compile(r"(-?\d+(?:\.\d+)?) ?% of Rx")


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    structure: str
    metric: str
    source: str

    @field_validator("metric")
    @classmethod
    def _canonical_metric(cls, name: str) -> str:
        return parse_metric(name).name

    @property
    def name(self) -> str:
        """Structure and metric, such as "Rectum V31Gy"."""
        return f"{self.structure} {self.metric}"

    @property
    def unit(self) -> str:
        """Unit of the metric."""
        return parse_metric(self.metric).unit


class TermOfV1(_Model):
    """A term: a metric of a structure or region, its utility and its weight.

    Parameters
    ----------
    structure : str
        A structure of the protocol, a target's region such as "PTV_7000.core", "OutsideTargets" or "Beyond20mm".
    metric : str
        As `radplan_env.metrics.parse_metric` reads it.
    weight : float
        Relative to the other terms'; fixed, whatever structures a patient has.
    good, bad : float, optional
        Values that earn 90 and 10 % of the points, on a logistic curve; or
    td50, m : float, optional
        Lyman's dose of 50 % complications and his slope: what is earned is one minus the NTCP of the metric.
    neutral : float
        Share of the points where a patient lacks the structure: about what the template plan earns of it.
    credit_to : float, optional
        Value beyond which nothing more is earned.
    dropped_in_targets_percent : float, optional
        The term is neutral where more than so much of the structure lies in targets, and must be treated.
    source : str
        Where the numbers come from.
    """

    weight: Annotated[float, Field(gt=0)]
    neutral: Annotated[float, Field(ge=0, le=1)]
    good: float | None = None
    bad: float | None = None
    td50: Annotated[float, Field(gt=0)] | None = None
    m: Annotated[float, Field(gt=0)] | None = None
    credit_to: float | None = None
    dropped_in_targets_percent: Annotated[float, Field(gt=0, lt=100)] | None = None

    @model_validator(mode="after")
    def _one_utility(self) -> Self:
        pairs = (self.good, self.bad), (self.td50, self.m)
        if (
            sum(None not in pair for pair in pairs) != 1
            or sum(value is not None for pair in pairs for value in pair) != 2
        ):
            raise ValueError("give good and bad, or td50 and m")
        if self.good is not None and self.good == self.bad:
            raise ValueError("good and bad must differ")
        return self

    def earned(self, value: float | None) -> float:
        """Return the share of the points for a value, or for none: `neutral`."""
        return self.neutral if value is None else self.utility(value)

    def utility(self, value: float) -> float:
        """Return the share of the points that a value of the metric earns, from 0 to 1."""
        if self.good is None or self.bad is None:
            assert self.td50 is not None and self.m is not None
            return complication_free(value, self.td50, self.m)
        if self.credit_to is not None:
            value = min(value, self.credit_to) if self.good > self.bad else max(value, self.credit_to)
        return logistic(value, self.good, self.bad)

    @property
    def nine_tenths_at(self) -> float:
        """Value that earns 90 % of the points."""
        return self._at(self.good, -1.2816)

    @property
    def a_tenth_at(self) -> float:
        """Value that earns 10 % of the points."""
        return self._at(self.bad, 1.2816)

    def _at(self, given: float | None, deviates: float) -> float:
        if given is not None:
            return given
        assert self.td50 is not None and self.m is not None
        return self.td50 * (1 + deviates * self.m)


class Screen(_Model):
    """What a physicist would refuse at a glance: a metric that must keep to a bound.

    Parameters
    ----------
    structure, metric, source : str
        As in `TermOfV1`.
    at_most, at_least : float, optional
        One of the two.
    if_shifted : float, optional
        The bound on the same side for a delivered plan that is handed over, when the patient lies 3 mm off.
    says : str
        What is wrong with a plan beyond it, such as "cold spot in the tumour".
    """

    says: str
    at_most: float | None = None
    at_least: float | None = None
    if_shifted: float | None = None

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if (self.at_most is None) == (self.at_least is None):
            raise ValueError("give one bound: at_most or at_least")
        return self

    @property
    def bound(self) -> Bound:
        """What a plan must keep to."""
        upper = self.at_most is not None
        value = self.at_most if self.at_most is not None else self.at_least
        assert value is not None
        return Bound(self.structure, self.metric, upper, value)

    @property
    def shifted_bound(self) -> Bound | None:
        """What a plan must keep to when the patient lies 3 mm off, if anything."""
        return None if self.if_shifted is None else replace(self.bound, value=self.if_shifted)


class Section(BaseModel):
    """Terms and screens, as a protocol's YAML gives them under ``scorecards: v1:``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    terms: Annotated[tuple[TermOfV1, ...], Field(min_length=1)]
    screens: tuple[Screen, ...] = ()


def read_section(section: Mapping[str, Any], prescription_gy: Callable[[str], float]) -> Section:
    """Return a section with its doses in Gy.

    Parameters
    ----------
    section : Mapping
        Doses may be written as "95 % of Rx": of the target's own prescription, otherwise of the highest.
    prescription_gy : callable
        The prescription by structure.

    Raises
    ------
    ValueError
        If it is not valid; one line for each fault.
    """
    entries = {
        key: [_in_gy(entry, prescription_gy) for entry in value] if isinstance(value, list | tuple) else value
        for key, value in section.items()
    }
    try:
        read = Section.model_validate(entries)
    except ValidationError as error:
        raise ValueError(
            "\n".join(
                f"{'.'.join(map(str, fault['loc']))}: {fault['msg'].removeprefix('Value error, ')}"
                for fault in error.errors()
            )
        ) from error
    names = [term.name for term in read.terms]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"terms: the same term twice: {', '.join(twice)}")
    return read


def _in_gy(entry: Any, prescription_gy: Callable[[str], float]) -> Any:
    if not isinstance(entry, Mapping):
        return entry
    rx_gy = prescription_gy(str(entry.get("structure")).partition(".")[0])

    def value_of(value: Any) -> Any:
        match = _PERCENT_OF_RX.fullmatch(value) if isinstance(value, str) else None
        return value if match is None else round(float(match[1]) / 100 * rx_gy, 6)

    return {key: value_of(value) for key, value in entry.items()}
