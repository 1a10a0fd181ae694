"""The picture of a delivery holds its apertures and its units."""

from __future__ import annotations

import numpy as np
import pytest

from radplan_env.delivery.apertures import Apertures, Field
from radplan_env.delivery.delivered import Delivery
from radplan_env.delivery.machine import machine_named
from radplan_env.render.delivery import delivery_figure

MACHINE = machine_named("millennium120")


@pytest.mark.parametrize("gantry", [tuple(np.arange(182.0, 223.0, 4.0)), (90.0,) * 12], ids=["arc", "segments"])
def test_ten_apertures_and_their_units_are_drawn(gantry: tuple[float, ...]) -> None:
    field = Field(gantry, 0.0, (-40.0, 40.0, -30.0, 30.0))
    left = np.full((field.control_points, 60), -20.0)
    plan = Apertures((field,), MACHINE.boundaries_mm, left, left + 35, np.full(field.intervals, 5.0))
    figure = delivery_figure(Delivery("vmat", MACHINE, plan, (0.0, 0.0, 0.0), 1000.0, 26, 2, 90.0))
    titles = [axes.get_title() for part in figure.subfigs for axes in part.axes]
    assert sum(title.startswith("gantry") and title.endswith("5.0 MU") for title in titles) == 10
    assert f"{plan.monitor_units.sum():.0f} MU a fraction" in " ".join(titles)
