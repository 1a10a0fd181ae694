"""One palette for every picture: structures by name, and the doses of observation images.

Targets are warm, organs cool. Hues and lightnesses were spread so that the structures of one protocol stay
apart in CIELAB, also as seen with protanopia and deuteranopia (Machado 2009, doi 10.1109/TVCG.2009.113);
tests/render/test_colors.py holds them to it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from numpy.typing import NDArray

from radplan_env.structure_names import is_target

_RED, _ORANGE, _YELLOW = "#DC1E1E", "#F0741A", "#F5D01A"
_PINK, _MAGENTA, _BROWN = "#F2B3C0", "#D42A9C", "#8A3A2C"
_BLUE, _SKY, _PERIWINKLE, _CYAN = "#5065F5", "#86CFF7", "#97B0FA", "#08A9BD"
_PURPLE, _SEA, _OLIVE, _LILAC = "#8F63D2", "#4E8F86", "#7C7B35", "#C9C3EE"
_GREEN, _MINT, _VIOLET, _TAN, _GREY = "#269644", "#74E27E", "#B766E0", "#C99A78", "#969696"

_BY_NAME = {
    "Body": _GREY, "OutsideTargets": _GREY,
    "PTV": _RED, "PTV_High": _RED, "PTV_7020": _RED, "PTV_7000": _RED, "PTV_6000": _RED, "PTV_5000": _RED,
    "PTV_Mid": _ORANGE, "PTV_6300": _ORANGE, "PTV_Low": _YELLOW, "PTV_5600": _YELLOW, "PTV_5200": _PINK,
    "CTV": _MAGENTA, "ITV": _PINK, "GTV": _BROWN,
    "Bladder": _SKY, "Rectum": _VIOLET, "Femur_Head_L": _GREEN, "Femur_Head_R": _MINT, "Core": _BLUE,
    "Bone_Pelvic": _TAN,
    "Brainstem": _BLUE, "SpinalCord": _SKY, "Parotid_L": _GREEN, "Parotid_R": _MINT, "Cavity_Oral": _VIOLET,
    "Larynx": _CYAN, "Esophagus": _PERIWINKLE, "Bone_Mandible": _TAN,
}  # fmt: skip
_TARGETS = (_RED, _ORANGE, _YELLOW, _MAGENTA, _PINK, _BROWN)
_ORGANS = (_CYAN, _PERIWINKLE, _TAN, _BLUE, _VIOLET, _GREEN, _MINT, _SKY, _PURPLE, _SEA, _OLIVE, _LILAC)

PASS, FAIL = "#1B6FB5", "#C8321F"
"""Verdicts: blue and vermilion, apart for every colour vision; the word always stands beside the colour."""

DOSE_COLORS: dict[float, str] = {
    10: "#1B2A8C",
    20: "#2563EB",
    35: "#19AEE0",
    50: "#12C29A",
    65: "#63D13B",
    80: "#F0E51D",
    95: "#FF9A12",
    100: "#F2331D",
    105: "#C4107F",
    110: "#FFA6F2",
}
"""Colour by % of the prescription, of observation images: most of the contrast from 80 % up; pictures have `bands`."""

WASH_FROM_PERCENT = min(DOSE_COLORS)
WASH_TO_PERCENT = max(DOSE_COLORS)


def structure_colors(names: Iterable[str]) -> dict[str, str]:
    """Return the colour of each structure as "#RRGGBB".

    A name of the protocols always has the same colour. Another takes one of its kind (target or organ) that
    is still free among `names`, beginning from a place that depends on the name alone.
    """
    names = tuple(names)
    colors = {name: _BY_NAME[name] for name in names if name in _BY_NAME}
    for name in sorted(set(names) - set(colors)):
        choices: tuple[str, ...] = _TARGETS if is_target(name) else _ORGANS
        stable_hash = zlib.crc32(name.encode())  # `hash` of a string differs between processes
        start = choices.index(_BY_NAME[name[:3]]) if is_target(name) else stable_hash % len(choices)
        rotated = choices[start:] + choices[:start]
        colors[name] = next((c for c in rotated if c not in colors.values()), rotated[0])
    return {name: colors[name] for name in names}


def drawing_order(names: Iterable[str]) -> list[str]:
    """Return names as legends list them: PTVs, CTVs, GTVs by falling dose level, organs by name, the body."""

    def key(name: str) -> tuple[int, float, str]:
        if not is_target(name):
            return (9 if name == "Body" else 8), 0.0, name
        level = name.rpartition("_")[2]
        return "PICG".index(name[0]), -float(level) if level.isdigit() else -1e5, name

    return sorted(names, key=key)


@cache
def dose_colormap() -> LinearSegmentedColormap:
    """Return the colormap of `DOSE_COLORS`; 0 is `WASH_FROM_PERCENT`, 1 is `WASH_TO_PERCENT`."""
    span = WASH_TO_PERCENT - WASH_FROM_PERCENT
    stops = [((percent - WASH_FROM_PERCENT) / span, color) for percent, color in sorted(DOSE_COLORS.items())]
    return LinearSegmentedColormap.from_list("radplan_dose", stops, N=512)


@cache
def dose_lut() -> NDArray[np.float32]:
    """Return the same colormap as a table, shape (256, 3), values 0..1."""
    table = dose_colormap()(np.linspace(0, 1, 256))[:, :3].astype(np.float32)
    table.setflags(write=False)
    return table


def rgb(color: str) -> NDArray[np.float32]:
    """Return "#RRGGBB" as an array, shape (3,), values 0..1."""
    return np.asarray(to_rgb(color), np.float32)


def soft_tissue(ct_hu: NDArray[Any]) -> NDArray[np.float32]:
    """Return CT numbers as grey 0..1 in the soft-tissue window (level 40 HU, width 400 HU)."""
    return np.clip((ct_hu + np.float32(160)) / np.float32(400), 0, 1).astype(np.float32)
