"""The problem of FACTS.md: TG-119 as pyRadPlan sets it up, with the optimum known from an independent solve."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from solving import solve

from radplan_env.fluence import Term

KNOWN_OPTIMUM = 546.765
BIXELS = 2226


def pyradplan_problem() -> tuple[sparse.csr_array, list[Term]]:
    """pyRadPlan's own K and objectives: 7 beams, 5 mm bixels, 5 mm dose grid; each voxel in one structure only."""
    import pyRadPlan
    import SimpleITK as sitk

    ct, structures = pyRadPlan.load_tg119()
    plan = pyRadPlan.PhotonPlan(machine="Generic")
    plan.prop_stf = {"gantry_angles": np.linspace(0, 360, 7, endpoint=False), "couch_angles": np.zeros(7)}
    plan.prop_dose_calc = {"dose_grid": {"resolution": {"x": 5.0, "y": 5.0, "z": 5.0}}}
    steering = pyRadPlan.generate_stf(ct, structures, plan)
    dij = pyRadPlan.calc_dose_influence(ct, structures, steering, plan)
    grid = dij.dose_grid
    image = sitk.Image([int(n) for n in grid.dimensions], sitk.sitkUInt8)
    image.SetOrigin([float(v) for v in grid.origin])
    image.SetSpacing([grid.resolution[axis] for axis in "xyz"])
    masks = {
        voi.name: sitk.GetArrayFromImage(
            sitk.Resample(sitk.Cast(voi.mask, sitk.sitkUInt8), image, sitk.Transform(), sitk.sitkNearestNeighbor)
        ).ravel()
        > 0
        for voi in structures.vois
    }
    body = np.flatnonzero(masks["BODY"])
    free = np.ones(body.size, dtype=bool)
    terms = []
    for name, weight, dose in (("OuterTarget", 1000, 50), ("Core", 300, 25), ("BODY", 100, 30)):
        rows = np.flatnonzero(masks[name][body] & free)
        free[rows] = False
        terms.append(Term(name, rows, weight, dose, one_sided=name != "OuterTarget"))
    return sparse.csr_array(dij.physical_dose.flat[0].tocsr()[body]), terms


@pytest.mark.slow
def test_both_backends_reach_the_known_optimum() -> None:
    pytest.importorskip("ipyopt")
    matrix, terms = pyradplan_problem()
    assert matrix.shape[1] == BIXELS
    newton = solve(matrix, terms)
    assert newton.objective == pytest.approx(KNOWN_OPTIMUM, rel=1e-3)
    assert newton.converged
    ipopt = solve(matrix, terms, backend="ipopt")
    assert ipopt.objective == pytest.approx(newton.objective, rel=1e-3)
