"""Plans of earlier patients, as examples: how they look, what their parameters were, what changing those did.

The paper shows its evaluator three reference plans, always the same (section 2.2). Here they may also be those of the
patients whose anatomy is most like the new one's, as retrieval cuts the steps that language-model planners need.

On disk a library is a folder with plan_001.json, plan_001_planes.png, plan_002.json, …; any of the plans may be
deleted. Nothing in it names a patient. `experiments/build_library.py` makes one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Self

from radplan_agents.gpt_radplan.anatomy import Anatomy
from radplan_agents.plan_changes import Parameters, effect_line, plan_changes
from radplan_agents.privacy import is_own_patient
from radplan_env.case import Case
from radplan_env.planning import Plan, Summary
from radplan_env.protocol import BoundProtocol, Protocol
from radplan_env.render.views import View, plan_views

FORMAT = 1
MOST_EFFECTS = 6
"""Lines on what changes did, per plan: a prompt shows those of three plans."""

MOST_CHANGED = 6
"""What moves more than so many parameters and limits at once teaches nothing of any of them."""

VIEWS = ("planes",)
"""Pictures kept of a plan: of an example, a model is shown one."""

ANONYMOUS = "reference plan"
"""Stands for the case's id in a plan's summary."""


class LibraryError(Exception):
    """A library that cannot be read or written; the message says why and what to do."""


@dataclass(frozen=True, eq=False)
class ReferencePlan:
    """The best plan of an earlier patient, and what was learnt on the way to it.

    Parameters
    ----------
    protocol : str
        Name of the protocol it was planned by.
    anatomy : Anatomy
        What it is found by.
    parameters : Parameters
        Weight and objective dose by structure.
    summary : Summary
        As `Plan.summary`, without the case's id.
    effects : tuple of str
        What changes of parameters did on the way, such as "Rectum weight 5 → 15 => score 90.1 → 91.3 (+1.2); …".
    views : tuple of View
        Pictures of it.
    own_patient : bool
        Whether they show a patient of the user's own; see `radplan_agents.privacy`.
    """

    protocol: str
    anatomy: Anatomy
    parameters: Parameters
    summary: Summary
    effects: tuple[str, ...]
    views: tuple[View, ...]
    own_patient: bool = True

    @classmethod
    def of(cls, case: Case, protocol: Protocol | BoundProtocol, plan: Plan, trajectory: Sequence[Summary] = ()) -> Self:
        """Make one of a plan.

        Parameters
        ----------
        case : Case
            The patient.
        protocol : Protocol or BoundProtocol
            What it was planned by.
        plan : Plan
            The plan to store.
        trajectory : sequence of Summary
            The plans made on the way to it.
        """
        rx_gy = protocol.primary.prescription_gy
        dose = plan.dose_on(case.grid)
        return cls(
            protocol=protocol.name,
            anatomy=Anatomy.of(case, protocol),
            parameters=plan.parameters.to_dict()["structures"],
            summary={**plan.summary(), "case": ANONYMOUS},
            effects=tuple(effects_of(trajectory)),
            views=tuple(plan_views(case, dose, prescription_gy=rx_gy, names=VIEWS)),
            own_patient=is_own_patient(case),
        )

    def save(self, folder: Path, number: int) -> None:
        """Write the plan to a library's folder, as its plan of a number from 1."""
        name = f"plan_{number:03d}"
        for view in self.views:
            (folder / f"{name}_{view.name}.png").write_bytes(view.png)
        data = {
            "format": FORMAT,
            "own_patient": self.own_patient,
            "protocol": self.protocol,
            "anatomy": self.anatomy.to_dict(),
            "summary": self.summary,
            "parameters": self.parameters,
            "effects": self.effects,
            "views": [{"name": v.name, "caption": v.caption, "file": f"{name}_{v.name}.png"} for v in self.views],
        }
        # The pictures are there already: a plan without them is never found.
        (folder / f"{name}.json").write_text(json.dumps(data, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        LibraryError
            If it is damaged, or of another version.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if data["format"] != FORMAT:
                raise ValueError(f"it is of format {data['format']}, not {FORMAT}")
            return cls(
                protocol=data["protocol"],
                anatomy=Anatomy.from_dict(data["anatomy"]),
                parameters=data["parameters"],
                summary=data["summary"],
                effects=tuple(data["effects"]),
                views=tuple(
                    View(view["name"], (path.parent / Path(view["file"]).name).read_bytes(), view["caption"])
                    for view in data["views"]
                ),
                own_patient=bool(data["own_patient"]),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            problem = f"{type(error).__name__}: {error}"
            raise LibraryError(f"{path} is no plan of a library ({problem}): delete it or build it again") from error


@dataclass(frozen=True)
class Library:
    """Past plans, of one protocol or several.

    Parameters
    ----------
    plans : tuple of ReferencePlan
    """

    plans: tuple[ReferencePlan, ...] = field(repr=False)

    @property
    def own_patients(self) -> bool:
        """Whether any plan shows a patient of the user's own."""
        return any(plan.own_patient for plan in self.plans)

    @classmethod
    def load(cls, path: str | Path | None = None) -> Self:
        """Read a library.

        Parameters
        ----------
        path : str or Path, optional
            Its folder; by default the libraries that come with the package, which hold synthetic patients.

        Raises
        ------
        LibraryError
            If the folder holds no plans, or one that cannot be read.
        """
        folders = _own_folders() if path is None else [Path(path)]
        plans = tuple(ReferencePlan.load(file) for folder in folders for file in sorted(folder.glob("plan_*.json")))
        if not plans:
            raise LibraryError(f"no plans in {path}: experiments/build_library.py makes a library")
        return cls(plans)

    def save(self, folder: str | Path) -> None:
        """Write the library to a folder that holds none; it is made if need be.

        Raises
        ------
        LibraryError
            If there are plans in it already.
        """
        folder = Path(folder)
        if any(folder.glob("plan_*")):
            raise LibraryError(f"{folder} holds plans already: delete it or give another folder")
        folder.mkdir(parents=True, exist_ok=True)
        for number, plan in enumerate(self.plans, start=1):
            plan.save(folder, number)

    def for_planners(self, *, set_limits: bool) -> Library:
        """Return the plans that a planner can learn from, of each patient the best.

        Parameters
        ----------
        set_limits : bool
            Whether the planner sets limits; to one that does not, plans that hold some are no examples.
        """
        best: dict[str, ReferencePlan] = {}
        for plan in self.plans:
            if plan.summary["limits"] and not set_limits:
                continue
            patient = json.dumps([plan.protocol, plan.anatomy.to_dict()])
            if patient not in best or plan.summary["score"] > best[patient].summary["score"]:
                best[patient] = plan
        return Library(tuple(best.values()))

    def first(self, protocol: Protocol | BoundProtocol, count: int) -> list[ReferencePlan]:
        """Return the first plans of a protocol: always the same, as in the paper; fewer if there are fewer."""
        return [plan for plan in self.plans if plan.protocol == protocol.name][:count]

    def nearest(self, case: Case, protocol: Protocol | BoundProtocol, count: int) -> list[ReferencePlan]:
        """Return the plans of a protocol whose patients are most like a case, the most similar first.

        `Anatomy.distance_mm` says how alike they are; of equals, the first in the library comes first.

        Raises
        ------
        CaseError
            If the case lacks the protocol's primary target.
        """
        plans = self.first(protocol, len(self.plans))
        anatomy = Anatomy.of(case, protocol) if plans else None
        return sorted(plans, key=lambda plan: anatomy.distance_mm(plan.anatomy))[:count]  # type: ignore[union-attr]


def effects_of(trajectory: Sequence[Summary]) -> list[str]:
    """Return what changes of parameters did, one line each, in the order they were tried.

    Each plan is set against the best one before it, which is where a planner goes on from. Of many, those that moved
    the score the most are kept, for better or worse; steps that moved more than `MOST_CHANGED` at once are left out.
    """
    tried: list[tuple[float, int, str]] = []
    best: Summary | None = None
    for place, plan in enumerate(trajectory):
        changed = plan_changes(best, plan) if best is not None else []
        if best is not None and 0 < len(changed) <= MOST_CHANGED:
            line = f"{', '.join(changed)} => {effect_line(best, plan)}"
            tried.append((abs(plan["score"] - best["score"]), place, line))
        if best is None or plan["score"] > best["score"]:
            best = plan
    kept = sorted(tried, key=lambda each: -each[0])[:MOST_EFFECTS]
    return [line for _, _, line in sorted(kept, key=lambda each: each[1])]


def _own_folders() -> list[Path]:
    root = Path(str(resources.files("radplan_agents.gpt_radplan").joinpath("libraries")))
    return sorted(folder for folder in root.iterdir() if folder.is_dir())
