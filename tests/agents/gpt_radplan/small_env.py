"""Environments whose plans take tens of milliseconds: what is asked of the agent does not depend on the dose."""

from __future__ import annotations

from radplan_env import Case, RadPlanEnv
from radplan_env.influence import Fidelity

COARSE = Fidelity("coarse", dose_grid_mm=5.0, bixel_mm=10.0)


def small_env(case: Case, budget: int) -> RadPlanEnv:
    """Prostate planning of a case on a coarse grid, with five beams."""
    return RadPlanEnv(cases=[case], budget=budget, fidelity=COARSE, gantry_angles_deg=range(0, 360, 72), progress=False)
