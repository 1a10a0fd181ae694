import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dciodvfy import errors_of

from radplan_env.case import Case, CaseError
from radplan_env.export import export_dicom, export_rtdose, export_rtstruct
from radplan_env.grid import Grid, resample
from radplan_env.sources import dicom

SHAPE = (6, 20, 28)


@pytest.fixture(scope="module")
def case():
    """Structures with a hole, with two parts, touching the image's edge, of one voxel."""
    z, y, x = np.ogrid[:6, :20, :28]
    body = np.ones(SHAPE, bool)
    body[:, :2] = False  # the body reaches three of the image's edges
    ring = (np.hypot(y - 11.0, x - 12.0) < 6) & (np.hypot(y - 11.0, x - 12.0) > 3) & (z > 1)
    parts = (np.abs(x - 12) > 9) & (np.abs(x - 12) < 12) & (np.abs(y - 10) < 3) & (z < 3)
    dot = np.zeros(SHAPE, bool)
    dot[3, 11, 12] = True
    masks = {"Body": body, "PTV_7020": ring, "Bowel": parts, "Rectum": dot}
    rng = np.random.default_rng(1)
    ct = rng.integers(-1000, 1500, SHAPE)
    return Case("test/1", ct, masks, Grid(SHAPE, (2.5, 1.7, 1 / 3), (-12.3, 1 / 7, -30.0)), synthetic=True)


@pytest.fixture(scope="module")
def dose_grid(case):
    return case.grid.coarsened(2.0)


@pytest.fixture(scope="module")
def dose(dose_grid):
    return np.random.default_rng(2).uniform(0, 75, dose_grid.shape).astype(np.float32)


@pytest.fixture(scope="module")
def folder(case, dose, dose_grid, tmp_path_factory):
    return export_dicom(case, dose, dose_grid, tmp_path_factory.mktemp("export") / "new" / "folder")


def test_round_trip_through_the_dicom_source(case, dose, dose_grid, folder):
    again = dicom.load(folder)
    np.testing.assert_allclose(again.grid.spacing_mm, case.grid.spacing_mm, rtol=1e-6)
    np.testing.assert_allclose(again.grid.origin_mm, case.grid.origin_mm, atol=1e-6)
    np.testing.assert_array_equal(again.ct_hu, case.ct_hu)
    assert list(again.structures) == list(case.structures)
    for name, mask in case.structures.items():
        np.testing.assert_array_equal(again.structures[name], mask, err_msg=name)
    np.testing.assert_allclose(again.reference_dose_gy, resample(dose, dose_grid, case.grid), atol=1e-3)


def test_an_independent_reader_sees_the_same_volumes(case, dose, dose_grid, folder):
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    ct = reader.Execute()
    np.testing.assert_array_equal(sitk.GetArrayFromImage(ct), case.ct_hu)
    np.testing.assert_allclose(ct.GetOrigin()[::-1], case.grid.origin_mm, atol=1e-6)
    np.testing.assert_allclose(ct.GetSpacing()[::-1], case.grid.spacing_mm, rtol=1e-6)
    image = sitk.ReadImage(str(folder / "RTDOSE.dcm"))
    scaling = float(pydicom.dcmread(folder / "RTDOSE.dcm").DoseGridScaling)
    np.testing.assert_allclose(sitk.GetArrayFromImage(image) * scaling, dose, atol=scaling / 2 + 1e-6)
    np.testing.assert_allclose(image.GetOrigin()[::-1], dose_grid.origin_mm, atol=1e-6)
    np.testing.assert_allclose(image.GetSpacing()[::-1], dose_grid.spacing_mm, rtol=1e-6)


def test_files_belong_together_and_to_nobody(case, folder):
    datasets = [pydicom.dcmread(file) for file in sorted(folder.iterdir())]
    assert {str(d.PatientName) for d in datasets} == {"radplan_env"}
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID"):
        assert len({d[keyword].value for d in datasets}) == 1
    assert len({d.SOPInstanceUID for d in datasets}) == len(datasets)
    slices = {d.SOPInstanceUID for d in datasets if d.Modality == "CT"}
    structure_set = next(d for d in datasets if d.Modality == "RTSTRUCT")
    referenced = {
        image.ReferencedSOPInstanceUID
        for roi in structure_set.ROIContourSequence
        for contour in roi.ContourSequence
        for image in contour.ContourImageSequence
    }
    assert referenced <= slices
    kinds = {
        roi.ROIName: observation.RTROIInterpretedType
        for roi, observation in zip(
            structure_set.StructureSetROISequence, structure_set.RTROIObservationsSequence, strict=True
        )
    }
    assert kinds == {"Body": "EXTERNAL", "PTV_7020": "PTV", "Bowel": "ORGAN", "Rectum": "ORGAN"}


def test_written_one_by_one_the_files_are_the_same(case, dose, dose_grid, folder, tmp_path):
    export_rtstruct(case, tmp_path / "structures.dcm")
    export_rtdose(case, dose, dose_grid, tmp_path / "dose.dcm")
    assert (tmp_path / "structures.dcm").read_bytes() == (folder / "RTSTRUCT.dcm").read_bytes()
    assert (tmp_path / "dose.dcm").read_bytes() == (folder / "RTDOSE.dcm").read_bytes()


def test_an_empty_dose_is_written_as_zeros(case, dose_grid, tmp_path):
    export_rtdose(case, np.zeros(dose_grid.shape), dose_grid, tmp_path / "dose.dcm")
    assert not pydicom.dcmread(tmp_path / "dose.dcm").pixel_array.any()


@pytest.mark.parametrize(
    "spoil, problem",
    [(lambda d: d[1:], "shape"), (lambda d: d - 80, "negative"), (lambda d: d * np.nan, "NaN")],
)
def test_impossible_doses_are_refused_before_anything_is_written(case, dose, dose_grid, tmp_path, spoil, problem):
    with pytest.raises(CaseError, match=problem):
        export_dicom(case, spoil(dose), dose_grid, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_every_file_says_that_it_is_for_research_only(folder):
    files = [pydicom.dcmread(path) for path in folder.glob("*.dcm")]
    assert {file.Modality for file in files} == {"CT", "RTSTRUCT", "RTDOSE"}
    assert all(file.SeriesDescription.startswith("RESEARCH ONLY") for file in files)


def test_the_dose_of_a_plan_refers_to_a_plan(folder):
    """Type 1C where the summation is PLAN."""
    dose = pydicom.dcmread(folder / "RTDOSE.dcm")
    (plan,) = dose.ReferencedRTPlanSequence
    assert dose.DoseSummationType == "PLAN" and plan.ReferencedSOPClassUID.name == "RT Plan Storage"


def test_long_contours_stay_decimal_strings(tmp_path):
    """Explicit VR has no room for more than 64 KiB; written as UN, few readers understand them."""
    y, x = np.ogrid[:120, :120]
    comb = np.broadcast_to((y > 60) | ((x % 2 == 0) & (y > 4)), (2, 120, 120))
    case = Case("comb", np.zeros(comb.shape), {"Body": comb}, Grid(comb.shape, (3.0, 1.0, 1.0), (0.0, 0.0, 0.0)))
    export_dicom(case, np.zeros(comb.shape), case.grid, tmp_path)
    (roi,) = pydicom.dcmread(tmp_path / "RTSTRUCT.dcm").ROIContourSequence
    element = roi.ContourSequence[0][0x3006, 0x0050]
    assert element.VR == "DS" and len("\\".join(map(str, element.value))) > 2**16
    np.testing.assert_array_equal(dicom.load(tmp_path).structures["Body"], comb)


@pytest.mark.parametrize("name", ["CT_0001", "RTSTRUCT", "RTDOSE"])
def test_dciodvfy_finds_no_error(folder, name):
    assert errors_of(folder / f"{name}.dcm") == []
