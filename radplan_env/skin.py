"""Targets kept from the skin: planned and judged without what lies in the build-up of dose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from radplan_env.case import Case
from radplan_env.distance import depth_mm
from radplan_env.errors import CaseError

Mask = NDArray[np.bool_]

SKIN_MM = 5.0
"""What targets keep from the skin: 3 to 5 mm are usual where no bolus is planned. A 6 MV beam builds its dose up over
15 mm, and a voxel at the surface gets half of it whatever the planner does."""


def cropped_targets(case: Case, names: Sequence[str]) -> Mapping[str, Mask]:
    """Return targets without what lies less than 5 mm under the skin, by name.

    The skin is the outline of the body on each axial slice: air inside the patient and the ends of the scan are none.

    Parameters
    ----------
    case : Case
    names : sequence of str
        Targets, by their names in the case.

    Returns
    -------
    Mapping[str, ndarray of bool, shape (z, y, x)]

    Raises
    ------
    CaseError
        If nothing is left of a target.
    """
    body = np.stack([ndimage.binary_fill_holes(axial) for axial in case.structures["Body"]])
    near_skin = depth_mm(body, np.logical_or.reduce([case.structures[name] for name in names]), case.grid) < SKIN_MM
    cropped = {name: case.structures[name] & ~near_skin for name in names}
    if empty := [name for name, mask in cropped.items() if not mask.any()]:
        raise CaseError(
            f"case {case.id!r}: {', '.join(empty)} lies wholly within {SKIN_MM:g} mm of the skin, where dose "
            "only builds up: plan with a bolus in the body contour, or choose another target"
        )
    return cropped
