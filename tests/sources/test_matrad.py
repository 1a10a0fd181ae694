import numpy as np
import pytest

from radplan_env.case import CaseError
from radplan_env.sources import matrad


def test_tg119_is_a_target_around_its_core():
    case = matrad.tg119()
    assert case.id == "matrad/TG119" and case.targets == ("PTV_5000",)
    assert set(case.structures) == {"Body", "Core", "PTV_5000"}
    assert case.grid.spacing_mm == (2.5, 3.0, 3.0)
    target, core = case.structures["PTV_5000"], case.structures["Core"]
    assert not (target & core).any()
    # The C: it leaves the core's plane free on one side only, along the anterior-posterior axis.
    columns = target.any(axis=0)
    y, x = np.argwhere(core.any(axis=0)).mean(axis=0).astype(int)
    assert columns[y, :x].any() and columns[y, x + 1 :].any(), "left and right of the core"
    assert columns[:y, x].any() != columns[y + 1 :, x].any(), "open in front or behind"
    assert case.volume_cc("Core") == pytest.approx(30, abs=5)


def test_names_can_be_given_and_the_file_name_tells_nothing(tmp_path):
    from scipy.io import savemat

    cube = np.full((20, 24, 6), -1000.0)  # matRad: (y, x, z)
    cube[4:16, 4:20] = 0.0
    body = np.flatnonzero((cube > -500).ravel(order="F")) + 1
    ptv = np.zeros_like(cube, bool)
    ptv[6:9, 12:16, 3:5] = True
    cells = [
        [0.0, "aussen", "OAR", [body.astype(float)]],
        [1.0, "PTV70", "TARGET", [np.flatnonzero(ptv.ravel(order="F")) + 1.0]],
    ]
    cst = np.empty((2, 6), dtype=object)
    for i, (number, name, kind, voxels) in enumerate(cells):
        inner = np.empty((1,), dtype=object)
        inner[0] = voxels[0].reshape(-1, 1)
        properties = {
            "Priority": 1.0,
            "Visible": 1.0,
            "visibleColor": [1.0, 0.0, 0.0],
            "alphaX": 0.1,
            "betaX": 0.05,
        }
        cst[i, :] = [number, name, kind, inner, properties, np.zeros((0, 0))]
    hu = np.empty((1,), dtype=object)
    hu[0] = cube
    ct = {
        "cubeHU": hu, "resolution": {"x": 2.0, "y": 3.0, "z": 4.0}, "cubeDim": [20.0, 24.0, 6.0], "numOfCtScen": 1.0,
        "x": np.arange(24) * 2.0, "y": np.arange(20) * 3.0, "z": np.arange(6) * 4.0,
    }  # fmt: skip
    file = tmp_path / "Jane_Doe.mat"
    savemat(file, {"ct": ct, "cst": cst})
    case = matrad.load(file, name_map={"aussen": "Body"})
    assert set(case.structures) == {"Body", "PTV_7000"} and case.grid.spacing_mm == (4.0, 3.0, 2.0)
    np.testing.assert_array_equal(np.argwhere(case.structures["PTV_7000"]).min(axis=0), [3, 6, 12])
    assert case.ct_hu[0, 5, 5] == 0.0 and case.ct_hu[0, 0, 0] == -1000.0
    assert "Jane" not in repr(case.id) and case.id.startswith("matrad/")
    with pytest.raises(CaseError, match="Body"):
        matrad.load(file)


@pytest.mark.parametrize("content", [None, b"", b"no patient" * 50])
def test_missing_and_damaged_files_are_named(tmp_path, content):
    file = tmp_path / "patient.mat"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(CaseError, match=r"patient\.mat"):
        matrad.load(file)


def test_a_file_without_structures(tmp_path):
    from scipy.io import savemat

    savemat(tmp_path / "other.mat", {"x": 1.0})
    with pytest.raises(CaseError, match=r"other\.mat"):
        matrad.load(tmp_path / "other.mat")
