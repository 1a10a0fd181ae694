"""What a run is: the settings that its folder keeps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from radplan_env.beam_models import DEFAULT_BEAM_MODEL, beam_model_named
from radplan_env.delivery.machine import Machine
from radplan_env.planning import DeliverySettings
from radplan_env.protocol import Protocol
from radplan_env.scorecards import Scorecard, ScorecardIdentity
from radplan_experiments.recording.records import Key


@dataclass(frozen=True)
class ModelChoice:
    """A run's language model, as far as it decides what is said.

    Parameters
    ----------
    name : str
        The model and its service, or the file and a digest of it.
    vision : str
        Whether it sees pictures: "yes", "no", or "auto", until the service refuses them.
    temperature : float, optional
        None leaves it to the service.
    seed : int
        Of the first episode on a case.
    max_reply_tokens : int, optional
        None leaves it to the service.
    """

    name: str
    vision: str
    temperature: float | None
    seed: int
    max_reply_tokens: int | None


@dataclass(frozen=True)
class ScorecardChoice:
    """What scores a run's plans: the scorecard's name, version and `Scorecard.digest`."""

    name: str
    version: str
    digest: str

    @classmethod
    def of(cls, scorecard: Scorecard) -> ScorecardChoice:
        """The choice of a scorecard as it is now."""
        return cls(**scorecard.identity)

    @property
    def identity(self) -> ScorecardIdentity:
        """As records have it."""
        return {"name": self.name, "version": self.version, "digest": self.digest}


@dataclass(frozen=True)
class BeamModelChoice:
    """What a run's doses are computed with: the beam model's name and `BeamModel.digest`."""

    name: str
    digest: str

    @classmethod
    def of(cls, name: str) -> BeamModelChoice:
        """The choice of a beam model as it is now."""
        return cls(name, beam_model_named(name).digest)


@dataclass(frozen=True)
class Settings:
    """Everything that decides what the episodes of a run are. Where it differs, so may the results.

    Parameters
    ----------
    site, source, data, split, names, reference_dose, cases, budget, fidelity
        The task: see `radplan_experiments.options.TaskOptions`; `data` and `names` are paths, `cases` ids.
    protocol : Protocol
        The whole protocol; run.json has its name and digest, and protocol.yaml beside it the rest.
    scorecard : ScorecardChoice
    agents : tuple of str
        By name, or as package.module:Class.
    seeds : int
        Episodes of each agent on each case.
    model, instructions, library
        The language model, what it is told and the folder of its examples.
    deterministic : tuple of str
        Those of the agents whose episodes do not depend on the seed: they play each case once.
    gantry_angles_deg, collimator_angles_deg : tuple of float
        Beams other than the protocol's; none are the protocol's own.
    beam_model : BeamModelChoice
    delivery : DeliverySettings, optional
        How plans are delivered; None leaves them ideal. Of the machine run.json has the name and its digest, and
        machine.yaml beside it the rest.
    suite : str, optional
        Suite that was asked for; whether the run is that suite, `Suite.departures` tells.
    """

    site: str
    protocol: Protocol
    scorecard: ScorecardChoice
    source: str
    data: tuple[str, ...]
    split: str
    names: str | None
    cases: tuple[str, ...]
    agents: tuple[str, ...]
    budget: int
    seeds: int
    fidelity: str
    model: ModelChoice | None = None
    instructions: str = ""
    library: str | None = None
    deterministic: tuple[str, ...] = ()
    gantry_angles_deg: tuple[float, ...] = ()
    collimator_angles_deg: tuple[float, ...] = ()
    beam_model: BeamModelChoice = field(default_factory=lambda: BeamModelChoice.of(DEFAULT_BEAM_MODEL))
    delivery: DeliverySettings | None = None
    suite: str | None = None
    reference_dose: bool = True

    @property
    def protocol_digest(self) -> str:
        """`Protocol.digest` of what the protocol asks and its scorecard reads of it."""
        return self.protocol.digest(self.scorecard.name)

    @property
    def solves_count(self) -> bool:
        """Whether scores are of single solves: not where only the plan handed over is delivered."""
        return self.delivery is None or self.delivery.each

    def episodes(self) -> Iterator[Key]:
        """Every (agent, case, seed) of the run; one case's episodes stand together, as they share its K."""
        for case in self.cases:
            for agent in self.agents:
                for seed in range(1 if agent in self.deterministic else self.seeds):
                    yield agent, case, seed

    def to_json(self) -> dict[str, Any]:
        """Plain values; tuples become lists, as JSON gives them back. Of the protocol name and digest."""
        plain: dict[str, Any] = {each.name: _plain(getattr(self, each.name)) for each in fields(self)}
        return {**plain, "protocol": self.protocol.name, "protocol_digest": self.protocol_digest}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], protocol: Protocol, machine: Machine | None = None) -> Settings:
        """What `to_json` gave of a run by this protocol, on this machine if its plans are delivered."""
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in data.items()
        }
        del values["protocol_digest"]
        model, scorecard = values.pop("model", None), ScorecardChoice(**values.pop("scorecard"))
        model = None if model is None else ModelChoice(**model)
        beam_model = BeamModelChoice(**values.pop("beam_model"))
        chosen = {"protocol": protocol, "scorecard": scorecard, "model": model, "beam_model": beam_model}
        if (given := values.pop("delivery")) is not None:
            assert machine is not None
            chosen["delivery"] = DeliverySettings(given["technique"], machine, given["arcs"], given["deliver"])
        return cls(**{**values, **chosen})


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, DeliverySettings):
        machine = value.chosen_machine
        named = {"machine": machine.name, "digest": machine.digest}
        return {"technique": value.technique, **named, "arcs": value.arcs, "deliver": value.when}
    return asdict(value) if isinstance(value, ModelChoice | ScorecardChoice | BeamModelChoice) else value


def different_settings(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Say in what settings, as `Settings.to_json` gives them, differ."""
    old, new = _flat(old), _flat(new)
    return [
        f"{name} was {_short(old.get(name))}, now {_short(new.get(name))}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with those of the model beside the others, as "model.temperature"."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        inner = {f"{name}.{key}": item for key, item in value.items()} if isinstance(value, dict) else {name: value}
        flat |= inner
    return flat


def _short(value: Any) -> str:
    if isinstance(value, list):
        text = " ".join(map(str, value)) or "none"
        return text if len(text) < 80 else f"{text[:60]}… ({len(value)} in all)"
    return str(value)
