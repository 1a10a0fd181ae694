import shutil
import zipfile

import numpy as np
import pydicom
import pytest

from radplan_env.case import Case, CaseError
from radplan_env.export import export_dicom
from radplan_env.grid import Grid, resample
from radplan_env.sources import dicom

SHAPE = (8, 24, 32)


def phantom(hu=40.0):
    """A body with a ring-shaped target around the rectum, and a dose; nothing about it is symmetric."""
    z, y, x = np.ogrid[:8, :24, :32]
    radius = np.hypot(y - 12.0, x - 18.0)
    masks = {
        "Body": np.broadcast_to((np.abs(y - 12) < 10) & (np.abs(x - 15) < 13), SHAPE),
        "PTV": (radius < 7) & (radius > 3) & (z > 1) & (z < 6),
        "Rectum": (radius < 3) & (z > 0),
        "Femur_Head_L": (np.hypot(y - 10.0, x - 26.0) < 2) & (z < 4),
    }
    ct = np.where(masks["Body"], hu, -1000.0) + np.linspace(0, 20, 8).round()[:, None, None]
    dose = np.where(masks["PTV"], 60.0, 20.0) + 0 * z
    grid = Grid(SHAPE, (3.0, 2.0, 1.5), (-40.0, -20.0, 5.0))
    return Case("test/phantom", ct, masks, grid, dose)


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    case = phantom()
    return export_dicom(case, case.reference_dose_gy, case.grid, tmp_path_factory.mktemp("dicom"))


@pytest.fixture
def folder(exported, tmp_path):
    """A patient spread over subfolders, beside files that are no DICOM."""
    for number, file in enumerate(sorted(exported.glob("CT*"))):
        target = tmp_path / "study" / f"ct{number % 2}" / f"{99 - number}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    for name in ("RTSTRUCT", "RTDOSE"):
        shutil.copy(exported / f"{name}.dcm", tmp_path / f"{name}.dcm")
    (tmp_path / "readme.txt").write_text("hello")
    return tmp_path


def change(file, **elements):
    dataset = pydicom.dcmread(file)
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    dataset.save_as(file)


def test_any_arrangement_of_subfolders(folder):
    case, expected = dicom.load(folder), phantom()
    assert case.grid == expected.grid and case.source == "dicom"
    np.testing.assert_array_equal(case.ct_hu, expected.ct_hu)
    np.testing.assert_allclose(case.reference_dose_gy, expected.reference_dose_gy, atol=1e-3)
    assert set(case.structures) == set(expected.structures)
    for name, mask in expected.structures.items():
        np.testing.assert_array_equal(case.structures[name], mask, err_msg=name)


def test_a_prone_scan_is_the_same_patient(folder):
    """Rows and columns may run the other way (head first prone): same voxels in patient coordinates."""
    for file in (folder / "study").rglob("ct*/*"):
        dataset = pydicom.dcmread(file)
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x + 31 * 1.5, y + 23 * 2.0, z]
        dataset.ImageOrientationPatient = [-1, 0, 0, 0, -1, 0]
        dataset.PixelData = dataset.pixel_array[::-1, ::-1].tobytes()
        dataset.PatientPosition = "HFP"
        dataset.save_as(file)
    case, expected = dicom.load(folder), phantom()
    assert case.grid == expected.grid
    np.testing.assert_array_equal(case.ct_hu, expected.ct_hu)
    np.testing.assert_array_equal(case.structures["Femur_Head_L"], expected.structures["Femur_Head_L"])


def test_dose_planes_may_be_counted_by_position_and_downwards(folder):
    dataset = pydicom.dcmread(folder / "RTDOSE.dcm")
    dataset.PixelData = dataset.pixel_array[::-1].tobytes()
    x, y, z = dataset.ImagePositionPatient
    dataset.ImagePositionPatient = [x, y, z + 7 * 3.0]
    dataset.GridFrameOffsetVector = [z + (7 - k) * 3.0 for k in range(8)]
    dataset.save_as(folder / "RTDOSE.dcm")
    np.testing.assert_allclose(dicom.load(folder).reference_dose_gy, phantom().reference_dose_gy, atol=1e-3)


def test_no_identity_leaves_the_importer(folder):
    secrets = {
        "PatientName": "Doe^Jane",
        "PatientID": "MRN4711",
        "PatientBirthDate": "19500423",
        "StudyDate": "20210709",
        "InstitutionName": "St. Elsewhere",
    }
    for file in folder.rglob("*"):
        if file.is_file() and file.suffix != ".txt":
            change(file, **secrets)
    case = dicom.load(folder)
    structure_set = pydicom.dcmread(folder / "RTSTRUCT.dcm")
    uids = [structure_set.StudyInstanceUID, structure_set.FrameOfReferenceUID]
    told = repr((case.id, case.grid, case.source, case.unmapped, sorted(case.structures)))
    for secret in [*secrets.values(), *uids]:
        assert secret not in told
    assert case.id == dicom.load(folder).id != dicom.load(folder, case_id="trial/1").id == "trial/1"
    change(folder / "RTSTRUCT.dcm", ReferencedFrameOfReferenceSequence=[], StructureSetROISequence=[])
    with pytest.raises(CaseError) as error:
        dicom.load(folder)
    assert not any(secret in str(error.value) for secret in [*secrets.values(), *uids])


def rename(folder, old, new, kind=None):
    dataset = pydicom.dcmread(folder / "RTSTRUCT.dcm")
    for roi, observation in zip(dataset.StructureSetROISequence, dataset.RTROIObservationsSequence, strict=True):
        if roi.ROIName == old:
            roi.ROIName = new
            observation.RTROIInterpretedType = kind or observation.RTROIInterpretedType
    dataset.save_as(folder / "RTSTRUCT.dcm")


def test_names_are_mapped_and_the_rest_is_listed(folder):
    rename(folder, "Femur_Head_L", "FemoralHead_L")
    rename(folder, "Rectum", "Enddarm")
    rename(folder, "Body", "skin 1")
    case = dicom.load(folder)
    assert set(case.structures) == {"Body", "PTV", "Femur_Head_L"}, "type EXTERNAL is the body"
    assert case.unmapped == ("Enddarm",)
    case = dicom.load(folder, name_map={"Enddarm": "Rectum", "PTV": "PTV_6000", "FemoralHead_L": None})
    assert set(case.structures) == {"Body", "PTV_6000", "Rectum"} and case.unmapped == ()


def test_keep_reads_only_what_is_asked_for(folder):
    assert set(dicom.load(folder, keep=["PTV"]).structures) == {"Body", "PTV"}
    with pytest.raises(CaseError, match="keep"):
        dicom.load(folder, keep=["ptv (boost)"])


def test_reference_dose_is_the_plan_sum(folder):
    beam = folder / "beam.dcm"
    shutil.copy(folder / "RTDOSE.dcm", beam)
    change(beam, DoseSummationType="BEAM", DoseGridScaling="1")
    assert dicom.load(folder).reference_dose_gy.max() == pytest.approx(60)
    (folder / "RTDOSE.dcm").unlink()
    with pytest.raises(CaseError, match="DoseSummationType PLAN"):
        dicom.load(folder)
    assert dicom.load(folder, reference_dose=False).reference_dose_gy is None
    beam.unlink()
    assert dicom.load(folder).reference_dose_gy is None


def test_of_two_plans_the_dose_of_the_folders_rtplan_counts(folder):
    plan = pydicom.dcmread(folder / "RTSTRUCT.dcm")
    plan.Modality, plan.SOPInstanceUID = "RTPLAN", "1.2.3.4"
    plan.save_as(folder / "RTPLAN.dcm")
    shutil.copy(folder / "RTDOSE.dcm", folder / "other.dcm")
    with pytest.raises(CaseError, match=r"other\.dcm"):
        dicom.load(folder)
    reference = pydicom.Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = (
        "1.2.840.10008.5.1.4.1.1.481.5",
        "1.2.3.4",
    )
    change(folder / "other.dcm", ReferencedRTPlanSequence=[reference], DoseGridScaling="1e-4")
    assert dicom.load(folder).reference_dose_gy.max() == pytest.approx((2**16 - 2) * 1e-4, rel=1e-3)


def test_the_ct_that_the_structures_were_drawn_on_is_taken(folder, tmp_path):
    other = phantom(hu=300.0)
    export_dicom(other, other.reference_dose_gy, other.grid, tmp_path / "other")
    for name in ("RTSTRUCT", "RTDOSE"):
        (tmp_path / "other" / f"{name}.dcm").unlink()
    np.testing.assert_array_equal(dicom.load(folder).ct_hu, phantom().ct_hu)


def strip_series_reference(folder):
    dataset = pydicom.dcmread(folder / "RTSTRUCT.dcm")
    del dataset.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence
    dataset.save_as(folder / "RTSTRUCT.dcm")


def two_series_in_one_frame(folder):
    strip_series_reference(folder)
    for file in list((folder / "study").rglob("ct*/*")):
        copy = folder / "second" / file.name
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(file, copy)
        change(copy, SeriesInstanceUID="1.2.3")


def structures_of_another_ct(folder):
    other = phantom(hu=300.0)
    export_dicom(other, other.reference_dose_gy, other.grid, folder / "tmp")
    shutil.move(folder / "tmp" / "RTSTRUCT.dcm", folder / "RTSTRUCT.dcm")
    shutil.rmtree(folder / "tmp")


def structures_of_another_series(folder):
    for file in (folder / "study").rglob("ct*/*"):
        change(file, SeriesInstanceUID="1.2.3")


def cut(file):
    file.write_bytes(file.read_bytes()[:-200])


def tilt(folder):
    for file in (folder / "study").rglob("ct*/*"):
        change(file, ImageOrientationPatient=[1, 0, 0, 0, 0.966, 0.259])


@pytest.mark.parametrize(
    "damage, problem",
    [
        (structures_of_another_ct, r"RTSTRUCT\.dcm was drawn on another CT"),
        (structures_of_another_series, r"RTSTRUCT\.dcm was drawn on another CT"),
        (two_series_in_one_frame, "2 CT series.*second"),
        (tilt, "oblique|unevenly|not parallel|tilted gantry"),
        (lambda f: (f / "RTSTRUCT.dcm").unlink(), "one RTSTRUCT, found none"),
        (lambda f: shutil.copy(f / "RTSTRUCT.dcm", f / "rs2.dcm"), "one RTSTRUCT, found .*rs2"),
        (lambda f: shutil.rmtree(f / "study"), "no CT"),
        (lambda f: (f / "study" / "ct1" / "96").unlink(), "missing"),
        (lambda f: shutil.copy(f / "study" / "ct1" / "96", f / "copy"), "doubled"),
        (lambda f: cut(f / "study" / "ct1" / "96"), "96 is truncated"),
        (lambda f: (f / "study" / "ct1" / "96").write_bytes(b"\0" * 128 + b"DICM"), "96 is truncated"),
        (lambda f: cut(f / "RTDOSE.dcm"), r"RTDOSE\.dcm is damaged"),
        (lambda f: (f / "RTSTRUCT.dcm").write_bytes(b"no dicom"), r"RTSTRUCT\.dcm is damaged"),
        (lambda f: change(f / "RTSTRUCT.dcm", ROIContourSequence=[]), "no 'Body'"),
        (lambda f: change(f / "RTDOSE.dcm", DoseUnits="RELATIVE"), "Gy"),
        (lambda f: change(f / "RTDOSE.dcm", FrameOfReferenceUID="1.2.3"), "frame of reference"),
        (lambda f: change(f / "RTDOSE.dcm", GridFrameOffsetVector=[0, 3, 6, 9, 12, 15, 18, 30]), "uneven"),
        (lambda f: rename(f, "Rectum", "ptv"), "both map to 'PTV'"),
        (lambda f: rename(f, "Body", "aussen", "ORGAN"), "no 'Body'.*aussen"),
    ],
)
def test_what_does_not_fit_is_one_clear_error(folder, damage, problem):
    damage(folder)
    with pytest.raises(CaseError, match=problem):
        dicom.load(folder)


def test_no_folder(tmp_path):
    with pytest.raises(CaseError, match="no folder"):
        dicom.load(tmp_path / "nowhere")


# RTDOSE of the set by an independent reader (FACTS.md), in Gy: D95, mean, max.
ALDERSON = {
    "PTV": (58.6, 60.1, 61.3),
    "Rectum": (None, 15.7, 52.1),
    "Bladder": (None, 6.4, 41.7),
    "Femur_Head_L": (None, 15.5, 23.9),
    "Femur_Head_R": (None, 16.4, 26.4),
}


@pytest.mark.slow
def test_alderson_phantom_agrees_with_an_independent_reader(shared_data, tmp_path):
    import SimpleITK as sitk

    with zipfile.ZipFile(shared_data / "alderson" / "mr_alderson.zip") as archive:
        archive.extractall(tmp_path)
    case = dicom.load(tmp_path)
    assert set(case.structures) == {"Body", *ALDERSON} and case.unmapped == ()
    # On the voxels of the RTDOSE, as the independent reader has it: a maximum depends on where one samples.
    (file,) = (f for f in (tmp_path / "RD").iterdir() if pydicom.dcmread(f).DoseSummationType == "PLAN")
    image = sitk.ReadImage(str(file))
    raw = sitk.GetArrayFromImage(image) * float(pydicom.dcmread(file).DoseGridScaling)
    grid = Grid(image.GetSize()[::-1], image.GetSpacing()[::-1], image.GetOrigin()[::-1])
    tolerance = 0.01 * 60
    for name, (d95, mean, maximum) in ALDERSON.items():
        inside = raw[resample(case.structures[name], case.grid, grid)]
        fine = case.reference_dose_gy[case.structures[name]]
        for dose in (inside, fine):
            assert dose.mean() == pytest.approx(mean, abs=tolerance), name
            assert d95 is None or np.percentile(dose, 5) == pytest.approx(d95, abs=tolerance), name
        for dose in (inside, fine):  # a voxel half inside may be out: at an edge a maximum moves with it
            assert dose.max() == pytest.approx(maximum, abs=2 * tolerance), name
