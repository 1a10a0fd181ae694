"""A package of somebody else's, as an example: a brain site, a source of analytic heads and an agent.

`test_brain_site.py` installs it into a temporary folder by the entry points that a package's pyproject.toml would have.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radplan_env.case import Case
from radplan_env.sites import Site
from radplan_env.sources import Cohort, CohortRequest, Source

SPACING_MM = 5.0

Ball = tuple[tuple[float, float, float], tuple[float, float, float]]
"""Centre and semi-axes (z, y, x) of an ellipsoid, mm in patient LPS."""

HEAD: Ball = ((0, 0, 0), (85, 95, 75))
ORGANS: dict[str, Ball] = {
    "Brainstem": ((-35, 15, 0), (25, 12, 12)),
    "OpticChiasm": ((0, -20, 0), (5, 6, 9)),
    "OpticNrv_L": ((-5, -45, 17), (5, 22, 6)),
    "OpticNrv_R": ((-5, -45, -17), (5, 22, 6)),
    "Lens_L": ((-10, -80, 30), (5, 5, 5)),
    "Lens_R": ((-10, -80, -30), (5, 5, 5)),
}
TARGETS: dict[str, Ball] = {
    "heads/frontal": ((12, -30, 24), (18, 18, 18)),
    "heads/parietal": ((35, 30, -25), (20, 16, 18)),
}


def head(case_id: str) -> Case:
    """A head of water with ellipsoids for organs; cases differ in where the target lies."""
    shape = [2 * int(np.ceil(axis / SPACING_MM)) + 5 for axis in HEAD[1]]
    points = np.meshgrid(*(SPACING_MM * (np.arange(n) - (n - 1) / 2) for n in shape), indexing="ij")

    def mask(ball: Ball) -> NDArray[np.bool_]:
        return sum(((p - c) / a) ** 2 for p, c, a in zip(points, *ball, strict=True)) <= 1  # type: ignore[return-value]

    body = mask(HEAD)
    return Case.from_arrays(
        id=case_id,
        ct_hu=np.where(body, 0.0, -1000.0),
        structures={"Body": body, "PTV_6000": mask(TARGETS[case_id]), **{n: mask(b) for n, b in ORGANS.items()}},
        voxel_size_mm=(SPACING_MM,) * 3,
        source="heads",
        synthetic=True,
    )


def cohort(request: CohortRequest) -> Cohort:
    """All heads there are: nothing is read, so there is nothing to ask for."""
    return Cohort(tuple(TARGETS), head)


HEADS = Source("heads", cohort, public=True)

BRAIN = Site(
    "brain",
    protocol=str(Path(__file__).with_name("brain.yaml")),
    source="heads",
    cases="1",
    trade_off=("Brainstem mean", "OpticChiasm D0.03cc"),
)


class NudgeAgent:
    """Plays the template, then presses every organ a little harder with each solve."""

    deterministic = True

    def __init__(self, env: Any, *, seed: int = 0) -> None:
        self._action_map = env.action_map

    def reset(self, observation: Mapping[str, Any], info: Mapping[str, Any]) -> None:
        """Begin with the protocol's start parameters."""
        self._action = self._action_map.to_action(info["start_parameters"])

    def act(self, observation: Mapping[str, Any], info: Mapping[str, Any]) -> NDArray[np.float32]:
        """Return the next action."""
        if "plan" in info:
            self._action = np.clip(self._action + np.float32(0.1), -1, 1)
        return self._action
