"""Protocols: prescription, criteria by priority and start parameters, read from YAML."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from radplan_env.beam_angles import collimator_angles, equispaced_angles, gantry_angles
from radplan_env.case import Case, CaseError
from radplan_env.criterion import OUTSIDE_TARGETS, Criterion, Model
from radplan_env.parameters import PlanningParameters, StructureParameters
from radplan_env.protocol_checks import doses_in_gy, explained, inconsistencies
from radplan_env.scorecards import check_section
from radplan_env.sites import site_of
from radplan_env.slots import Organ, Slot, SmoothnessSlot, Target
from radplan_env.yaml_files import YAMLFileError, parse_yaml

__all__ = [
    "OUTSIDE_TARGETS",
    "BoundProtocol",
    "Criterion",
    "Organ",
    "Protocol",
    "ProtocolError",
    "Slot",
    "Target",
    "available_protocols",
    "equispaced_angles",
    "load_protocol",
    "read_protocol",
]

_FOLDER = resources.files("radplan_env").joinpath("protocols")


class ProtocolError(ValueError):
    """A protocol that cannot be used; the message names the file, the key and the remedy."""


class Protocol(Model):
    """What a treatment is to achieve and where planning starts.

    Doses may be written in Gy or as ``102 % of Rx``, wherever there is one.

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
    collimator_angles_deg : tuple of float
        Of each beam; in YAML one value stands for all of them. 0 unless given.
    smoothness : SmoothnessSlot, optional
        Of the fluence; without it, fluences may be as rough as they like and no agent chooses.
    scorecards : Mapping[str, Mapping]
        What scorecards need of the protocol beyond its criteria, by name of the scorecard; see
        `radplan_env.scorecards`.
    """

    name: str
    title: str
    fractions: Annotated[int, Field(gt=0)]
    source: str
    gantry_angles_deg: Annotated[tuple[float, ...], Field(min_length=1)]
    collimator_angles_deg: Annotated[tuple[float, ...], Field(validate_default=True)] = ()
    targets: Annotated[tuple[Target, ...], Field(min_length=1)]
    organs: Annotated[tuple[Organ, ...], Field(min_length=1)]
    criteria: Annotated[tuple[Criterion, ...], Field(min_length=1)]
    smoothness: SmoothnessSlot | None = None
    scorecards: Mapping[str, Mapping[str, Any]] = Field(default_factory=dict)

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

    @model_validator(mode="before")
    @classmethod
    def _percent_of_rx_to_gy(cls, data: Any) -> Any:
        return doses_in_gy(data) if isinstance(data, Mapping) else data

    @field_validator("gantry_angles_deg")
    @classmethod
    def _different_angles(cls, angles: tuple[float, ...]) -> tuple[float, ...]:
        return gantry_angles(angles)

    @field_validator("collimator_angles_deg", mode="before")
    @classmethod
    def _angle_of_each_beam(cls, angles: Any, info: ValidationInfo) -> Any:
        try:
            return collimator_angles(angles, len(info.data.get("gantry_angles_deg", ())) or len(angles))
        except TypeError:
            return angles  # reported by pydantic

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if wrong := inconsistencies(self.targets, self.organs, self.criteria):
            raise ValueError("\n".join(wrong))
        return self

    def __hash__(self) -> int:
        return hash((self.name, self.digest()))

    @property
    def primary(self) -> Target:
        """The target with the highest prescription."""
        return self.targets[0]

    @property
    def structures(self) -> tuple[str, ...]:
        """Every structure of the protocol; the same as `slots`."""
        return self.slots

    @property
    def slots(self) -> tuple[str, ...]:
        """Structures in the fixed order of observations and actions: targets, then organs."""
        return tuple(slot.structure for slot in (*self.targets, *self.organs))

    def prescription_gy(self, structure: str) -> float:
        """Return a target's own prescription; of anything else, the highest of the protocol."""
        own = {target.structure: target.prescription_gy for target in self.targets}
        return own.get(structure, self.primary.prescription_gy)

    def digest(self, scorecard: str | None = None) -> str:
        """SHA-256 of what the protocol asks, in hexadecimal; where its numbers come from (`source`) is left out.

        Parameters
        ----------
        scorecard : str, optional
            Name of the scorecard that plans are judged by: its section of `scorecards` counts, no other does.
        """
        left_out: dict[str, Any] = {"source": True, "criteria": {"__all__": {"source"}}, "scorecards": True}
        if not any(self.collimator_angles_deg):
            left_out["collimator_angles_deg"] = True
        if self.smoothness is None:
            left_out["smoothness"] = True
        content = self.model_dump_json(exclude=left_out)
        if section := self.scorecards.get(scorecard or ""):
            content += json.dumps({"scorecards": {scorecard: section}}, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, fit for JSON and YAML, that `read_protocol` reads; doses are in Gy."""
        plain: dict[str, Any] = self.model_dump(mode="json", exclude_none=True)
        return plain

    def to_yaml(self) -> str:
        """Return the protocol as a YAML file that `load_protocol` reads."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True, width=120)

    def start_parameters(self) -> PlanningParameters:
        """Return the start parameters of every slot; the beams are left as they are."""
        return _start_parameters((*self.targets, *self.organs), self.smoothness)

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
    def collimator_angles_deg(self) -> tuple[float, ...]:
        """Collimator angle of each beam."""
        return self.protocol.collimator_angles_deg

    @property
    def scorecards(self) -> Mapping[str, Mapping[str, Any]]:
        """What scorecards need of the protocol, by name of the scorecard."""
        return self.protocol.scorecards

    @property
    def structures(self) -> tuple[str, ...]:
        """Structures present: targets, then organs."""
        return tuple(slot.structure for slot in (*self.targets, *self.organs))

    def prescription_gy(self, structure: str) -> float:
        """Return a target's own prescription; of anything else, the highest of the protocol."""
        return self.protocol.prescription_gy(structure)

    def start_parameters(self) -> PlanningParameters:
        """Return the start parameters of the structures present; the beams are left as they are."""
        return _start_parameters((*self.targets, *self.organs), self.protocol.smoothness)


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


def read_protocol(content: Any, where: str) -> Protocol:
    """Return the protocol that plain values describe, such as `Protocol.to_dict` gives them.

    Parameters
    ----------
    content : Mapping
    where : str
        Where they come from: errors say it.

    Raises
    ------
    ProtocolError
        If it is no valid protocol; the message lists every fault.
    """
    try:
        protocol = Protocol.model_validate(content)
        faults = _faults_of_sections(protocol)
    except ValidationError as error:
        faults = explained(error, content)
    if faults:
        listed = faults[0] if len(faults) == 1 else f"{len(faults)} faults:\n  " + "\n  ".join(faults)
        raise ProtocolError(f"protocol {where}: {listed}")
    return protocol


def _parse(text: str, file: str) -> Protocol:
    try:
        content = parse_yaml(text)
    except YAMLFileError as error:
        raise ProtocolError(f"protocol {file}: {error}") from error
    return read_protocol(content, file)


def _faults_of_sections(protocol: Protocol) -> list[str]:
    """What is wrong in the sections of the scorecards that are installed; others' are theirs to check."""
    return [
        f"scorecards.{name}: {fault}"
        for name, section in protocol.scorecards.items()
        for fault in check_section(name, section, protocol)
    ]


def _start_parameters(slots: tuple[Slot, ...], smoothness: SmoothnessSlot | None) -> PlanningParameters:
    start = {s.structure: StructureParameters(s.start_weight, s.start_objective_dose_gy) for s in slots}
    return PlanningParameters(start, smoothness=None if smoothness is None else smoothness.start)
