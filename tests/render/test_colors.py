import itertools

import numpy as np
import pytest

from radplan_env.protocol import available_protocols, load_protocol
from radplan_env.render.bands import CHANGE, DOSE
from radplan_env.render.colors import (
    drawing_order,
    rgb,
    soft_tissue,
    structure_colors,
)

# Dichromacy as linear-RGB matrices: Machado, Oliveira & Fernandes 2009, Table 1, severity 1.
VISION = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def lab(color, vision):
    """CIELAB (D65) of an sRGB colour as an eye sees it."""
    srgb = rgb(color).astype(float)
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    t = XYZ @ np.clip(VISION[vision] @ linear, 0, 1) / (0.95047, 1, 1.08883)
    f = np.where(t > 0.008856, np.cbrt(t), 7.787 * t + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("protocol", available_protocols())
def test_structures_of_a_protocol_are_distinct_for_every_eye(protocol, vision):
    colors = structure_colors(load_protocol(protocol).slots)
    for (a, color_a), (b, color_b) in itertools.combinations(colors.items(), 2):
        difference = np.linalg.norm(lab(color_a, vision) - lab(color_b, vision))
        assert difference > 12, f"{a} and {b} look alike"


def test_targets_are_warm_and_organs_are_not_red():
    protocol = load_protocol("head_and_neck")
    colors = structure_colors(protocol.slots)
    for target in protocol.targets:
        red, _, blue = rgb(colors[target.structure])
        assert red > blue
    for organ in protocol.organs:
        red, green, blue = rgb(colors[organ.structure])
        assert red < 1.5 * max(green, blue)


def test_unknown_structures_get_free_colours_that_do_not_depend_on_order():
    names = ["Body", "Bladder", "Rectum", "PenileBulb", "Colon_Sigmoid", "CTV_6000", "GTV_8000"]
    colors = structure_colors(names)
    assert len(set(colors.values())) == len(names)
    assert structure_colors(names[::-1]) == colors
    assert list(colors) == names


def test_drawing_order_puts_targets_first_by_dose_and_the_body_last():
    names = ["Body", "Rectum", "CTV_7020", "PTV_5600", "Bladder", "PTV_7000", "PTV"]
    assert drawing_order(names) == ["PTV", "PTV_7000", "PTV_5600", "CTV_7020", "Bladder", "Rectum", "Body"]


@pytest.mark.parametrize("protocol", available_protocols())
@pytest.mark.parametrize("bands", [DOSE, CHANGE], ids=["dose", "change"])
def test_no_contour_looks_like_a_band(protocol, bands):
    colors = structure_colors(load_protocol(protocol).slots)
    for name, color in colors.items():
        for band in filter(None, bands.colors):
            assert np.linalg.norm(lab(color, "normal") - lab(band, "normal")) > 15, (name, band)


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("bands", [DOSE, CHANGE], ids=["dose", "change"])
def test_neighbouring_bands_are_distinct_for_every_eye(bands, vision):
    colors = [color for color in bands.colors if color]
    for color, neighbour in itertools.pairwise(colors):
        assert np.linalg.norm(lab(color, vision) - lab(neighbour, vision)) > 12


def test_a_value_has_the_colour_of_its_band():
    assert DOSE.rgba(np.array([19.9]))[0, 3] == 0
    for percent, color in zip(DOSE.lines, DOSE.colors, strict=True):
        assert DOSE.rgba(np.array(percent + 0.1))[:3] == pytest.approx(rgb(color), abs=0.01)
    assert CHANGE.rgba(np.array(0.5))[3] == 0
    assert CHANGE.rgba(np.array(-99.0))[:3] == pytest.approx(rgb(CHANGE.colors[0]), abs=0.01)


def test_soft_tissue_window_is_level_40_width_400():
    assert soft_tissue(np.array([-1000.0, -160.0, 40.0, 240.0, 3000.0])) == pytest.approx([0, 0, 0.5, 1, 1])
