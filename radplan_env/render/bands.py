"""Solid bands of colour, for doses and for what has changed between two plans, and the bar that explains them.

The colours keep away from those of every structure (tests/render/test_colors.py), so that no contour is taken for the
edge of a band: blue and green for low doses, pale at the prescription, dark above it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from numpy.typing import NDArray


@dataclass(frozen=True)
class Bands:
    """Colours by value.

    Parameters
    ----------
    edges : tuple of float
        Ascending. Band i holds values from edge i up to edge i + 1.
    colors : tuple of str, optional
        One for each band; None leaves it without colour.
    unit : str
        Of the edges.
    """

    edges: tuple[float, ...]
    colors: tuple[str | None, ...]
    unit: str

    @property
    def lines(self) -> tuple[float, ...]:
        """The edges between two bands, and those where colour begins or ends."""
        return tuple(edge for edge in self.edges if math.isfinite(edge))

    def rgba(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Return the colours of values, shape (…, 4); transparent where there is none."""
        table = np.array([(0, 0, 0, 0), *(to_rgba(c) if c else (0, 0, 0, 0) for c in self.colors)], np.float32)
        return table[np.clip(np.searchsorted(self.edges, values, side="right"), 0, len(self.colors))]

    def draw_bar(self, axes: Axes, others: Sequence[str] = ()) -> None:
        """Draw the bands as a bar of equal parts, the highest on top.

        Parameters
        ----------
        axes : matplotlib.axes.Axes
        others : sequence of str, optional
            What stands at the other side of each line, such as the same dose in Gy.
        """
        for level, color in enumerate(self.colors):
            axes.axhspan(level, level + 1, color=color or "white")
        ticks = [i for i, edge in enumerate(self.edges) if math.isfinite(edge)]
        axes.set(xticks=[], xlim=(0, 1), ylim=(0, len(self.colors)))
        axes.set_yticks(ticks, [f"{self.edges[i]:g}" for i in ticks], fontsize=8.5)
        axes.set_title(self.unit, fontsize=8.5, pad=5)
        if others:
            beside = axes.twinx()
            beside.set(ylim=(0, len(self.colors)))
            beside.set_yticks(ticks, others, fontsize=8.5)
            axes.set_title(f"{self.unit}      Gy", fontsize=8.5, pad=5)


DOSE = Bands(
    (20, 50, 80, 95, 100, 105, 110, math.inf),
    ("#1B3463", "#326D6A", "#B3CC8D", "#FAF9BE", "#FFCC8D", "#C56979", "#4C0239"),
    "% Rx",
)
"""By % of the prescription."""

CHANGE = Bands(
    (-math.inf, -5, -3, -1, 1, 3, 5, math.inf),
    ("#1B3463", "#5C88B8", "#C3D9EC", None, "#F8DCC6", "#DC7C78", "#7A1230"),
    "Gy",
)
"""By Gy: blue where a plan gives less than the one it began from, red where it gives more."""


def draw_dose_bar(axes: Axes, prescription_gy: float) -> None:
    """Draw the bands of the dose: in % of the prescription on the left, in Gy on the right."""
    DOSE.draw_bar(axes, [f"{percent * prescription_gy / 100:.1f}" for percent in DOSE.lines])
