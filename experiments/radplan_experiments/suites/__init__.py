"""Suites: named, versioned benchmarks, a YAML file each, that fix everything that decides what is run."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from radplan_env.delivery.machine import DEFAULT_MACHINE
from radplan_env.delivery.techniques import DeliverWhen, Technique
from radplan_env.influence import FIDELITIES, Fidelity
from radplan_env.influence.rows import Sampling
from radplan_env.planning import DeliverySettings
from radplan_env.sites import SITES
from radplan_env.sources import SOURCES
from radplan_env.yaml_files import YAMLFileError, read_yaml
from radplan_experiments.recording.settings import Settings

FOLDER = Path(__file__).resolve().parent

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class SuiteScorecard(BaseModel):
    """The scorecard of a suite: name, version and `Scorecard.digest`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    version: str
    digest: Digest


class SuiteBeamModel(BaseModel):
    """The beam model of a suite: name and `BeamModel.digest`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Literal["generic-6x", "matrad-generic"]
    digest: Digest


class SuiteDelivery(BaseModel):
    """How the plans of a suite are delivered: technique, machine with `Machine.digest`, arcs, which plans."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    technique: Technique
    machine: str | None = None
    digest: Digest | None = None
    arcs: int = 1
    deliver: DeliverWhen = "each"

    @model_validator(mode="after")
    def _names_its_machine(self) -> Self:
        if (self.technique == "none") != (self.machine is None) or (self.machine is None) != (self.digest is None):
            raise ValueError("a technique other than none goes with machine and digest, none goes without")
        return self

    @property
    def options(self) -> tuple[Technique, str, int, DeliverWhen]:
        """Technique, machine, arcs and which plans are delivered, as `DeliveryOptions` has them."""
        return self.technique, self.machine or DEFAULT_MACHINE, self.arcs, self.deliver

    def departures(self, delivery: DeliverySettings | None) -> Iterator[str]:
        """Say in what a run's delivery differs."""
        technique = "none" if delivery is None else delivery.technique
        if technique != self.technique:
            yield f"technique {technique}, not {self.technique}"
        elif delivery is not None:
            machine = delivery.chosen_machine
            if machine.name != self.machine:
                yield f"machine {machine.name}, not {self.machine}"
            elif machine.digest != self.digest:
                yield f"another version of machine {machine.name} (digest {machine.digest})"
            if (delivery.arcs, delivery.when) != (self.arcs, self.deliver):
                yield f"arcs {delivery.arcs}, deliver {delivery.when}, not {self.arcs}, {self.deliver}"


class Suite(BaseModel):
    """One file: two who ran a suite of the same name ran the same. What has been published under a name stays.

    Parameters
    ----------
    name : str
        Name and version, such as "prostate-v1"; the file's name too.
    asks, limits : str
        A sentence each: what the suite asks, and what its answer is worth.
    site, protocol : str
        Environment and protocol.
    protocol_digest : str
        `Protocol.digest` of the protocol, the scorecard's section of it included.
    scorecard : SuiteScorecard
    beam_model : SuiteBeamModel
    delivery : SuiteDelivery
    source, split : str
        Where the cases come from.
    fidelity : str
    dose_grid_mm, bixel_mm, sampling : float, float, dict[str, float]
        What the fidelity stands for, see `Fidelity` and `Sampling`.
    engine : str
        What K is computed with, see `PlanningSystem`; `compare.py` knows one.
    budget, seeds : int
        Solves of an episode, and episodes of each agent on each case; a deterministic agent plays one.
    cases : dict[str, str]
        `Case.digest` of each case, by id.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9-]+-v\d+$")]
    asks: str
    limits: str
    site: str
    protocol: str
    protocol_digest: Digest
    scorecard: SuiteScorecard
    beam_model: SuiteBeamModel
    delivery: SuiteDelivery
    source: str
    split: Literal["train", "validation", "test"]
    fidelity: Literal["fast", "standard", "paper"]
    dose_grid_mm: float
    bixel_mm: float
    sampling: dict[Literal["fine_mm", "target_mm", "near_mm", "far_mm", "shell_mm"], float]
    engine: Literal["radplan"]
    budget: Annotated[int, Field(ge=1)]
    seeds: Annotated[int, Field(ge=1)]
    cases: Annotated[dict[str, Digest], Field(min_length=1)]

    @field_validator("site")
    @classmethod
    def _known_site(cls, site: str) -> str:
        if site not in SITES:
            raise ValueError(f"no site {site!r}; choose from {', '.join(SITES)}")
        return site

    @field_validator("source")
    @classmethod
    def _known_source(cls, source: str) -> str:
        if source not in SOURCES:
            raise ValueError(f"no source {source!r}; choose from {', '.join(SOURCES)}")
        return source

    @property
    def resolution(self) -> Fidelity:
        """The fidelity, whole."""
        sampling = Sampling(**self.sampling)
        return Fidelity(self.fidelity, self.dose_grid_mm, self.bixel_mm, sampling=sampling)

    def missing(self, cases: Collection[str]) -> tuple[str, ...]:
        """Ids of the suite's cases that are not among `cases`."""
        return tuple(case for case in self.cases if case not in cases)

    def altered(self, digests: Mapping[str, str]) -> tuple[str, ...]:
        """Ids of cases whose `Case.digest`, as `digests` has it by id, is not that of the suite's case."""
        return tuple(case for case, digest in digests.items() if self.cases.get(case, digest) != digest)

    def departures(self, settings: Settings) -> tuple[str, ...]:
        """Say in what a run of these settings is not this suite, cases that are missing apart; empty if in nothing.

        Agents, their language model and what it is told are the run's own affair.
        """
        wanted = {what: getattr(self, what) for what in ("site", "source", "split", "budget", "seeds")}
        found = {what: getattr(settings, what) for what in wanted}
        wanted["protocol"], found["protocol"] = self.protocol, settings.protocol.name
        texts = [f"{what} {found[what]}, not {wanted[what]}" for what in wanted if found[what] != wanted[what]]
        if FIDELITIES.get(settings.fidelity) != self.resolution:
            grids = f"{self.dose_grid_mm:g} mm dose grid, {self.bixel_mm:g} mm bixels"
            texts.append(f"fidelity {settings.fidelity}, not {self.fidelity} ({grids})")
        if (digest := settings.protocol.digest(self.scorecard.name)) != self.protocol_digest:
            texts.append(f"another version of the protocol (digest {digest})")
        judged = ("scorecard", settings.scorecard, self.scorecard), ("beam model", settings.beam_model, self.beam_model)
        for what, run, own in judged:
            if run.name != own.name:
                texts.append(f"{what} {run.name}, not {own.name}")
            elif run.digest != own.digest:
                texts.append(f"another version of {what} {own.name} (digest {run.digest})")
        texts += self.delivery.departures(settings.delivery)
        if settings.gantry_angles_deg or settings.collimator_angles_deg:
            texts.append("beams of its own")
        if others := [case for case in settings.cases if case not in self.cases]:
            texts.append(f"cases of its own ({', '.join(others)})")
        return tuple(texts)


def available_suites() -> tuple[str, ...]:
    """Return the names of the suites that there are."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def load_suite(name: str) -> Suite:
    """Return a suite by name.

    Raises
    ------
    ValueError
        If there is none of this name, or its file is not valid; the message names the key.
    """
    if name not in available_suites():
        raise ValueError(f"no suite {name!r}; there are {', '.join(available_suites())}")
    path = FOLDER / f"{name}.yaml"
    try:
        suite = Suite.model_validate(read_yaml(path))
    except YAMLFileError as error:
        raise ValueError(f"suite {path}: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "top level"
        raise ValueError(f"suite {path}: {key}: {first['msg']} ({error.error_count()} such errors)") from error
    if suite.name != name:
        raise ValueError(f"suite {path}: name is {suite.name!r}, the file's {name!r}; make them one")
    return suite
