"""What a planner is shown of a plan: where it costs most, and what has changed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from radplan_env import Case, RadPlanEnv
from radplan_env.console import Console
from radplan_env.console.pictures import plan_pictures
from radplan_env.console.places import costly_places, told_of, worst_places
from radplan_env.console.tables import points
from radplan_env.influence import Fidelity


@pytest.fixture(scope="module")
def console(box_case: Case) -> Iterator[Console]:
    coarse = Fidelity("coarse", dose_grid_mm=5.0, bixel_mm=10.0)
    env = RadPlanEnv(cases=[box_case], budget=2, fidelity=coarse, gantry_angles_deg=range(0, 360, 72), progress=False)
    env.reset(seed=0)
    console = Console(env)
    console.call("plan", {})
    console.call("plan", {"weights": {"Rectum": 20}})
    yield console
    env.close()


def test_the_worst_points_are_those_of_the_costliest_terms(console: Console) -> None:
    desk, solved = console.desk, console.desk.plans[0]
    found, costs = costly_places(desk, solved), [row["term"] for row in points(solved)]
    assert found and [name for name, _ in found] == sorted((name for name, _ in found), key=costs.index)
    assert len({place.position_mm for _, place in found}) == len(found)
    for name, place in found:
        assert worst_places(desk, solved, name, 1) == [place]
        assert f"{place.dose_gy:.4g} Gy" in told_of(desk, name, place)


def test_a_plan_is_shown_with_its_worst_points_and_what_has_changed(console: Console) -> None:
    desk = console.desk
    first, second = (plan_pictures(desk, solved) for solved in desk.plans)
    worst = len(costly_places(desk, desk.plans[0]))
    assert [view.name for view in first] == ["planes", "slices", *["slice"] * worst, "dvh"]
    assert [view.name for view in second][-2:] == ["change", "dvh"]
    assert all(view.png.startswith(b"\x89PNG") for view in (*first, *second))
    for view, (_, place) in zip(first[2:], costly_places(desk, desk.plans[0]), strict=False):
        assert f"{place.dose_gy:.1f} Gy" in view.caption
        height = view.panels[0].plane.position_mm
        assert np.isclose(height, place.position_mm[0], atol=desk.system.case.grid.spacing_mm[0])
