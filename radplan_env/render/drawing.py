"""A figure that pyplot knows nothing of, and that notebooks show all the same."""

from __future__ import annotations

from io import BytesIO
from typing import Literal

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


class Drawing(Figure):
    """A figure of so many inches on an Agg canvas, at 100 dots per inch."""

    def __init__(self, width: float, height: float, *, layout: Literal["constrained"] | None = None) -> None:
        super().__init__(figsize=(width, height), dpi=100, facecolor="white", layout=layout)
        FigureCanvasAgg(self)

    def _repr_png_(self) -> bytes:
        file = BytesIO()
        self.savefig(file, format="png")
        return file.getvalue()
