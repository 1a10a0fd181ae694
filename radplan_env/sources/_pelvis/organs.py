"""Prostate, seminal vesicles, rectum and bladder, and the targets drawn around them, as signed distances.

The soft organs are built in the order in which they give way to one another: the prostate stays, the rectum
lies against its back, and the bladder rests on both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator

from radplan_env.sources._pelvis.anatomy import Anatomy
from radplan_env.sources._pelvis.shapes import (
    Array,
    Box,
    Points,
    either_side,
    ellipse,
    ellipsoid,
    intersection,
    redistanced,
    rotated,
    tube,
    union,
)

SEPARATION_MM = 0.3
"""Least distance between two organs: they touch, but no voxel belongs to both."""


def prostate(anatomy: Anatomy, points: Points) -> Array:
    """A chestnut: broad at the base, tapered to the apex, flat with a shallow groove at the back."""
    rz, ry, rx = anatomy.prostate_radii
    z, y = rotated(points.z, points.y, anatomy.prostate_tilt_deg)
    rise = np.tanh(z / rz, dtype=np.float64)
    depth = either_side(y, 1.14 * ry, 0.86 * ry) * (1 + 0.10 * rise)
    groove = 1.5 * np.exp(-((points.x / 7) ** 2), dtype=np.float64).astype(np.float32) * (y > 0)
    shape = ellipsoid(z, y, points.x, (rz, depth, rx * (1 + 0.22 * rise)))
    irregular: Array = shape + groove + 1.4 * anatomy.wobble["prostate"](points)
    return irregular


def back_of_prostate(anatomy: Anatomy, z: float) -> float:
    """Where the prostate ends posteriorly, in the midline."""
    y = np.arange(0.0, 60.0, 0.25)
    inside = prostate(anatomy, Points.mesh([z], y, [0.0])).ravel() < 0
    return float(y[inside].max(initial=0.0))


def seminal_vesicles(anatomy: Anatomy, points: Points, depth: float = math.inf) -> Array:
    """Two horns that leave the back of the base and run up, back and sideways behind the bladder.

    `depth` cuts them off at that distance from the gland, in mm along the horn.
    """
    rz, _, _ = anatomy.prostate_radii
    buried, radius = 3.0, anatomy.vesicle_radius
    root = np.array([0.80 * rz, back_of_prostate(anatomy, 0.75 * rz) - buried, 3.0])
    horns = []
    for length, side in zip(anatomy.vesicle_length, (points.mirrored(), points), strict=True):
        # A quadratic Bezier curve, upwards first; the tube's round end adds its radius to the length.
        tip = root + np.array([anatomy.vesicle_lift, 6.0, 0.62 * length])
        bend = root + np.array([0.7 * anatomy.vesicle_lift, 4.0, 0.25 * length])
        share = float(np.clip((depth + buried - radius) / np.linalg.norm(tip - root), 0.02, 1.0))
        t = np.linspace(0, share, 6)[:, None]
        path = (1 - t) ** 2 * root + 2 * t * (1 - t) * bend + t**2 * tip
        horns.append(tube(side, path, radius * np.interp(t.ravel(), [0, 0.5, 1], [1.0, 1.0, 0.65])))
    return union(horns[0], horns[1], 3.0) + 0.5 * anatomy.wobble["vesicles"](points)


def target_box(anatomy: Anatomy) -> Box:
    """A box that holds prostate, seminal vesicles and targets."""
    rz, ry, rx = anatomy.prostate_radii
    return (-rz - 20.0, -ry - 20.0, -rx - 30.0), (rz + 45.0, ry + 35.0, rx + 30.0)


def ctv(anatomy: Anatomy, points: Points) -> Array:
    """The prostate with the proximal part of the seminal vesicles, if any."""
    if anatomy.vesicle_in_ctv == 0:
        return prostate(anatomy, points)
    proximal = seminal_vesicles(anatomy, points, anatomy.vesicle_in_ctv)
    return union(prostate(anatomy, points), proximal, 5.0)


def ptv(anatomy: Anatomy, points: Points) -> Array:
    """The CTV with its margin, less posteriorly.

    Grown by a ball whose posterior side is cut: the intersection of the CTV grown by the margin with the
    same thing moved forward by the difference of the two margins.
    """
    distance = redistanced(lambda p: ctv(anatomy, p), target_box(anatomy))
    forward = anatomy.margin - anatomy.margin_posterior
    grown: Array = np.maximum(distance(points), distance(points.moved(y=-forward)))
    return grown - anatomy.margin


@dataclass(frozen=True)
class RectalCourse:
    """The rectum along z: centre of its cross-section and the radii of it."""

    ends: tuple[float, float]
    y: PchipInterpolator
    x: PchipInterpolator
    depth: PchipInterpolator
    width: PchipInterpolator

    @classmethod
    def of(cls, anatomy: Anatomy) -> RectalCourse:
        """From the anal canal behind the apex, along the prostate, back into the sacral hollow, forward."""
        rz = anatomy.prostate_radii[0]
        below, above = anatomy.rectal_ends
        levels = (-0.75 * rz, 0.0, 0.80 * rz)
        # Canal, apex, mid-gland, base, ampulla, top. The canal is held shut by its sphincter.
        z = np.array([-rz - below, *levels, 0.80 * rz + 0.5 * above, 0.80 * rz + above])
        c = anatomy.rectal_calibre
        calibre = np.array([0.78, 0.88, c[0], 1.12 * c[1], 1.12 * c[2], 0.95 * c[3]])
        fine = np.linspace(z[0], z[-1], 200)
        area = np.pi * np.mean(PchipInterpolator(z, calibre)(fine) ** 2)
        radius = calibre * np.sqrt(100 * anatomy.rectal_area_cm2 / area)
        radius[0] = np.clip(radius[0], 9.0, 14.0)
        aspect = np.sqrt(anatomy.rectal_aspect) * np.array([0.95, 0.98, 1.0, 1.03, 1.02, 1.0])
        depth, width = radius / aspect, radius * aspect
        y = np.empty(6)
        for i, (level, gap) in enumerate(zip(levels, anatomy.rectal_gaps, strict=True), start=1):
            y[i] = back_of_prostate(anatomy, level) + gap + depth[i]
        y[0] = y[1] + 0.30 * below
        y[4] = y[3] + anatomy.rectal_hollow
        y[5] = y[4] - 0.28 * above
        sway = anatomy.rectal_sway * np.array([0.0, 0.0, 0.1, 0.35, 1.0, 0.6])
        return cls((float(z[0]), float(z[-1])), *(PchipInterpolator(z, v) for v in (y, sway, depth, width)))


def rectum(anatomy: Anatomy, points: Points) -> Array:
    """A tube that follows the prostate and the sacral curve, cut level at both ends as it is contoured."""
    course = RectalCourse.of(anatomy)
    z = np.clip(points.z, *course.ends)
    y0, x0, depth, width = (f(z).astype(np.float32) for f in (course.y, course.x, course.depth, course.width))
    slope = np.hypot(course.y.derivative()(z), course.x.derivative()(z)).astype(np.float32)
    across = ellipse(points.y - y0, points.x - x0, (depth, width)) / np.sqrt(1 + slope**2)
    low, high = course.ends
    along = np.abs(points.z - (low + high) / 2) - (high - low) / 2
    shape = intersection(across + 0.9 * anatomy.wobble["rectum"](points), along, 3.0)
    return intersection(shape, SEPARATION_MM - _gland(anatomy, points))


@dataclass(frozen=True)
class BladderForm:
    """Centre and radii (z, y, x) of the bladder before it gives way to its neighbours."""

    center: tuple[float, float, float]
    radii: tuple[float, float, float]
    tilt_deg: float

    @classmethod
    def of(cls, anatomy: Anatomy) -> BladderForm:
        """A rounded sac on the base of the prostate, leaning forward."""
        # A large prostate presses more of it away, which rises instead.
        sphere = math.cbrt(3000.0 * (anatomy.bladder_cc + 0.4 * anatomy.prostate_cc) / (4 * math.pi))
        # The pelvic walls and the symphysis limit width and depth: a fuller bladder can only rise.
        rx = min(sphere * anatomy.bladder_breadth, 48.0 * anatomy.bone_scale)
        ry = min(1.05 * sphere, 46.0 * anatomy.bone_scale)
        rz = sphere**3 / (rx * ry)
        lean = math.radians(anatomy.bladder_lean_deg)
        half_height, half_depth, _ = anatomy.prostate_radii
        neck_z, neck_y = (1 - anatomy.bladder_drop) * half_height, -anatomy.bladder_neck * half_depth
        center = neck_z + rz * math.cos(lean), neck_y - 0.9 * ry * math.sin(lean), anatomy.bladder_sway
        return cls(center, (rz, ry, rx), 0.35 * anatomy.bladder_lean_deg)

    @property
    def top(self) -> float:
        """An upper bound of the bladder along z."""
        return self.center[0] + 1.15 * max(self.radii[:2])


def bladder(anatomy: Anatomy, points: Points, walls: Array) -> Array:
    """The bladder, moulded by the prostate below, the rectum behind and the walls (distance given)."""
    form = BladderForm.of(anatomy)
    rz, ry, rx = form.radii
    p = points.moved(*form.center)
    z, y = rotated(p.z, p.y, -form.tilt_deg)
    flat_top = either_side(z, 1.06 * rz, 0.94 * rz)
    shape = ellipsoid(z, y, p.x, (flat_top, ry, rx)) + 2.2 * anatomy.wobble["bladder"](points)
    # The retropubic space keeps it from hanging down in front of the prostate.
    floor = points.z - 0.25 * anatomy.prostate_radii[0]
    shape = intersection(shape, -np.minimum(walls, floor), 16.0)
    neighbours = np.minimum(_gland(anatomy, points), rectum(anatomy, points) - 1.5)
    return intersection(shape, SEPARATION_MM - neighbours, 3.0)


def _gland(anatomy: Anatomy, points: Points) -> Array:
    return union(prostate(anatomy, points), seminal_vesicles(anatomy, points))
