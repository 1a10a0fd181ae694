import itertools
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radplan_env.case import Case, CaseError
from radplan_env.structure_names import CohortNames, is_tg263, map_names, naming_problem, standard_name

SHAPE = (6, 8, 10)
ORIENTATIONS = ["".join(o) for axes in itertools.permutations(["SI", "AP", "LR"]) for o in itertools.product(*axes)]


def arrays(shape=SHAPE):
    """A body with a target; one voxel each at its head, nose and left hand, as (z, y, x) in LPS."""
    rng = np.random.default_rng(0)
    masks = {name: np.zeros(shape, bool) for name in ("Body", "PTV_7020", "Brain", "Lips", "Kidney_L")}
    masks["Body"][...] = True
    masks["PTV_7020"][2:4, 3:5, 4:7] = True
    masks["Brain"][-1, 4, 5] = True  # most superior
    masks["Lips"][3, 0, 5] = True  # most anterior
    masks["Kidney_L"][3, 4, -1] = True  # most left
    return {"id": "test/1", "ct_hu": rng.normal(0, 100, shape).astype(np.float32), "structures": masks,
            "voxel_size_mm": (3.0, 2.0, 1.0), "reference_dose_gy": rng.uniform(0, 70, shape)}  # fmt: skip


def turned(given, orientation):
    """The same patient as arrays of another orientation."""
    axes = ["SI", "AP", "LR"]
    order = [next(i for i, pair in enumerate(axes) if letter in pair) for letter in orientation]
    flips = [k for k, letter in enumerate(orientation) if letter in "IAR"]

    def turn(array):
        return np.flip(np.transpose(array, order), flips)

    return {
        **given,
        "ct_hu": turn(given["ct_hu"]),
        "reference_dose_gy": turn(given["reference_dose_gy"]),
        "structures": {name: turn(mask) for name, mask in given["structures"].items()},
        "voxel_size_mm": [given["voxel_size_mm"][axis] for axis in order],
        "orientation": orientation,
    }


@given(st.sampled_from(ORIENTATIONS), st.tuples(st.integers(4, 9), st.integers(5, 9), st.integers(7, 9)))
@settings(max_examples=60, deadline=None)
def test_every_orientation_gives_the_same_patient(orientation, shape):
    given = arrays(shape)
    straight, case = Case.from_arrays(**given), Case.from_arrays(**turned(given, orientation))
    assert case.grid == straight.grid
    np.testing.assert_array_equal(case.ct_hu, straight.ct_hu)
    np.testing.assert_array_equal(case.reference_dose_gy, straight.reference_dose_gy)
    for name in given["structures"]:
        np.testing.assert_array_equal(case.structures[name], straight.structures[name])
    assert case.digest() == straight.digest()


@pytest.mark.parametrize("orientation", ["SPL", "IPL", "PLI", "LSA", "RAI"])
def test_anatomy_lands_where_it_belongs(orientation):
    case = Case.from_arrays(**turned(arrays(), orientation))
    z, y, x = (case.grid.coordinates_mm(axis) for axis in range(3))
    (brain,), (lips,), (kidney,) = (np.argwhere(case.structures[n]) for n in ("Brain", "Lips", "Kidney_L"))
    assert z[brain[0]] == z.max() and y[lips[1]] == y.min() and x[kidney[2]] == x.max()
    assert case.grid.spacing_mm == (3.0, 2.0, 1.0)
    assert case.volume_cc("PTV_7020") == pytest.approx(12 * 6 / 1000)


def test_origin_is_the_first_voxel_as_given():
    given = arrays()
    straight = Case.from_arrays(**given, origin_mm=(-100.0, -50.0, -20.0))
    upside_down = Case.from_arrays(**turned(given, "IPL"), origin_mm=(-100.0 + 5 * 3.0, -50.0, -20.0))
    assert straight.grid == upside_down.grid
    assert straight.grid.origin_mm == (-100.0, -50.0, -20.0)


def test_arrays_are_read_only_copies():
    given = arrays()
    case = Case.from_arrays(**given)
    given["ct_hu"][0, 0, 0] = 12345.0
    assert case.ct_hu[0, 0, 0] != 12345.0
    for array in (case.ct_hu, case.reference_dose_gy, case.structures["Body"]):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0, 0] = 0
    with pytest.raises(TypeError):
        case.structures["Rectum"] = case.structures["Body"]


def test_an_array_that_nobody_can_write_to_is_not_copied():
    given = arrays()
    given["ct_hu"].setflags(write=False)
    case = Case.from_arrays(**given)
    assert case.ct_hu is not given["ct_hu"]  # a view by way of the axes
    again = Case(case.id, case.ct_hu, case.structures, case.grid)
    assert again.ct_hu is case.ct_hu and again.structures["Body"] is case.structures["Body"]


def test_pickled_case_is_the_same_and_still_read_only():
    case = Case.from_arrays(**arrays())
    again = pickle.loads(pickle.dumps(case))
    assert again.digest() == case.digest() and again.id == case.id
    assert not again.ct_hu.flags.writeable


def test_digest_follows_content_not_name():
    given = arrays()
    case = Case.from_arrays(**given)
    assert Case.from_arrays(**{**given, "id": "test/2"}).digest() == case.digest()
    for change in (
        {"voxel_size_mm": (3.0, 2.0, 1.1)},
        {"ct_hu": given["ct_hu"] + 1},
        {"reference_dose_gy": None},
    ):
        assert Case.from_arrays(**{**given, **change}).digest() != case.digest()


def test_masks_are_cut_at_the_body():
    given = arrays()
    given["structures"]["Body"][..., 6:] = False
    del given["structures"]["Kidney_L"]
    given["structures"]["PTV_7020"][2:4, 3:5, 2:4] = True  # 4 of 20 voxels lie at x = 6
    case = Case.from_arrays(**given)
    assert not (case.structures["PTV_7020"] & ~case.structures["Body"]).any()
    assert len(case.notes) == 1 and "'PTV_7020' (0.0 cc)" in case.notes[0] and "20.0%" in case.notes[0]
    assert pickle.loads(pickle.dumps(case)).notes == case.notes


def broken(**changes):
    given = arrays()
    for key, change in changes.items():
        given[key] = change(given[key]) if callable(change) else change
    return given


def with_nan(array):
    array[1, 2, 3] = np.nan
    return array


@pytest.mark.parametrize(
    "given, problem",
    [
        (broken(ct_hu=with_nan), "CT holds 1 values that are NaN"),
        (broken(reference_dose_gy=with_nan), "reference dose holds 1"),
        (broken(reference_dose_gy=lambda d: -d), "negative"),
        (broken(reference_dose_gy=lambda d: 100 * d), "cGy"),
        (broken(structures=lambda s: {**s, "Rectum": np.zeros(SHAPE, bool)}), "'Rectum' is empty"),
        (broken(structures=lambda s: {**s, "Rectum": np.ones((6, 8, 9), bool)}), r"'Rectum'.*shape"),
        (broken(structures=lambda s: {**s, "Rectum": np.full(SHAPE, 0.5)}), "'Rectum' is no mask"),
        (broken(structures=lambda s: {n: m for n, m in s.items() if n != "Body"}), "no 'Body'"),
        (
            broken(structures=lambda s: {**s, "blob 3": s["Body"]}),
            r"no TG-263 name is known for \['blob 3'\]",
        ),
        (broken(structures=lambda s: {**s, "External": s["Body"]}), "both map to 'Body'"),
        (broken(structures=lambda s: {**s, "Body": s["PTV_7020"]}), "outside 'Body'"),
        (broken(reference_dose_gy=lambda d: d[1:]), "reference dose has shape"),
        (broken(voxel_size_mm=(3.0, 0.0, 1.0)), "voxel size"),
        (broken(voxel_size_mm=(3.0, 1.0)), "three axes"),
        (broken(ct_hu=lambda ct: ct[0]), "three axes"),
        (broken(id=""), "id"),
        ({**arrays(), "orientation": "SPP"}, "orientation"),
        ({**arrays(), "orientation": "XYZ"}, "orientation"),
        ({**arrays(), "origin_mm": (0.0, 0.0)}, "origin_mm"),
        ({**arrays(), "name_map": {"blob": "Rectum"}}, r"\['blob'\]"),
        ({**arrays(), "name_map": {False: "Rectum"}}, r"\[False\].*quotes"),  # YAML's No
        ({**arrays(), "name_map": {"Lips": float("nan")}}, r"\['Lips'\].*None"),
        ({**arrays(), "name_map": {"Lips": "mouth parts"}}, "'mouth parts' is not a TG-263 name"),
        ({**arrays(), "name_map": {"Lips": "Parotis_L"}}, "did you mean Parotid_L?"),
        ({**arrays(), "name_map": {"Lips": "PTV_70"}}, "did you mean PTV_7000?"),
    ],
)
def test_bad_input_is_refused_with_the_reason(given, problem):
    with pytest.raises(CaseError, match=problem):
        Case.from_arrays(**given)


def test_constructor_refuses_names_that_are_not_tg263():
    case = Case.from_arrays(**arrays())
    with pytest.raises(CaseError, match="blob"):
        Case("x", case.ct_hu, {**case.structures, "blob": case.structures["Body"]}, case.grid)


def test_user_map_wins_and_none_leaves_out():
    given = arrays()
    given["structures"]["blob 3"] = given["structures"]["PTV_7020"]
    given["structures"]["External"] = given["structures"]["Body"]
    case = Case.from_arrays(**given, name_map={"blob 3": "Rectum", "External": None})
    assert set(case.structures) == {"Body", "PTV_7020", "Brain", "Lips", "Kidney_L", "Rectum"}
    assert case.targets == ("PTV_7020",) and case.unmapped == ()


@pytest.mark.parametrize(
    "name, expected",
    [
        ("PTV70", "PTV_7000"), ("ptv 70.2 Gy", "PTV_7020"), ("PTV_7020cGy", "PTV_7020"), ("CTV56", "CTV_5600"),
        ("PTV", "PTV"), ("PTV1", "PTV1"), ("LeftParotid", "Parotid_L"), ("Parotid gland R", "Parotid_R"),
        ("Femoral Head (Left)", "Femur_Head_L"), ("FemoralHead_R", "Femur_Head_R"), ("rt femoral head", "Femur_Head_R"),
        ("BODY", "Body"), ("External", "Body"), ("Spinal Cord", "SpinalCord"), ("BrainStem", "Brainstem"),
        ("Mandible", "Bone_Mandible"), ("OralCavity", "Cavity_Oral"), ("oesophagus", "Esophagus"),
        ("Parotid", None), ("opt PTV", None), ("PTV-Rectum", None), ("Couch", None), ("Bladder L", None),
        ("Bladder wall", None), ("Rectal wall", None), ("hip joint L", None), ("Rectum+5", None), ("~Rectum", None),
        ("直腸Rectum", None), ("PTV10", None), ("PTV 12", None), ("PTV 12 Gy", "PTV_1200"), ("PTV1000", "PTV_1000"),
    ],
)  # fmt: skip
def test_common_spellings(name, expected):
    assert standard_name(name) == expected


@given(st.text(max_size=30))
def test_any_text_maps_to_a_known_name_or_to_none(name):
    standard = standard_name(name)
    assert standard is None or (is_tg263(standard) and standard_name(standard) == standard)


@pytest.mark.parametrize("name", ["OpticNrv_PRV03_L", "SpinalCord_PRV05", "Lung_LLL", "Bone_Parietal_L", "A_Celiac"])
def test_any_name_spelled_as_tg263_spells_them_may_be_used(name):
    case = Case.from_arrays(**arrays(), name_map={"Lips": name})
    assert name in case.structures


@pytest.mark.parametrize("name", ["Rektum", "OpticNerve_L", "Parotis_R", "spinal cord", "PTV_70", "Prostate-bed"])
def test_other_spellings_are_refused(name):
    assert naming_problem(name) is not None


def test_a_map_for_a_cohort_may_name_structures_of_other_patients():
    names = {"Rektum": "Rectum", "Enddarm": "Rectum", "Couch": None}
    assert map_names(["Rektum", "Body"], CohortNames(names)) == ({"Rektum": "Rectum", "Body": "Body"}, ())
    with pytest.raises(CaseError, match="Couch"):
        map_names(["Rektum", "Body"], names)


def test_unknown_names_are_listed():
    assert map_names(["Bladder", "Couch", "Ring 5mm"]) == ({"Bladder": "Bladder"}, ("Couch", "Ring 5mm"))
