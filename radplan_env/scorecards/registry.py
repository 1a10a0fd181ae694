"""Scorecards by name: those of the package, and those that other packages register.

Another package registers one by an entry point, whose name is the scorecard's::

    [project.entry-points."radplan_env.scorecards"]
    toy = "my_package.toy:Toy"
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint
from typing import Any

from radplan_env.plugins import PluginError, Registry
from radplan_env.scorecards.scorecard import Goals, Scorecard
from radplan_env.scorecards.v0 import V0
from radplan_env.scorecards.v1 import V1

GROUP = "radplan_env.scorecards"
DEFAULT = "v0"


def _loaded(point: EntryPoint) -> Scorecard:
    loaded = point.load()
    scorecard = loaded() if isinstance(loaded, type) else loaded
    if not isinstance(scorecard, Scorecard) or scorecard.name != point.name:
        raise PluginError(
            f"the entry point {point.name} = {point.value} of group {GROUP} is to be a "
            f"radplan_env.scorecards.Scorecard whose name is {point.name!r}"
        )
    return scorecard


SCORECARDS: Registry[Scorecard] = Registry(GROUP, {"v0": V0(), "v1": V1()}, _loaded)


def available_scorecards() -> tuple[str, ...]:
    """Return the names of the scorecards that are installed."""
    return tuple(sorted(SCORECARDS))


def load_scorecard(name: str | Scorecard = DEFAULT) -> Scorecard:
    """Return a scorecard by name; one that is handed in comes back as it is.

    Parameters
    ----------
    name : str or Scorecard
        One of `available_scorecards`.

    Raises
    ------
    ValueError
        If there is none of this name, two packages register it, or what is registered is no scorecard of this name.
    """
    if isinstance(name, Scorecard):
        return name
    if name not in SCORECARDS:
        raise ValueError(f"no scorecard {name!r}; there are {', '.join(available_scorecards())}")
    return SCORECARDS[name]


def scorecard_for(goals: Goals) -> Scorecard:
    """Return v1 or, for a protocol without a section of v1, v0: what plans are scored by if nothing is said."""
    return load_scorecard("v1" if goals.scorecards.get("v1") else "v0")


def check_section(name: str, section: Mapping[str, Any], goals: Goals) -> list[str]:
    """Say what is wrong with a scorecard's section of a protocol; nothing where the scorecard is not installed."""
    return load_scorecard(name).faults(section, goals) if name in available_scorecards() else []


def check_scorecard(scorecard: Scorecard, goals: Goals) -> None:
    """See that a protocol has what a scorecard needs.

    Raises
    ------
    ValueError
        The message lists what is wrong or missing.
    """
    if faults := scorecard.faults(goals.scorecards.get(scorecard.name, {}), goals):
        raise ValueError(f"scorecard {scorecard.name} and protocol {goals.name!r} do not fit: {'; '.join(faults)}")
