"""The skin and the layer of fat under it."""

from __future__ import annotations

import math

import numpy as np

from radplan_env.sources._pelvis.anatomy import Anatomy
from radplan_env.sources._pelvis.shapes import Array, Points

# Outer faces of the bony pelvis in its own frame: trochanters, front of the symphysis, back of the sacrum.
_TROCHANTER, _SYMPHYSIS, _SACRUM = 154.0, -26.0, 128.0


def outline(anatomy: Anatomy, points: Points, depth_share: float = 0.0) -> Array:
    """Distance to the surface that lies `depth_share` of the soft tissue below the skin.

    The cross-section is a superellipse, rounder in front than behind where the patient lies on the couch,
    with groins, a gluteal cleft, and a girth that changes along z.
    """
    s, keep = anatomy.bone_scale, 1.0 - depth_share
    z, y, x = (axis.astype(np.float64) for axis in (points.z, points.y, points.x))
    hips = np.exp(-(((z + 15.0) / 75.0) ** 2))
    half_width = s * _TROCHANTER - 22.0 * (1 - hips) + keep * anatomy.soft_lateral
    belly = anatomy.belly * 0.5 * (1 + np.tanh((z - 35.0) / 30.0)) - 7.0 * np.exp(-(((z - 22.0) / 22.0) ** 2))
    front = -(anatomy.symphysis_y + s * _SYMPHYSIS) + keep * (anatomy.soft_anterior + belly)
    groin = np.exp(-(((np.abs(x) - 78.0 * s) / 24.0) ** 2)) * 0.5 * (1 - np.tanh((z - 8.0) / 25.0))
    lumbar = 9.0 * 0.5 * (1 + np.tanh((z - 70.0) / 20.0))
    back = anatomy.symphysis_y + s * _SACRUM + keep * (anatomy.soft_posterior - lumbar)
    cleft = np.exp(-((x / 4.5) ** 2)) * 0.5 * (1 - np.tanh((z - 40.0) / 20.0))
    depth = np.where(y < 0, front - keep * 10.0 * groin, back - keep * anatomy.cleft * cleft)
    power = np.where(y < 0, anatomy.squareness, 4.5)
    across, along = np.abs(x / half_width), np.abs(y / depth)
    level = (across**power + along**power) ** (1 / power) + 1e-6
    slope = np.hypot((across / level) ** (power - 1) / half_width, (along / level) ** (power - 1) / depth)
    distance: Array = ((level - 1) / slope).astype(np.float32)
    return distance + 1.8 * anatomy.wobble["body"](points)


def reach(anatomy: Anatomy) -> tuple[float, float, float]:
    """How far the skin extends from the prostate to the front, to the back and to either side, at most."""
    s = anatomy.bone_scale
    front = -(anatomy.symphysis_y + s * _SYMPHYSIS) + anatomy.soft_anterior + max(anatomy.belly, 0.0)
    back = anatomy.symphysis_y + s * _SACRUM + anatomy.soft_posterior
    return front, back, s * _TROCHANTER + anatomy.soft_lateral


def abdominal_wall(anatomy: Anatomy, points: Points) -> Array:
    """Distance behind the wall that rises forward from the upper edge of the symphysis."""
    slope = 0.8
    rise = np.maximum(points.z - (anatomy.symphysis_z + 12.0 * anatomy.bone_scale), 0)
    wall = anatomy.symphysis_y - 6.0 - slope * rise + points.x**2 / 160.0
    distance: Array = (points.y - wall) / math.hypot(1, slope)
    return distance
