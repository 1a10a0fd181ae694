"""All shapes of one anatomy, on one mesh."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from radplan_env.sources._pelvis import organs, skeleton
from radplan_env.sources._pelvis.anatomy import Anatomy
from radplan_env.sources._pelvis.outline import abdominal_wall, outline, reach
from radplan_env.sources._pelvis.shapes import Array, Box, Points

SCATTER_MM = 62.0
"""A CT reaches this far beyond the PTV along the patient, so that no beam's scatter is cut off."""
AIR_MM = 10.0
"""Air around the body, and tissue above the bladder, within the CT."""
BONE_CLEARANCE_MM = 3.0
"""Between an organ and the nearest bone."""
JOINT_SPACE_MM = 2.5
"""Between the femoral head and its socket."""
WALL_MM = 7.0
"""Muscle between the bladder and bone or subcutaneous fat."""
SKIN_MM = 8.0
"""Between bone and the surface of the body."""
FAR_MM = 1e3
"""Distance given to points outside the box in which an organ is evaluated."""


@dataclass(frozen=True)
class Pelvis:
    """Signed distances in mm, negative inside, all of the shape of the mesh."""

    body: Array
    muscle: Array  # the body less its subcutaneous fat
    prostate: Array
    vesicles: Array
    ctv: Array
    ptv: Array
    rectum: Array
    bladder: Array
    pelvic_bone: Array
    femora: Array
    femoral_heads: Array

    @classmethod
    def of(cls, anatomy: Anatomy, points: Points) -> Pelvis:
        """The shapes of an anatomy; soft organs are evaluated where they can be only."""

        def near(box: Box, shape: Callable[[Points], Array]) -> Array:
            where, part = points.within(box)
            distance = np.full(points.shape, FAR_MM, dtype=np.float32)
            distance[where] = shape(part)
            return distance

        target_box, pelvic_box = organs.target_box(anatomy), _pelvic_box(anatomy)
        body = outline(anatomy, points)
        muscle = outline(anatomy, points, anatomy.fat_share)
        prostate = near(target_box, lambda p: organs.prostate(anatomy, p))
        vesicles = near(target_box, lambda p: organs.seminal_vesicles(anatomy, p))
        rectum = near(pelvic_box, lambda p: organs.rectum(anatomy, p))

        frame = skeleton.in_pelvic_frame(anatomy, points)
        femoral_heads = skeleton.femoral_head(anatomy, frame.folded())
        rough = 0.9 * anatomy.wobble["bone"](points)
        femora = np.minimum(skeleton.femur(anatomy, frame.folded()) + rough, femoral_heads)
        soft = np.minimum(rectum, np.minimum(prostate, vesicles))
        taken = np.maximum(JOINT_SPACE_MM - femora, np.maximum(BONE_CLEARANCE_MM - soft, body + SKIN_MM))
        bone = np.maximum(skeleton.pelvic_bone(anatomy, frame) + rough, taken)

        walls = np.minimum(np.minimum(bone, -muscle), abdominal_wall(anatomy, points)) - WALL_MM
        where, _ = points.within(pelvic_box)
        return cls(
            body=body,
            muscle=muscle,
            prostate=prostate,
            vesicles=vesicles,
            ctv=near(target_box, lambda p: organs.ctv(anatomy, p)),
            ptv=near(target_box, lambda p: organs.ptv(anatomy, p)),
            rectum=rectum,
            bladder=near(pelvic_box, lambda p: organs.bladder(anatomy, p, walls[where])),
            pelvic_bone=bone,
            femora=femora,
            femoral_heads=femoral_heads,
        )


def extent(anatomy: Anatomy) -> Box:
    """Two corners (z, y, x) of the volume a CT of this anatomy covers."""
    low, high = organs.target_box(anatomy)
    z = np.arange(low[0], high[0], 1.0)
    mesh = Points.mesh(z, np.arange(low[1], high[1], 2.0), np.arange(low[2], high[2], 2.0))
    target = z[(organs.ctv(anatomy, mesh) < 0).any(axis=(1, 2))]
    beyond = anatomy.margin + SCATTER_MM
    top = max(target.max() + beyond, organs.BladderForm.of(anatomy).top + AIR_MM)
    front, back, side = reach(anatomy)
    return (
        (float(target.min() - beyond), -front - AIR_MM, -side - AIR_MM),
        (float(top), back + AIR_MM, side + AIR_MM),
    )


def _pelvic_box(anatomy: Anatomy) -> Box:
    front, back, _ = reach(anatomy)
    return (-120.0, -front, -85.0), (200.0, back, 85.0)
