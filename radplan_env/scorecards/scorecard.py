"""What a scorecard is: it gives the dose of a plan a score from 0 to 100, built of named terms."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from textwrap import wrap
from typing import Any, ClassVar, Protocol, TypedDict

from radplan_env.bound import Bound
from radplan_env.criterion import Criterion
from radplan_env.dose_view import DoseView
from radplan_env.scorecards.code_digest import code_digest


class Goals(Protocol):
    """What a scorecard reads of a protocol, whole or bound to a case."""

    @property
    def name(self) -> str:
        """Name of the protocol."""

    @property
    def criteria(self) -> tuple[Criterion, ...]:
        """Its criteria; of a bound protocol, those whose structure the case has."""

    @property
    def structures(self) -> tuple[str, ...]:
        """Its structures, or those of them that the case has."""

    @property
    def scorecards(self) -> Mapping[str, Mapping[str, Any]]:
        """The sections of scorecards, by name of the scorecard."""

    def prescription_gy(self, structure: str) -> float:
        """The prescription of a structure: its own for a target, otherwise the highest."""


@dataclass(frozen=True)
class ScoreTerm:
    """One part of a score.

    Parameters
    ----------
    name : str
        Such as "Rectum V31Gy".
    points : float
        What it is worth; the terms of a scorecard are worth 100 together.
    all_at, none_at : float
        Values of its metric that give all points and none, or what `Scorecard.ends` says of them.
    unit : str
        Of the metric.
    source : str
        Where the numbers come from.
    """

    name: str
    points: float
    all_at: float
    none_at: float
    unit: str = ""
    source: str = ""


@dataclass(frozen=True)
class Verdict:
    """What a scorecard says of a dose.

    Parameters
    ----------
    score : float
        From 0 to 100.
    terms : Mapping[str, float]
        Points earned by term; they add up to `score` unless that stops at 0.
    available : Mapping[str, float]
        Points that could be earned, by term; they add up to 100.
    screened : bool, optional
        Whether the plan passes what it must whatever its score; None where the scorecard does not screen.
    reasons : tuple of str
        Why it does not.
    """

    score: float
    terms: Mapping[str, float]
    available: Mapping[str, float]
    screened: bool | None = None
    reasons: tuple[str, ...] = ()


class ScorecardIdentity(TypedDict):
    """A scorecard as suites, settings and records name it."""

    name: str
    version: str
    digest: str


class Scorecard(ABC):
    """Gives the dose of a plan a score: ``RadPlanEnv(scorecard=…)``, ``PlanningSystem(scorecard=…)``.

    Subclass it; its docstring is what `explain` begins with. It must be a pure function of the dose and the protocol,
    and picklable.
    """

    name: ClassVar[str]
    """Short name, by which it is loaded and under which protocols keep its section."""

    version: ClassVar[str]

    ends: ClassVar[tuple[str, str]] = ("all at", "none at")
    """What a term's points are at `ScoreTerm.all_at` and `none_at`, as tables head them."""

    covers: ClassVar[Sequence[Callable[..., Any]]] = ()
    """Functions that the score depends on and that the class does not call by a global name; see `digest`."""

    @abstractmethod
    def terms(self, goals: Goals) -> tuple[ScoreTerm, ...]:
        """Return the terms of the score for a protocol, whole or bound to a case."""

    @abstractmethod
    def verdict(self, view: DoseView, goals: Goals) -> Verdict:
        """Return what is said of a dose."""

    def bounds_if_shifted(self, goals: Goals) -> tuple[Bound, ...]:
        """Return what a plan must still keep to when the patient lies 3 mm off; by default nothing.

        Delivered plans that are handed over are asked: see `radplan_env.planning.robustness`.
        """
        return ()

    def faults(self, section: Mapping[str, Any], goals: Goals) -> list[str]:
        """Say what is wrong with the scorecard's section of a protocol; by default it takes none."""
        return [f"unknown key {key}; {self.name} takes its numbers from the criteria" for key in section]

    @cached_property
    def packages(self) -> tuple[str, ...]:
        """Top-level packages whose code `digest` covers: radplan_env and the scorecard's own."""
        return tuple(sorted({"radplan_env", type(self).__module__.partition(".")[0]}))

    @property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, of all that turns doses into the score.

        Covered are the scorecard's class, the functions of `covers`, and every function, class and plain constant of
        radplan_env and the scorecard's own package that they reach by name; comments, docstrings and types are not,
        nor NumPy. The numbers a protocol gives count in `Protocol.digest`.
        """
        own = [kind for kind in type(self).__mro__ if issubclass(kind, Scorecard) and kind is not Scorecard]
        return code_digest([*own, *self.covers], self.packages)

    @property
    def identity(self) -> ScorecardIdentity:
        """Name, version and digest."""
        return {"name": self.name, "version": self.version, "digest": self.digest}

    @property
    def rules(self) -> list[str]:
        """How the score is made, in paragraphs: the class's docstring."""
        paragraphs = inspect.cleandoc(type(self).__doc__ or "").split("\n\n")
        return [" ".join(paragraph.split()) for paragraph in paragraphs]

    def explain(self, goals: Goals | None = None) -> str:
        """Return how the score is made, in words; with a protocol, also a table of its terms."""
        lines = [f"Scorecard {self.name}, version {self.version}, digest {self.digest[:12]}", ""]
        lines += [line for paragraph in self.rules for line in (*wrap(paragraph, 120), "")][:-1]
        if goals is not None:
            rows = [("term", "points", *self.ends, "source")]
            rows += [
                (
                    t.name,
                    f"{t.points:.2f}",
                    f"{t.all_at:g} {t.unit}".strip(),
                    f"{t.none_at:g} {t.unit}".strip(),
                    t.source,
                )
                for t in self.terms(goals)
            ]
            widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
            lines += ["", f"For the protocol {goals.name}:"]
            lines += ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        return "\n".join(lines)
