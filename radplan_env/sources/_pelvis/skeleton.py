"""The bony pelvis and the proximal femora, as signed distances.

Landmarks are in mm from the back of the symphysis (superior, posterior, lateral) for a pelvis of scale 1.
"""

from __future__ import annotations

import numpy as np
from scipy.interpolate import PchipInterpolator

from radplan_env.sources._pelvis.anatomy import Anatomy
from radplan_env.sources._pelvis.shapes import (
    Array,
    Points,
    ball,
    ellipse,
    intersection,
    plate,
    tube,
    union,
)

Landmark = tuple[float, float, float]


def in_pelvic_frame(anatomy: Anatomy, points: Points) -> Points:
    """The mesh as seen from the symphysis of a pelvis of scale 1 that lies straight (small angles)."""
    moved, s = points.moved(anatomy.symphysis_z, anatomy.symphysis_y), anatomy.bone_scale
    roll, yaw = np.deg2rad(anatomy.bone_turn_deg).astype(np.float32)
    return Points((moved.z + roll * moved.x) / s, (moved.y + yaw * moved.x) / s, moved.x / s)


def hip_center(anatomy: Anatomy) -> Landmark:
    """The hip joint in the pelvic frame, lateral side positive."""
    s = anatomy.bone_scale
    return anatomy.hip_z, anatomy.hip_y, anatomy.hip_lateral / s


def femoral_head(anatomy: Anatomy, frame: Points) -> Array:
    """The ball of the hip on the side where x is positive."""
    radius = anatomy.femoral_head_diameter / 2 / anatomy.bone_scale
    return ball(frame, hip_center(anatomy), radius)


def femur(anatomy: Anatomy, frame: Points) -> Array:
    """Head, neck, trochanters and shaft."""
    hip = hip_center(anatomy)
    neck_end = _from(hip, -24.0, 8.0, 42.0)
    neck = tube(frame, [hip, neck_end], [13.5, 16.0])
    trochanter = tube(frame, [_from(neck_end, 12.0, 4.0, 6.0), _from(neck_end, -22.0, 0.0, 3.0)], [12.0, 17.0])
    lesser = ball(frame, _from(neck_end, -34.0, 6.0, -12.0), 8.0)
    shaft = tube(frame, [_from(neck_end, -20.0, 0.0, 2.0), _from(neck_end, -140.0, -10.0, -14.0)], [16.5, 14.0])
    proximal = union(union(neck, trochanter, 12.0), union(shaft, lesser, 10.0), 12.0)
    return union(femoral_head(anatomy, frame), proximal, 8.0)


def sacrum(frame: Points) -> Array:
    """Sacrum and coccyx: a curved wedge, concave in front."""
    z = np.array([6.0, 25.0, 50.0, 80.0, 110.0, 140.0])
    front = np.array([88.0, 101.0, 107.0, 102.0, 84.0, 60.0])
    depth = np.array([4.0, 6.0, 9.0, 13.0, 19.0, 24.0])
    width = np.array([7.0, 11.0, 26.0, 44.0, 54.0, 50.0])
    level = np.clip(frame.z, z[0], z[-1])
    y0, ry, rx = (PchipInterpolator(z, v)(level).astype(np.float32) for v in (front + depth, depth, width))
    slope = PchipInterpolator(z, front).derivative()(level).astype(np.float32)
    across = ellipse(frame.y - y0, frame.x, (ry, rx))
    return intersection(across / np.sqrt(1 + slope**2), float(z[0]) - frame.z, 6.0)


def hip_bone(anatomy: Anatomy, frame: Points) -> Array:
    """Pubis, ischium and ilium on the side where x is positive, with the socket of the hip."""
    hip = hip_center(anatomy)
    pubis = union(
        tube(frame, [(17.0, -17.0, 8.0), (-17.0, -9.0, 8.0)], [9.0, 9.0]),
        tube(frame, [(15.0, -14.0, 18.0), (-12.0, -6.0, 17.0)], [8.0, 7.0]),
        8.0,
    )
    upper_ramus = tube(frame, [(16.0, -16.0, 14.0), (22.0, -6.0, 42.0), _from(hip, 4.0, -18.0, -18.0)], [8.5, 7.0, 9.0])
    lower_ramus = tube(frame, [(-18.0, -8.0, 14.0), (-38.0, 16.0, 36.0), (-54.0, 38.0, 52.0)], [7.0, 5.5, 8.0])
    ischium = tube(
        frame,
        [_from(hip, 4.0, 20.0, -12.0), _from(hip, -24.0, 23.0, -22.0), (-50.0, 44.0, 56.0)],
        [12.0, 13.0, 15.0],
    )
    spine = tube(frame, [_from(hip, 2.0, 26.0, -22.0), _from(hip, -2.0, 40.0, -42.0)], [9.0, 3.0])
    # The two faces of the iliac blade: from the roof of the socket to the sacroiliac joint and the wing.
    roof_back, roof_front = _from(hip, 32.0, 20.0, -14.0), _from(hip, 30.0, -12.0, 2.0)
    joint, wing = (112.0, 96.0, 58.0), (122.0, -4.0, 124.0)
    blade = np.minimum(plate(frame, [roof_back, joint, wing], 13.0), plate(frame, [roof_back, roof_front, wing], 15.0))
    column = tube(frame, [_from(hip, 28.0, 12.0, -10.0), (66.0, 78.0, 62.0), joint], [14.0, 9.0, 11.0])
    wall = ball(frame, hip, anatomy.femoral_head_diameter / 2 / anatomy.bone_scale + 10.0)
    # The socket opens sideways, downwards and a little forward.
    p = frame.moved(*hip)
    opening = 0.80 * p.x - 0.50 * p.z - 0.30 * p.y
    socket = intersection(wall, opening - 4.0, 5.0)
    bone = union(pubis, upper_ramus, 8.0)
    for part in (lower_ramus, ischium, spine, column):
        bone = union(bone, part, 8.0)
    return union(union(bone, blade, 12.0), socket, 8.0)


def pelvic_bone(anatomy: Anatomy, frame: Points) -> Array:
    """Both hip bones and the sacrum, with the cleft of the symphysis."""
    side = frame.folded()
    hips = np.maximum(hip_bone(anatomy, side), 2.0 - side.x)
    bone: Array = np.minimum(hips, sacrum(frame))
    return bone


def _from(landmark: Landmark, superior: float, posterior: float, lateral: float) -> Landmark:
    z, y, x = landmark
    return z + superior, y + posterior, x + lateral
