"""The picture of a delivery: apertures in the beam's eye view, monitor units and gantry speed along the way."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from radplan_env.delivery.apertures import Apertures
from radplan_env.delivery.delivered import Delivery
from radplan_env.delivery.limits import interval_seconds
from radplan_env.render.drawing import Drawing

_VIEWS = (2, 5)
_LEAVES, _OPEN = "#5b6b7a", "#f3d67a"


def delivery_figure(delivery: Delivery) -> Figure:
    """Draw ten of a delivery's apertures, evenly chosen, over its monitor units and speeds.

    An aperture is that in the middle of its interval, from the source: x to the right, towards the head upwards.

    Parameters
    ----------
    delivery : Delivery

    Returns
    -------
    Figure
    """
    figure = Drawing(14, 9, layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=(2, 1))
    views, curves = parts
    apertures = delivery.apertures
    chosen = np.linspace(0, apertures.monitor_units.size - 1, _VIEWS[0] * _VIEWS[1]).round().astype(int)
    for axes, interval in zip(views.subplots(*_VIEWS).ravel(), chosen, strict=True):
        _draw_aperture(axes, apertures, int(interval))
    units, speed = curves.subplots(1, 2)
    seconds = interval_seconds(apertures, delivery.machine)
    for f, field in enumerate(apertures.fields):
        own = apertures.field == f
        place = (apertures.gantry_deg[apertures.first[own]] + apertures.gantry_deg[apertures.last[own]]) / 2
        label = f"{'arc' if field.is_arc else 'field'} {f + 1}"
        if not field.is_arc:
            units.bar(place[0], apertures.monitor_units[own].sum(), width=5, label=label)
            continue
        turn = abs(np.diff(field.gantry_deg))
        units.step(place, apertures.monitor_units[own] / turn, where="mid", label=label)
        speed.step(place, turn / seconds[own], where="mid", label=f"{label}: gantry, degrees/s")
        speed.step(place, apertures.travel_mm[own] / seconds[own], where="mid", lw=0.8, label=f"{label}: leaf, mm/s")
    arc = any(field.is_arc for field in apertures.fields)
    units.set(xlabel="gantry angle, degrees", ylabel="MU a degree" if arc else "MU", ylim=(0, None))
    units.set_title(f"{delivery.monitor_units:.0f} MU a fraction in {delivery.seconds:.0f} s")
    if arc:
        speed.set(xlabel="gantry angle, degrees", ylabel="speed", ylim=(0, None))
        speed.legend(frameon=False)
    else:
        speed.set_axis_off()
    return figure


def _draw_aperture(axes: Axes, apertures: Apertures, interval: int) -> None:
    field = apertures.fields[apertures.field[interval]]
    left, right = (ends[interval] for ends in apertures.middle_mm)
    x1, x2, z1, z2 = field.jaws_mm
    bounds = apertures.boundaries_mm
    shown = apertures.exposed(field)
    bottom, height = bounds[:-1][shown], np.diff(bounds)[shown]
    axes.set_facecolor(_OPEN)
    for start, end in ((np.full(left.size, x1), left), (right, np.full(left.size, x2))):
        width = np.maximum(end - start, 0)[shown]
        axes.barh(bottom, width, height, start[shown], align="edge", color=_LEAVES, edgecolor="white", lw=0.3)
    axes.set(xlim=(x1, x2), ylim=(z1, z2), aspect="equal", xticks=[], yticks=[])
    angle = apertures.middle_deg[interval]
    axes.set_title(f"gantry {angle:.0f}, {apertures.monitor_units[interval]:.1f} MU", fontsize=9)
