"""The patient in a CT that also shows couch, headrest and mask; slices along the last axis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from radplan_env.errors import CaseError

_TISSUE_HU = -400.0
_OPENING_MM = 8.0
"""Couch and mask touch the skin along thinner bridges; twice this is the widest breach of a closed cavity."""
_SOFT_TISSUE_HU = (-200.0, 200.0)
_SMALLEST_PIECE_CC = 5.0
_IN_PLANE = ndimage.generate_binary_structure(2, 1)[..., np.newaxis]

Mask = NDArray[np.bool_]


def body_mask(
    ct_hu: NDArray[np.floating], patient: Mask, voxel_size_mm: Sequence[float], cut_out: Mask | None = None
) -> Mask:
    """The patient without couch and immobilisation, air cavities filled.

    Filled tissue is opened slice by slice, so that couch and mask touching the skin part from it. The piece
    that holds most of `patient` is the patient; further pieces of soft tissue belong to it (shoulders, where
    the scan ends above the place at which they join the neck). All are grown back to their own surface.

    Parameters
    ----------
    ct_hu
        CT numbers in HU.
    patient
        Voxels known to lie in the patient for the most part.
    voxel_size_mm
        Voxel size along each axis.
    cut_out
        Voxels inside the patient that lack their CT number.

    Raises
    ------
    CaseError
        If there is no tissue where the patient should be.
    """
    radius = max(1, round(_OPENING_MM / min(voxel_size_mm[:2])))
    filled = fill_cavities(ct_hu > _TISSUE_HU if cut_out is None else (ct_hu > _TISSUE_HU) | cut_out)
    pieces, count = ndimage.label(ndimage.binary_erosion(filled, _IN_PLANE, radius))
    shares = np.bincount(pieces[patient], minlength=count + 1)
    shares[0] = 0
    if not shares.any():
        raise CaseError(f"no body found in the CT: no tissue above {_TISSUE_HU:g} HU")
    smallest = _SMALLEST_PIECE_CC * 1000 / np.prod(voxel_size_mm)
    large = np.flatnonzero(np.bincount(pieces.ravel()) >= smallest)[1:]
    low, high = _SOFT_TISSUE_HU
    soft = [piece for piece in large if low < np.median(ct_hu[pieces == piece]) < high]
    kept = np.isin(pieces, [np.argmax(shares), *soft])
    body: Mask = ndimage.binary_dilation(kept, _IN_PLANE, radius, mask=filled)
    return close_breaches(body, radius)


def fill_cavities(mask: Mask) -> Mask:
    """The mask with what it encloses in a slice."""
    slices = [ndimage.binary_fill_holes(s) for s in np.moveaxis(mask, -1, 0)]
    return np.moveaxis(np.array(slices), 0, -1)


def close_breaches(mask: Mask, radius: int) -> Mask:
    """The mask with cavities that open to the outside by less than twice a radius, such as a mouth ajar."""
    wide = ndimage.binary_dilation(mask, _IN_PLANE, radius)
    cavities = ndimage.binary_dilation(fill_cavities(wide) & ~wide, _IN_PLANE, radius, mask=~mask)
    return fill_cavities(mask | cavities)
