"""What real exports do to a patient: read rightly, or one error that names file and ROI."""

import tracemalloc

import numpy as np
import phantoms
import pydicom
import pytest
from phantoms import BODY, GRID, HEIGHTS, PTV, SLICE_CC, change, change_ct, ellipse, rectum, write_patient
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from radplan_env.case import CaseError
from radplan_env.sources import dicom


def load(folder, *rois, **options):
    return dicom.load(write_patient(folder, [BODY, PTV, *rois]), **options)


def rectum_cc(folder, contours):
    return load(folder, ("Rectum", contours), reference_dose=False).volume_cc("Rectum")


# ------------------------------------------------------------------------------------------------------------ records


def test_two_rois_of_one_name_are_refused_unless_left_out(tmp_path):
    with pytest.raises(CaseError, match=r"RTSTRUCT\.dcm.*'Rectum'.*several"):
        load(tmp_path, ("Rectum", rectum(HEIGHTS[:6])), ("Rectum", rectum(HEIGHTS[6:])))
    case = dicom.load(tmp_path, name_map={"Rectum": None})
    assert set(case.structures) == {"Body", "PTV_7020"}
    assert set(dicom.load(tmp_path, keep=["PTV_7020"]).structures) == {"Body", "PTV_7020"}


@pytest.mark.parametrize("order", [1, -1])
def test_an_empty_twin_takes_nothing_away(tmp_path, order):
    case = load(tmp_path, *(("Rectum", rectum()), ("Rectum", []))[::order])
    assert case.volume_cc("Rectum") == pytest.approx(12 * SLICE_CC, rel=0.1)


def test_two_unknown_rois_of_one_name_do_not_matter(tmp_path):
    case = load(tmp_path, ("Ring", rectum()), ("Ring", rectum()))
    assert case.unmapped == ("Ring",)


def test_two_names_of_one_number_are_refused(tmp_path):
    write_patient(tmp_path, [BODY, PTV, ("Rectum", rectum()), ("Bladder", rectum())])

    def renumber(dataset):
        dataset.StructureSetROISequence[3].ROINumber = dataset.ROIContourSequence[3].ReferencedROINumber = 3

    change(tmp_path / "RTSTRUCT.dcm", renumber)
    with pytest.raises(CaseError, match="ROI number 3"):
        dicom.load(tmp_path)
    case = dicom.load(tmp_path, name_map={"Rectum": None, "Bladder": None})
    assert set(case.structures) == {"Body", "PTV_7020"}


def test_contours_of_an_undeclared_roi_are_listed(tmp_path):
    write_patient(tmp_path, [BODY, PTV, ("Rectum", rectum())])
    change(tmp_path / "RTSTRUCT.dcm", lambda dataset: dataset.StructureSetROISequence.pop())
    (note,) = dicom.load(tmp_path).notes
    assert "12 contours of ROI number 3" in note


# ----------------------------------------------------------------------------------------------------------- contours


@pytest.mark.parametrize(
    "heights, slices",
    [
        ((HEIGHTS[1], HEIGHTS[10]), 2),  # two nodes
        ((HEIGHTS[0], HEIGHTS[5], HEIGHTS[11]), 3),
        ((*HEIGHTS[:4], HEIGHTS[10], HEIGHTS[11]), 6),
        ((*HEIGHTS[:6], *HEIGHTS[7::2]), 12),  # sparser from the middle on
        (HEIGHTS[::3], 12),
        ([z + 1.5 for z in HEIGHTS[3:4]], 1),  # midway between two slices
        ([z + 1.5 for z in HEIGHTS[3:6]], 3),
        ([z - 1.5 for z in HEIGHTS[3:6]], 3),
        (np.arange(-16.5, 16.6, 0.5), 12),
    ],
)
def test_planes_stand_for_the_slices_about_them(tmp_path, heights, slices):
    assert rectum_cc(tmp_path, rectum(heights)) == pytest.approx(slices * SLICE_CC, rel=0.1)


@pytest.mark.parametrize("off", [0.0, 0.01, 0.0005, -0.15])
def test_a_hole_beside_its_plane_stays_a_hole(tmp_path, off):
    rings = [c for z in HEIGHTS for c in (ellipse(16, 16, z, (0, 15)), ellipse(8, 8, z + off, (0, 15)))]
    assert rectum_cc(tmp_path, rings) == pytest.approx(np.pi * (1.6**2 - 0.8**2) * 3.6, rel=0.1)


@pytest.mark.parametrize(
    "again",
    [
        lambda c: c,
        lambda c: np.roll(c, 17, axis=0),
        lambda c: c[::-1],
        lambda c: c[::2],
        lambda c: np.vstack([c, c[:1]]),
        lambda c: c + [0.005, 0.005, 0.02],
    ],
)
def test_a_contour_given_twice_counts_once(tmp_path, again):
    once = rectum_cc(tmp_path / "once", rectum())
    assert rectum_cc(tmp_path / "twice", [c for one in rectum() for c in (one, again(one))]) == pytest.approx(once)


def tilt(contour):
    return contour + np.column_stack([0 * contour[:, :2], 0.3 * contour[:, 1]])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda c: c.pop("ContourData"),
        lambda c: setattr(c, "ContourData", ""),
        lambda c: setattr(c, "ContourData", ["1", "2", "3", "4"]),
        lambda c: setattr(c, "ContourData", [str(v) for v in tilt(rectum()[0]).ravel().round(3)]),
    ],
)
def test_one_bad_contour_concerns_its_roi_alone(tmp_path, spoil):
    write_patient(tmp_path, [BODY, PTV, ("Rectum", rectum()), ("Ring", rectum())])
    for roi in (2, 3):
        change(tmp_path / "RTSTRUCT.dcm", lambda d, roi=roi: spoil(d.ROIContourSequence[roi].ContourSequence[4]))
    with pytest.raises(CaseError, match=r"RTSTRUCT\.dcm.*'Rectum'"):
        dicom.load(tmp_path)
    assert "Rectum" not in dicom.load(tmp_path, name_map={"Rectum": None}).structures


@pytest.mark.parametrize("kind", ["OPEN_PLANAR", "POINT", "OPEN_NONPLANAR"])
def test_contours_without_an_area_are_listed(tmp_path, kind):
    case = load(tmp_path / "all", ("Rectum", rectum(), kind))
    assert "Rectum" not in case.structures and case.unmapped == ("Rectum",)
    assert any("'Rectum'" in note for note in case.notes)
    write_patient(tmp_path / "one", [BODY, PTV, ("Rectum", [*rectum(), rectum()[0] + [30, 0, 0]])])

    def open_one(dataset):
        dataset.ROIContourSequence[2].ContourSequence[-1].ContourGeometricType = kind

    change(tmp_path / "one" / "RTSTRUCT.dcm", open_one)
    case = dicom.load(tmp_path / "one")
    assert case.volume_cc("Rectum") == pytest.approx(12 * SLICE_CC, rel=0.1)
    assert any("'Rectum': 1 of 13 contours" in note and kind in note for note in case.notes)


def test_a_structure_off_the_ct_is_refused_and_one_partly_off_is_listed(tmp_path):
    with pytest.raises(CaseError, match="'Rectum' covers no voxel"):
        load(tmp_path / "off", ("Rectum", rectum([200.0, 203.0])))
    case = load(tmp_path / "partly", ("Rectum", rectum([*HEIGHTS, HEIGHTS[-1] + 3])))
    assert any("1 of 13 contours, beyond the CT" in note for note in case.notes)


# ----------------------------------------------------------------------------------------------------------------- CT


def drift(dataset, k):
    x, y, z = dataset.ImagePositionPatient
    dataset.ImagePositionPatient = [x, float(y) + 0.8 * k, z]


def displace(dataset, k):
    x, y, z = dataset.ImagePositionPatient
    dataset.ImagePositionPatient = [float(x) + 5 * (k == 7), y, z]


def stretch(dataset, k):
    dataset.PixelSpacing = [2.5, 2.6] if k == 7 else [2.5, 2.5]


def offset(dataset, k):
    dataset.PixelData = (dataset.pixel_array + 1024).astype("<i2").tobytes()


@pytest.mark.parametrize(
    "damage, problem",
    [
        (drift, "sideways"),
        (displace, r"CT_0008\.dcm by 5"),
        (stretch, r"CT_0008\.dcm has pixels of another size"),
        (lambda d, k: d.pop("RescaleSlope"), r"CT_0001\.dcm lacks RescaleSlope"),
        (lambda d, k: d.pop("RescaleIntercept") if k == 7 else None, r"CT_0008\.dcm lacks RescaleIntercept"),
        (lambda d, k: setattr(d, "RescaleSlope", 0), "RescaleSlope of 0"),
        (lambda d, k: setattr(d, "RescaleIntercept", -1024), "RescaleIntercept"),
        (offset, "1024 HU"),
        (lambda d, k: setattr(d, "ImageOrientationPatient", [1, 0, 0, 0, 0.966, 0.259]), "oblique|sideways|unevenly"),
    ],
)
def test_a_ct_that_is_no_box_of_hu_is_refused(tmp_path, damage, problem):
    change_ct(write_patient(tmp_path), damage)
    with pytest.raises(CaseError, match=problem) as error:
        dicom.load(tmp_path)
    assert str(tmp_path) in str(error.value)


def test_files_without_preamble_and_suffix_are_read(tmp_path):
    for path in list(write_patient(tmp_path).iterdir()):
        dataset = pydicom.dcmread(path)
        buffer = DicomBytesIO()
        buffer.is_little_endian = buffer.is_implicit_VR = True
        bare = pydicom.Dataset()
        bare.update(dataset)
        write_dataset(buffer, bare)
        path.with_suffix("").write_bytes(buffer.getvalue())
        path.unlink()
    case = dicom.load(tmp_path)
    assert case.volume_cc("Rectum") == pytest.approx(12 * SLICE_CC, rel=0.1)
    assert case.reference_dose_gy is not None and set(np.unique(case.ct_hu)) == {-1000, 0}


# --------------------------------------------------------------------------------------------------------------- dose


def feet_first(dataset):
    """The same planes counted from the head, as a feet-first patient's are: rows and stack run the other way."""
    dataset.ImagePositionPatient = [58.75, -48.75, 16.5]
    dataset.ImageOrientationPatient = [-1, 0, 0, 0, 1, 0]
    dataset.PixelData = dataset.pixel_array[::-1, :, ::-1].tobytes()


def right_dose(case):
    z, y, x = np.meshgrid(*map(GRID.coordinates_mm, range(3)), indexing="ij")
    np.testing.assert_allclose(case.reference_dose_gy, phantoms.dose_gy(z, y, x), atol=1e-3)


def test_frame_offsets_of_a_feet_first_dose(tmp_path):
    write_patient(tmp_path)
    change(tmp_path / "RTDOSE.dcm", feet_first)
    right_dose(dicom.load(tmp_path))
    change(tmp_path / "RTDOSE.dcm", lambda d: setattr(d, "GridFrameOffsetVector", [16.5 - 3 * k for k in range(12)]))
    right_dose(dicom.load(tmp_path))


def one_plane(dataset):
    dataset.PixelData = dataset.pixel_array[0].tobytes()
    dataset.NumberOfFrames, dataset.GridFrameOffsetVector = 1, [0.0]


def one_frame(dataset):
    one_plane(dataset)
    del dataset.NumberOfFrames, dataset.GridFrameOffsetVector


@pytest.mark.parametrize(
    "damage",
    [
        one_plane,
        one_frame,
        lambda d: setattr(d, "GridFrameOffsetVector", [40 + 3 * k for k in range(12)]),  # neither 0 nor its z
        lambda d: setattr(d, "GridFrameOffsetVector", [0.0] * 12),
        lambda d: setattr(d, "ImageOrientationPatient", [0.966, 0.259, 0, -0.259, 0.966, 0]),
        lambda d: setattr(d, "DoseGridScaling", float(d.DoseGridScaling) * 100),  # cGy
    ],
)
def test_a_dose_of_no_definite_place_or_unit_is_refused(tmp_path, damage):
    change(write_patient(tmp_path) / "RTDOSE.dcm", damage)
    with pytest.raises(CaseError, match=r"RTDOSE\.dcm"):
        dicom.load(tmp_path)


def test_structures_outside_the_dose_grid_are_listed(tmp_path):
    def crop(dataset):
        dataset.PixelData = dataset.pixel_array[:, :20].tobytes()  # the anterior half
        dataset.Rows = 20

    change(write_patient(tmp_path) / "RTDOSE.dcm", crop)
    (note,) = dicom.load(tmp_path).notes
    assert "50% of 'Body'" in note and "100% of 'Rectum'" in note and "PTV" not in note


# ------------------------------------------------------------------------------------------------------------- memory


@pytest.mark.slow
@pytest.mark.parametrize("keep", [None, ["PTV_7020"]])
def test_memory_follows_what_is_kept(tmp_path, keep):
    rois = [(f"Kidney_{side}", [c for z in HEIGHTS for c in [ellipse(9, 9, z, (0, 20), n=400)]]) for side in "LR"]
    write_patient(tmp_path, [BODY, PTV, ("Rectum", rectum()), *rois, *((f"Ring {n}", rois[0][1]) for n in range(10))])
    text = (tmp_path / "RTSTRUCT.dcm").stat().st_size
    dicom.load(tmp_path, keep=keep)  # imports
    tracemalloc.start()
    case = dicom.load(tmp_path, keep=keep)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    kept = sum(a.nbytes for a in (case.ct_hu, case.reference_dose_gy, *case.structures.values()))
    assert peak < 3 * kept + 2 * text
