"""Radiotherapy treatment planning as a Gymnasium environment.

Importing this package registers its environments (`ENVIRONMENTS`), so that
``gymnasium.make("radplan_env:RadPlan/Prostate-v0")`` works anywhere, in worker processes too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium as gym

from radplan_env.lazy import imported_when_asked
from radplan_env.sites import SITES, environment_id

if TYPE_CHECKING:
    from radplan_env.actions import ActionMap as ActionMap
    from radplan_env.case import Case as Case
    from radplan_env.env import RadPlanEnv as RadPlanEnv
    from radplan_env.errors import CaseError as CaseError
    from radplan_env.evaluation import Evaluation as Evaluation
    from radplan_env.grid import Grid as Grid
    from radplan_env.limits import Limit as Limit
    from radplan_env.parameters import PlanningParameters as PlanningParameters
    from radplan_env.parameters import StructureParameters as StructureParameters
    from radplan_env.planning import Plan as Plan
    from radplan_env.planning import PlanningSystem as PlanningSystem
    from radplan_env.planning import PlanRequest as PlanRequest
    from radplan_env.protocol import Protocol as Protocol
    from radplan_env.protocol import load_protocol as load_protocol
    from radplan_env.rewards import Reward as Reward
    from radplan_env.rewards import ScoreImprovement as ScoreImprovement
    from radplan_env.scorecards import Scorecard as Scorecard
    from radplan_env.scorecards import load_scorecard as load_scorecard
    from radplan_env.vector import RadPlanVectorEnv as RadPlanVectorEnv
    from radplan_env.version import __version__ as __version__

# Read when first asked for: registering an id must not cost the import of an optimiser.
_MODULES = {
    "ActionMap": "actions",
    "Case": "case",
    "CaseError": "errors",
    "Evaluation": "evaluation",
    "Grid": "grid",
    "Limit": "limits",
    "Plan": "planning",
    "PlanRequest": "planning",
    "PlanningParameters": "parameters",
    "PlanningSystem": "planning",
    "Protocol": "protocol",
    "RadPlanEnv": "env",
    "RadPlanVectorEnv": "vector",
    "Reward": "rewards",
    "ScoreImprovement": "rewards",
    "Scorecard": "scorecards",
    "StructureParameters": "parameters",
    "__version__": "version",
    "load_protocol": "protocol",
    "load_scorecard": "scorecards",
}

__all__ = sorted(_MODULES)

ENVIRONMENTS = {environment_id(site): site for site in SITES}
"""Registered environments and their sites."""

DELIVERED: dict[str, dict[str, Any]] = {
    "RadPlan/ProstateVMAT-v0": {"protocol": "prostate", "technique": "vmat"},
    "RadPlan/HeadAndNeckVMAT-v0": {"protocol": "head-and-neck", "technique": "vmat", "arcs": 2},
    "RadPlan/ProstateIMRT-v0": {"protocol": "prostate", "technique": "step-and-shoot"},
}
"""Registered environments of delivered plans, and what they set: actions and observations are those of the site's."""

MACHINE_PARAMETERS = {"RadPlan/ProstateMachine-v0": {"protocol": "prostate"}}
"""Registered environments of machine parameters, and what they set: see `radplan_env.machine_parameters`."""

ANY_PROTOCOL = "RadPlan/AnyProtocol-v0"
"""The environment of a protocol that belongs to no site: `protocol` and `cases` must be given."""

_settings: dict[str, dict[str, Any]] = {
    **{_id: {"protocol": _site} for _id, _site in ENVIRONMENTS.items()},
    **DELIVERED,
}
for _id, _chosen in [*_settings.items(), (ANY_PROTOCOL, {})]:
    if _id not in gym.registry:  # a reload, or a worker that inherited the registry
        gym.register(
            _id,
            entry_point="radplan_env.env:RadPlanEnv",
            vector_entry_point="radplan_env.vector:RadPlanVectorEnv",
            kwargs=_chosen,
        )
for _id, _chosen in MACHINE_PARAMETERS.items():
    if _id not in gym.registry:
        gym.register(_id, entry_point="radplan_env.machine_parameters:MachineParameterEnv", kwargs=_chosen)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__getattr__ = imported_when_asked(__name__, _MODULES)
