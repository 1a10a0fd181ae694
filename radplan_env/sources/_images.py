"""SimpleITK images as arrays in (z, y, x) of patient LPS."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from radplan_env.errors import CaseError
from radplan_env.grid import Grid

if TYPE_CHECKING:
    import SimpleITK


def to_lps(image: SimpleITK.Image, dtype: DTypeLike = None) -> tuple[NDArray[Any], Grid]:
    """Voxels and grid of an image whose axes run along those of the patient, in any order and direction.

    Parameters
    ----------
    dtype
        Of the voxels; the image's own by default.

    Raises
    ------
    CaseError
        If the axes are oblique, as with a tilted gantry.
    """
    import SimpleITK as sitk

    image = sitk.DICOMOrient(image, "LPS")
    if not np.allclose(image.GetDirection(), np.eye(3).ravel(), atol=1e-3):
        raise CaseError("the image axes are oblique to the patient (tilted gantry?): resample it to axial slices")
    size, spacing, origin = image.GetSize(), image.GetSpacing(), image.GetOrigin()
    grid = Grid(tuple(reversed(size)), tuple(reversed(spacing)), tuple(reversed(origin)))
    return np.array(sitk.GetArrayViewFromImage(image), dtype), grid


def content_id(ct_hu: NDArray[Any]) -> str:
    """Eight hex digits that name a CT by its voxels and nothing else."""
    return hashlib.sha256(np.ascontiguousarray(ct_hu, np.float32).tobytes()).hexdigest()[:8]
