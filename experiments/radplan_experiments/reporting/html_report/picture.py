"""Figures inside an HTML page."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

LARGEST_SVG = 250_000
"""Bytes up to which a figure is embedded as a drawing, sharp at any size; larger ones are embedded as pixels."""


CSS_PIXELS_PER_INCH = 96


@dataclass(frozen=True)
class Picture:
    """An image that a page holds within itself.

    Parameters
    ----------
    uri : str
        "data:image/…", for the src of an img element.
    width : int
        Width to show it at, in CSS pixels.
    """

    uri: str
    width: int

    @classmethod
    def of(cls, figure: Figure, pixels: Path) -> Picture:
        """A figure, which lies in a PNG file already. The same figure gives the same picture."""
        width = round(CSS_PIXELS_PER_INCH * figure.get_figwidth())
        if any(axes.images for axes in figure.axes):  # slices of a patient are pixels anyway
            return cls(_uri("image/png", pixels.read_bytes()), width)
        with matplotlib.rc_context({"svg.hashsalt": "radplan_env"}):  # ids of elements, drawn by chance otherwise
            file = io.BytesIO()
            figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
        if len(file.getvalue()) <= LARGEST_SVG:
            return cls(_uri("image/svg+xml", file.getvalue()), width)
        return cls(_uri("image/png", pixels.read_bytes()), width)


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
