"""CT numbers: what each tissue looks like, painted from the outside in.

Adipose tissue has -90 to -120 HU, muscle +40 to +80, urine -5 to +15, cancellous bone +100 to +400, cortical
bone +500 and more (tables of Hounsfield units in radiology texts; cortex thinner than a voxel reads lower).
Edges are blurred over EDGE_MM like a CT's, whatever the voxel size.
"""

from __future__ import annotations

import numpy as np

from radplan_env.sources._pelvis.anatomy import Anatomy
from radplan_env.sources._pelvis.model import Pelvis
from radplan_env.sources._pelvis.organs import RectalCourse
from radplan_env.sources._pelvis.shapes import Array, Points, ellipsoid, intersection, union

AIR, GAS, FAT, MUSCLE, GLAND, URINE, WALL, STOOL, BOWEL = -1000, -880, -100, 52, 40, 5, 36, 38, 28
CORTEX, SPONGE, HEAD_SPONGE, MARROW = 720, 170, 270, 20
EDGE_MM = 2.0
TEXTURE_HU = 7.0


def paint(anatomy: Anatomy, points: Points, pelvis: Pelvis) -> Array:
    """The CT in whole HU, as scanners store it."""
    ct = np.full(points.shape, AIR, dtype=np.float32)
    _fill(ct, pelvis.body, FAT)
    _fill(ct, pelvis.muscle, _muscle(anatomy, points))
    _fill(ct, _cavity(anatomy, points, pelvis), _cavity_contents(anatomy, points))
    _fill(ct, _levator(anatomy, points, pelvis), MUSCLE)
    _fill(ct, _perineal_muscle(anatomy, points), MUSCLE)
    _fill(ct, pelvis.pelvic_bone, _bone(pelvis.pelvic_bone, SPONGE, 2.5))
    shaft = np.clip((points.z + 45.0) / 30.0, 0, 1)
    sponge = MARROW + shaft * (SPONGE - MARROW)
    head = np.clip(0.7 - pelvis.femoral_heads / 16.0, 0, 1)
    sponge = sponge + head * (HEAD_SPONGE - sponge)
    _fill(ct, pelvis.femora, _bone(pelvis.femora, sponge, 2.0 + 3.5 * (1 - shaft)))
    _fill(ct, pelvis.vesicles, GLAND - 12)
    _fill(ct, pelvis.prostate, GLAND)
    _fill(ct, pelvis.bladder, WALL)
    _fill(ct, pelvis.bladder + 3.0, URINE)
    _fill(ct, pelvis.rectum, WALL)
    _fill(ct, pelvis.rectum + 3.0, STOOL + 18 * anatomy.wobble["bowel"](points))
    _fill(ct, _gas(anatomy, points, pelvis.rectum), GAS)
    texture = np.clip(anatomy.wobble["texture"](points), -2.5, 2.5) * TEXTURE_HU
    ct += np.where(pelvis.body < 0, texture, 0)
    whole: Array = np.rint(np.maximum(ct, AIR)) + np.float32(0)  # no negative zeros: they are bytes too
    return whole


def _fill(ct: Array, shape: Array, hu: Array | float) -> None:
    inside = np.clip(0.5 - shape / EDGE_MM, 0, 1)
    ct += inside * (hu - ct)


def _muscle(anatomy: Anatomy, points: Points) -> Array:
    """Muscle bellies with sheets of fat between them, thick here and thin there."""
    sheet = np.abs(anatomy.wobble["muscle"](points))
    thickness = np.clip(0.09 + 0.09 * anatomy.wobble["bowel"](points), 0.02, 0.5)
    muscle: Array = MUSCLE - (MUSCLE - FAT) * np.clip(1.2 - sheet / thickness, 0, 1)
    return muscle


def _cavity(anatomy: Anatomy, points: Points, pelvis: Pelvis) -> Array:
    """The space between the pelvic walls: narrow in the perineum, wide above the brim."""
    s, z = anatomy.bone_scale, points.z.astype(np.float64)
    above = 0.5 * (1 + np.tanh((z - 45.0) / 25.0))
    perineum = 0.5 * (1 - np.tanh((z + 40.0) / 20.0))
    width = s * (42.0 + 44.0 * above - 33.0 * perineum)
    front = anatomy.symphysis_y - 22.0 * above + 48.0 * perineum
    back = anatomy.symphysis_y + s * 98.0 - 20.0 * above + 12.0 * perineum
    center, half = (front + back) / 2, (back - front) / 2
    level = np.sqrt((points.x / width) ** 2 + ((points.y - center) / half) ** 2)
    space = ((level - 1) * np.minimum(width, half)).astype(np.float32)
    bone = np.minimum(pelvis.pelvic_bone, pelvis.femora)
    return intersection(space, 6.0 - bone, 8.0)


def _cavity_contents(anatomy: Anatomy, points: Points) -> Array:
    """Fat with vessels below, loops of bowel above."""
    field = anatomy.wobble["bowel"](points)
    above = np.clip((points.z - 45.0) / 30.0, 0, 1)
    loops = np.clip((field + 0.7 * (2 * above - 1)) / 0.35, 0, 1) * above
    vessels = np.clip((field - 1.5) / 0.3, 0, 1) * (1 - above)
    contents: Array = FAT + np.maximum(loops, vessels) * (BOWEL - FAT)
    return contents


def _levator(anatomy: Anatomy, points: Points, pelvis: Pelvis) -> Array:
    """The sheet of muscle that holds the prostate and the rectum between them, open in front."""
    rz, ry, _ = anatomy.prostate_radii
    sheet = np.abs(union(pelvis.prostate, pelvis.rectum, 12.0) - 5.0) - 2.0
    beyond = np.maximum(points.z - 0.4 * rz, -0.6 * ry - points.y)
    return intersection(sheet, beyond, 3.0)


def _perineal_muscle(anatomy: Anatomy, points: Points) -> Array:
    """Urethral sphincter, bulb and the sling around the anal canal, below the apex of the prostate."""
    below = points.moved(z=-anatomy.prostate_radii[0] - 22.0, y=0.4 * anatomy.prostate_radii[1])
    shape = ellipsoid(below.z, below.y - 0.35 * np.abs(below.z), below.x, (24.0, 30.0, 22.0))
    return shape + 2.5 * anatomy.wobble["bowel"](points)


def _bone(shape: Array, sponge: Array | float, cortex_mm: Array | float) -> Array:
    """A shell of cortical bone around cancellous bone."""
    depth = np.clip((-shape - cortex_mm) / 2.0 + 0.5, 0, 1)
    bone: Array = CORTEX + depth * (sponge - CORTEX)
    return bone


def _gas(anatomy: Anatomy, points: Points, rectum: Array) -> Array:
    """Gas rises to the front of the lumen of a patient on his back, in a pocket of limited length."""
    if anatomy.rectal_gas == 0:
        return np.ones(points.shape, dtype=np.float32)
    course = RectalCourse.of(anatomy)
    z = np.clip(points.z, *course.ends)
    level = course.y(z) + (2 * anatomy.rectal_gas - 1) * course.depth(z)
    front = (points.y - level).astype(np.float32)
    length = 25.0 + 40.0 * anatomy.rectal_gas
    pocket = np.abs(points.z - 0.35 * course.ends[1]) - length / 2
    return intersection(intersection(rectum + 3.5, front, 2.0), pocket, 8.0)
