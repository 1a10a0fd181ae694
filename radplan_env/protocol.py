"""Protocols: prescription, criteria by priority and start parameters, read from YAML."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from radplan_env.case import Case, CaseError
from radplan_env.metrics import parse_metric
from radplan_env.parameters import PlanningParameters, StructureParameters
from radplan_env.sites import site_of
from radplan_env.structure_names import is_target, naming_problem

_FOLDER = resources.files("radplan_env").joinpath("protocols")

OUTSIDE_TARGETS = "OutsideTargets"
"""Pseudo-structure of criteria: the body less every target."""


class ProtocolError(ValueError):
    """A protocol that cannot be used; the message names the file, the key and the remedy."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Criterion(_Model):
    """A goal for one dose-volume metric of one structure.

    In YAML a dose may be written in Gy (``45``) or as ``102 % of Rx``: of the structure's own prescription for a
    target, of the highest one otherwise.

    Parameters
    ----------
    structure : str
        TG-263 name, or "OutsideTargets".
    metric : str
        Name as `radplan_env.metrics.parse_metric` reads it, such as "D95%" or "V31Gy".
    at_most, at_least : float
        The limit, in the metric's unit; one of the two.
    tolerance : float
        By how much the limit may be missed and the criterion still count as met, in the metric's unit.
    priority : int
        1 (highest) to 4.
    ideal, unacceptable : float
        Values, in the metric's unit, at which the score gives all its points and none; beyond `unacceptable` it takes
        points away.
    source : str
        Where the numbers come from.
    """

    structure: str
    metric: str
    at_most: float | None = None
    at_least: float | None = None
    tolerance: Annotated[float, Field(ge=0)] = 0.0
    priority: Annotated[int, Field(ge=1, le=4)]
    ideal: float
    unacceptable: float
    source: str

    @field_validator("structure")
    @classmethod
    def _known_structure(cls, name: str) -> str:
        return name if name == OUTSIDE_TARGETS else _tg263(name)

    @field_validator("metric")
    @classmethod
    def _canonical_metric(cls, name: str) -> str:
        return parse_metric(name).name

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.at_most is None) == (self.at_least is None):
            raise ValueError("give one limit: at_most or at_least")
        if self.limit <= 0:
            raise ValueError(f"the limit must be positive, got {self.limit:g}")
        sign = 1 if self.is_at_most else -1
        if not sign * self.ideal < sign * self.threshold < sign * self.unacceptable:
            order = "ideal < at_most < unacceptable" if sign > 0 else "unacceptable < at_least < ideal"
            raise ValueError(f"want {order}, tolerance counted in")
        return self

    @property
    def name(self) -> str:
        """Name of the criterion and of its score term, such as "Rectum V31Gy"."""
        return f"{self.structure} {self.metric}"

    @property
    def unit(self) -> str:
        """Unit of the metric: "Gy", "%" or "" for an index."""
        return parse_metric(self.metric).unit

    @property
    def is_at_most(self) -> bool:
        """Whether the limit is an upper one."""
        return self.at_most is not None

    @property
    def limit(self) -> float:
        """The limit, in the metric's unit."""
        limit = self.at_least if self.at_most is None else self.at_most
        assert limit is not None
        return limit

    @property
    def threshold(self) -> float:
        """The limit with its tolerance: the last value that passes."""
        return self.limit + self.tolerance if self.is_at_most else self.limit - self.tolerance

    def passes(self, value: float) -> bool:
        """Return whether `value`, in the metric's unit, meets the criterion."""
        return bool(value <= self.threshold if self.is_at_most else value >= self.threshold)


class Slot(_Model):
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
        return _tg263(name)

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


class Organ(Slot):
    """An organ at risk, or the body."""


class Protocol(_Model):
    """What a treatment is to achieve and where planning starts.

    Parameters
    ----------
    name, title, source : str
        Short name, readable title, where the protocol comes from.
    fractions : int
        Number of fractions; doses are total doses.
    targets : tuple of Target
        Highest prescription first; the first is the primary target.
    organs : tuple of Organ
        Organs at risk and, last, the body.
    criteria : tuple of Criterion
        Goals of the plan.
    gantry_angles_deg : tuple of float
        Coplanar beams. ``beams: 7`` in YAML stands for seven, equispaced from 0.
    """

    name: str
    title: str
    fractions: Annotated[int, Field(gt=0)]
    source: str
    gantry_angles_deg: Annotated[tuple[float, ...], Field(min_length=1)]
    targets: Annotated[tuple[Target, ...], Field(min_length=1)]
    organs: Annotated[tuple[Organ, ...], Field(min_length=1)]
    criteria: Annotated[tuple[Criterion, ...], Field(min_length=1)]

    @model_validator(mode="before")
    @classmethod
    def _angles_of_beams(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or "beams" not in data:
            return data
        if "gantry_angles_deg" in data:
            raise ValueError("give beams or gantry_angles_deg, not both")
        beams = data["beams"]
        if not isinstance(beams, int) or isinstance(beams, bool) or beams < 1:
            raise ValueError(f"beams must be a positive whole number, got {beams!r}")
        rest = {key: value for key, value in data.items() if key != "beams"}
        return {**rest, "gantry_angles_deg": equispaced_angles(beams)}

    @field_validator("gantry_angles_deg")
    @classmethod
    def _different_angles(cls, angles: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0 <= angle < 360 for angle in angles) or len(set(angles)) < len(angles):
            raise ValueError("gantry angles must differ and lie in [0, 360)")
        return angles

    @field_validator("criteria", mode="before")
    @classmethod
    def _percent_of_rx_to_gy(cls, criteria: Any, info: ValidationInfo) -> Any:
        targets: tuple[Target, ...] = info.data.get("targets", ())
        if not targets or not isinstance(criteria, list | tuple):
            return criteria  # reported by pydantic
        rx_gy = {target.structure: target.prescription_gy for target in targets}
        return [_doses_in_gy(entry, rx_gy, targets[0].prescription_gy) for entry in criteria]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        prescriptions = [target.prescription_gy for target in self.targets]
        if prescriptions != sorted(prescriptions, reverse=True):
            raise ValueError("list the targets from the highest prescription to the lowest")
        if wrong := [slot.structure for slot in self.targets if not is_target(slot.structure)]:
            raise ValueError(f"{', '.join(wrong)} under targets: targets are named PTV, CTV or GTV")
        if wrong := [slot.structure for slot in self.organs if is_target(slot.structure)]:
            raise ValueError(f"{', '.join(wrong)} under organs: move it to targets")
        if self.organs[-1].structure != "Body":
            raise ValueError("the last of the organs must be Body")
        for what, names in (("structure", self.slots), ("criterion", [c.name for c in self.criteria])):
            if twice := sorted({name for name in names if list(names).count(name) > 1}):
                raise ValueError(f"the same {what} twice: {', '.join(twice)}")
        for criterion in self.criteria:
            self._check_structure_of(criterion)
        if self.primary.structure not in {criterion.structure for criterion in self.criteria}:
            raise ValueError(f"no criterion for the primary target {self.primary.structure}")
        return self

    def _check_structure_of(self, criterion: Criterion) -> None:
        if criterion.structure not in (*self.slots, OUTSIDE_TARGETS):
            raise ValueError(f"criterion {criterion.name!r}: its structure is no target or organ of the protocol")
        if criterion.metric in ("HI", "CI") and not is_target(criterion.structure):
            raise ValueError(f"criterion {criterion.name!r}: {criterion.metric} is for targets")
        if criterion.metric == "R50" and criterion.structure != "Body":
            raise ValueError(f"criterion {criterion.name!r}: R50 is for Body")

    @property
    def primary(self) -> Target:
        """The target with the highest prescription."""
        return self.targets[0]

    @property
    def slots(self) -> tuple[str, ...]:
        """Structures in the fixed order of observations and actions: targets, then organs."""
        return tuple(slot.structure for slot in (*self.targets, *self.organs))

    def prescription_gy(self, structure: str) -> float:
        """Return a target's own prescription; of anything else, the highest of the protocol."""
        own = {target.structure: target.prescription_gy for target in self.targets}
        return own.get(structure, self.primary.prescription_gy)

    def digest(self) -> str:
        """SHA-256 of what the protocol asks, in hexadecimal; where its numbers come from (`source`) is left out."""
        content = self.model_dump_json(exclude={"source": True, "criteria": {"__all__": {"source"}}})
        return hashlib.sha256(content.encode()).hexdigest()

    def start_parameters(self) -> PlanningParameters:
        """Return the start parameters of every slot; the beams are left as they are."""
        return _start_parameters((*self.targets, *self.organs))

    def bind(self, case: Case) -> BoundProtocol:
        """Return the part of the protocol that a case has the structures for.

        Structures are matched by name; a case's "PTV" also serves as the target of a protocol that has only one.

        Raises
        ------
        CaseError
            If the case lacks the primary target.
        """
        case_name = {name: name for name in self.slots if name in case.structures}
        primary = self.primary.structure
        if primary not in case_name and len(self.targets) == 1 and "PTV" in case.structures:
            case_name[primary] = "PTV"
        if primary not in case_name:
            has = ", ".join(case.targets) or "none"
            unknown = f"; names that are not known: {', '.join(map(repr, case.unmapped))}" if case.unmapped else ""
            raise CaseError(
                f"case {case.id!r} has no {primary}, the primary target of protocol {self.name!r}. Its targets: "
                f"{has}{unknown}. Map the one to be treated to {primary} when reading the case: name_map in Python, "
                f'a line "name in the data: {primary}" in the file of --names in scripts.'
            )
        return BoundProtocol(
            protocol=self,
            targets=tuple(target for target in self.targets if target.structure in case_name),
            organs=tuple(organ for organ in self.organs if organ.structure in case_name),
            criteria=tuple(c for c in self.criteria if c.structure in (*case_name, OUTSIDE_TARGETS)),
            missing=tuple(name for name in self.slots if name not in case_name),
            unused=tuple(name for name in case.structures if name not in case_name.values()),
            case_name=case_name,
        )


@dataclass(frozen=True)
class BoundProtocol:
    """A protocol restricted to the structures one case has.

    Parameters
    ----------
    protocol : Protocol
        The whole protocol.
    targets, organs, criteria
        Those whose structure the case has, in the protocol's order.
    missing : tuple of str
        Structures of the protocol that the case lacks.
    unused : tuple of str
        Structures of the case that the protocol plans nothing for.
    case_name : Mapping[str, str]
        Name in the case of each structure present; differs where a sole "PTV" stands for the target.
    """

    protocol: Protocol
    targets: tuple[Target, ...]
    organs: tuple[Organ, ...]
    criteria: tuple[Criterion, ...]
    missing: tuple[str, ...]
    unused: tuple[str, ...]
    case_name: Mapping[str, str] = field(hash=False)

    @property
    def name(self) -> str:
        """Name of the protocol."""
        return self.protocol.name

    @property
    def primary(self) -> Target:
        """The target with the highest prescription."""
        return self.protocol.primary

    @property
    def gantry_angles_deg(self) -> tuple[float, ...]:
        """The protocol's coplanar beams."""
        return self.protocol.gantry_angles_deg

    @property
    def structures(self) -> tuple[str, ...]:
        """Structures present: targets, then organs."""
        return tuple(slot.structure for slot in (*self.targets, *self.organs))

    def prescription_gy(self, structure: str) -> float:
        """Return a target's own prescription; of anything else, the highest of the protocol."""
        return self.protocol.prescription_gy(structure)

    def start_parameters(self) -> PlanningParameters:
        """Return the start parameters of the structures present; the beams are left as they are."""
        return _start_parameters((*self.targets, *self.organs))


def equispaced_angles(beams: int) -> tuple[float, ...]:
    """Return `beams` gantry angles in degrees, equispaced from 0 and rounded to 0.01."""
    return tuple(round(360 * beam / beams, 2) for beam in range(beams))


def available_protocols() -> tuple[str, ...]:
    """Return the names of the protocols that come with the package."""
    names = (file.name for file in _FOLDER.iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))


def load_protocol(name_or_path: str | Path) -> Protocol:
    """Return a protocol of the package by name, or one of your own by the path of its YAML file.

    Parameters
    ----------
    name_or_path : str or Path
        One of `available_protocols` ("head-and-neck" is read as "head_and_neck"), or a path ending in .yaml or .yml.

    Raises
    ------
    ProtocolError
        If there is no such protocol, or it is not valid; the message names the file and the key.
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        name = str(name_or_path).replace("-", "_")
        if name not in available_protocols():
            if (site := site_of(name)) is not None and site.protocol != str(name_or_path):
                return load_protocol(site.protocol)
            raise ProtocolError(
                f"no protocol {str(name_or_path)!r}; there are {', '.join(available_protocols())}, "
                "or give the path of a .yaml file"
            )
        return _parse(_FOLDER.joinpath(f"{name}.yaml").read_text("utf-8"), name)
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProtocolError(f"cannot read protocol {path}: {error}") from error
    return _parse(text, str(path))


def _parse(text: str, file: str) -> Protocol:
    try:
        return Protocol.model_validate(yaml.load(text, Loader=_UniqueKeyLoader))
    except yaml.YAMLError as error:
        raise ProtocolError(f"protocol {file}: not valid YAML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "top level"
        message = first["msg"].removeprefix("Value error, ")
        given = "" if isinstance(first["input"], dict | list | tuple) else f" (got {first['input']!r})"
        raise ProtocolError(f"protocol {file}: {key}: {message}{given}") from error


class _UniqueKeyLoader(yaml.SafeLoader):
    """Safe loader that rejects a key given twice, of which YAML would quietly keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if twice := [key for key in keys if keys.count(key) > 1]:
            problem = f"key {twice[0]!r} given twice"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return super().construct_mapping(node, deep)


_PERCENT_OF_RX = re.compile(r"(\d+(?:\.\d+)?) ?% of Rx")


def _doses_in_gy(criterion: Any, rx_gy: Mapping[str, float], highest_rx_gy: float) -> Any:
    """Replace every "102 % of Rx" among a criterion's values by Gy."""
    if not isinstance(criterion, Mapping):
        return criterion

    def in_gy(key: str, value: Any) -> Any:
        match = _PERCENT_OF_RX.fullmatch(value) if isinstance(value, str) else None
        if match is None or key in ("structure", "metric", "source"):
            return value
        if parse_metric(str(criterion.get("metric"))).unit != "Gy":
            raise ValueError(f"{key}: % of Rx is for doses, and {criterion.get('metric')} is none")
        return round(float(match[1]) / 100 * rx_gy.get(str(criterion.get("structure")), highest_rx_gy), 6)

    return {key: in_gy(key, value) for key, value in criterion.items()}


def _tg263(name: str) -> str:
    if problem := naming_problem(name):
        raise ValueError(problem)
    return name


def _start_parameters(slots: tuple[Slot, ...]) -> PlanningParameters:
    start = {s.structure: StructureParameters(s.start_weight, s.start_objective_dose_gy) for s in slots}
    return PlanningParameters(start)
