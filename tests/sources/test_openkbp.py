import numpy as np
import pytest

from radplan_env.case import CaseError
from radplan_env.grid import resample
from radplan_env.sources import openkbp
from radplan_env.structure_names import standard_name

SHAPE = (128, 128, 128)
SIZE_MM = (4.0, 4.0, 2.5)


def write(file, mask, values=None):
    index = np.flatnonzero(mask)
    lines = [f"{i},{'' if values is None else values.flat[i]}" for i in index]
    file.write_text("\n".join([",data", *lines]) + "\n")


@pytest.fixture
def folder(tmp_path):
    """One made-up patient in OpenKBP's layout and axes: anterior→posterior, right→left, superior→inferior.

    A head above (low index of the last axis) wider shoulders, a windpipe, a couch behind with a strut
    to the shoulders, and a value beyond 12 bits.
    """
    patient = tmp_path / "provided-data" / "test-pats" / "pt_7"
    patient.mkdir(parents=True)
    a, r, s = np.ogrid[:128, :128, :128]
    head = ((a - 60) ** 2 + (r - 64) ** 2 < 10**2) & (s >= 40) & (s < 60)
    shoulders = (np.abs(a - 60) < 10) & (np.abs(r - 64) < 20) & (s >= 60) & (s < 76)
    windpipe = ((a - 54) ** 2 + (r - 64) ** 2 < 3**2) & (s >= 40) & (s < 76)
    couch = (a >= 74) & (a < 77) & (np.abs(r - 64) < 30) & (s >= 40) & (s < 76)
    couch |= (a >= 70) & (a < 74) & (r >= 60) & (r < 63) & (s >= 70) & (s < 73)
    body = head | shoulders
    raw = np.where(couch, 900.0, np.where(body & ~windpipe, 1040.0, 0.0))
    raw[60, 64, 50] = 20000.0
    ptv = body & (np.abs(a - 58) < 4) & (np.abs(r - 60) < 4) & (np.abs(s - 65) < 4)
    left_parotid = body & (np.abs(a - 60) < 3) & (np.abs(r - 70) < 3) & (np.abs(s - 50) < 3)
    write(patient / "ct.csv", raw > 0, raw)
    write(patient / "possible_dose_mask.csv", body)
    write(patient / "dose.csv", body, np.where(ptv, 70.0, 10.0))
    write(patient / "PTV70.csv", ptv)
    write(patient / "LeftParotid.csv", left_parotid)
    (patient / "voxel_dimensions.csv").write_text("\n".join(map(str, SIZE_MM)) + "\n")
    return tmp_path


def test_reads_the_official_layout(folder):
    for path in (folder, folder / "provided-data"):
        cohort = openkbp.load(path, "test")
        assert cohort.ids == ("openkbp/pt_7",) and len(cohort) == 1
    case = cohort["openkbp/pt_7"]
    assert case.source == "openkbp" and not case.synthetic
    assert set(case.structures) == {"Body", "PTV_7000", "Parotid_L"}
    assert case.grid.spacing_mm == (2.5, 4.0, 4.0)
    assert case.ct_hu.min() == -1000 and case.ct_hu.max() == 4095 - 1000
    assert case.reference_dose_gy.max() == 70


def test_head_up_and_left_on_the_left(folder):
    case = openkbp.load(folder, "test")[0]
    centre = {n: np.argwhere(m).mean(axis=0) for n, m in case.structures.items()}
    width = case.structures["Body"].any(axis=1).sum(axis=1)  # by height
    slices = np.flatnonzero(width)
    assert width[slices[-1]] < width[slices[0]], "the head is narrower than the shoulders and lies above"
    assert centre["Parotid_L"][0] > centre["PTV_7000"][0], "the parotid lies above the target"
    assert centre["Parotid_L"][2] > centre["Body"][2], "patient left has the higher index"


def test_body_has_its_airways_and_no_couch(folder):
    case = openkbp.load(folder, "test")[0]
    body = case.structures["Body"]
    middle = np.argwhere(body).mean(axis=0).round().astype(int)
    windpipe = case.ct_hu[middle[0] + 5, :, 64] < -900
    assert (windpipe & body[middle[0] + 5, :, 64]).any(), "air inside the patient is body"
    assert not body[:, 74:].any(), "the couch is not"
    assert (case.ct_hu[~body] == -1000).all()


def rewrite(folder, change):
    """The patient's CT and structures as arrays, changed by a function, written anew."""
    patient = folder / "provided-data" / "test-pats" / "pt_7"
    masks = {name: openkbp._mask(patient / f"{name}.csv") for name in ("PTV70", "LeftParotid", "possible_dose_mask")}
    index, values = openkbp._table(patient / "ct.csv")
    raw = np.zeros(SHAPE)
    raw.flat[index] = values
    change(raw, masks)
    write(patient / "ct.csv", raw > 0, raw)
    for name, mask in masks.items():
        write(patient / f"{name}.csv", mask)
    write(patient / "dose.csv", masks["possible_dose_mask"], np.where(masks["PTV70"], 70.0, 10.0))
    return openkbp.load(folder, "test")[0], masks


def test_body_holds_a_cord_that_goes_on_beyond_a_short_scan(folder):
    """The released CT shows nothing but the cord there."""

    def lengthen(raw, masks):
        masks["SpinalCord"] = np.zeros(SHAPE, bool)
        masks["SpinalCord"][64:67, 63:66, 45:120] = True
        raw[masks["SpinalCord"]] = 1030.0

    short_cc = openkbp.load(folder, "test")[0].volume_cc("Body")
    case, masks = rewrite(folder, lengthen)
    assert case.structures["SpinalCord"].sum() == masks["SpinalCord"].sum()
    beyond_cc = 3 * 3 * (120 - 76) * np.prod(SIZE_MM) / 1000
    assert any("SpinalCord" in note and f"{beyond_cc:.1f} cc" in note for note in case.notes)
    assert case.volume_cc("Body") == pytest.approx(short_cc + beyond_cc, rel=1e-6)


def test_body_is_what_holds_the_structures_not_the_largest_thing(folder):
    """A filled couch larger than the patient, and shoulders that the scan leaves before they join the neck."""

    def surround(raw, masks):
        a, r, s = np.ogrid[:128, :128, :128]
        shoulders = (np.hypot(a - 60, np.abs(r - 64) - 35) < 8) & (s >= 66) & (s < 76)
        couch = (a >= 90) & (a < 110) & (s >= 0)
        raw[np.broadcast_to(shoulders, SHAPE)] = 1040.0
        raw[np.broadcast_to(couch, SHAPE)] = 100.0  # foam in a hard shell
        raw[np.broadcast_to(couch & ((a == 90) | (a == 109) | (r == 0) | (r == 127)), SHAPE)] = 1400.0
        masks["possible_dose_mask"] |= shoulders

    alone_cc = openkbp.load(folder, "test")[0].volume_cc("Body")
    case, _ = rewrite(folder, surround)
    assert not case.structures["Body"][:, 90:].any()
    shoulders_cc = 2 * np.pi * 8**2 * 10 * np.prod(SIZE_MM) / 1000
    assert case.volume_cc("Body") == pytest.approx(alone_cc + shoulders_cc, rel=0.03)


def test_a_mouth_ajar_is_inside(folder):
    def open_mouth(raw, masks):
        a, r, s = np.ogrid[:128, :128, :128]
        mouth = ((a - 62) ** 2 + (r - 64) ** 2 < 4**2) & (s >= 45) & (s < 50)
        lips = (a == 62) & (r < 64) & (s >= 45) & (s < 50)
        raw[mouth | lips] = 0.0
        masks["possible_dose_mask"] &= ~(mouth | lips)

    case, _ = rewrite(folder, open_mouth)
    slice_ = np.argwhere(case.structures["Body"])[:, 0].max() - (47 - 40)
    assert case.structures["Body"][slice_, 62, 64] and case.ct_hu[slice_, 62, 64] == -1000


def test_missing_air_is_no_truncation(folder):
    """Air has the raw value 0 and is left out of ct.csv; a file cut short lacks the last voxels."""

    def widen(raw, masks):
        masks["possible_dose_mask"][40:50, 40:90, 60:76] = True  # air in front of the neck

    case, _ = rewrite(folder, widen)
    assert not case.structures["Body"][:, 40:50].any() and case.notes == ()


def test_what_was_cut_out_of_the_patient_is_water(folder):
    def hollow(raw, masks):
        a, r, s = np.ogrid[:128, :128, :128]
        hole = ((a - 60) ** 2 + (r - 64) ** 2 < 8**2) & (s >= 40) & (s < 50)
        raw[hole] = 0.0
        masks["possible_dose_mask"] &= ~hole
        masks["LeftParotid"] &= ~hole

    whole_cc = openkbp.load(folder, "test")[0].volume_cc("Body")
    case, _ = rewrite(folder, hollow)
    assert case.volume_cc("Body") == pytest.approx(whole_cc, rel=0.01)
    assert case.ct_hu[np.argwhere(case.structures["Body"])[:, 0].max() - 5, 60, 64] == 0
    assert any("taken as water" in note for note in case.notes)


def scaled(name, factor):
    def scale(file):
        lines = (line.split(",") for line in file.read_text().splitlines()[1:])
        file.write_text("\n".join([",data", *(f"{i},{float(v) * factor}" for i, v in lines)]) + "\n")

    return name, scale


@pytest.mark.parametrize(
    "name, damage",
    [
        scaled("dose", 100),  # cGy
        scaled("dose", 1 / 35),  # a fraction
        scaled("ct", 1 / 1000),
        ("voxel_dimensions", lambda f: f.write_text("0.4\n0.4\n0.25\n")),  # cm
    ],
)
def test_implausible_units_are_refused(folder, name, damage):
    file = folder / "provided-data" / "test-pats" / "pt_7" / f"{name}.csv"
    damage(file)
    with pytest.raises(CaseError, match=f"{name}.csv"):
        openkbp.load(folder, "test")[0]


def test_a_structure_of_another_patient_is_refused(folder):
    patient = folder / "provided-data" / "test-pats" / "pt_7"
    mask = np.zeros(SHAPE, bool)
    mask[100:110, 100:110, 100:110] = True
    write(patient / "Larynx.csv", mask)
    with pytest.raises(CaseError, match=r"Larynx\.csv"):
        openkbp.load(folder, "test")[0]


def test_patients_are_in_numeric_order_and_selected_by_id(folder):
    split = folder / "provided-data" / "test-pats"
    for number in (10, 100, 9):
        (split / f"pt_{number}").mkdir()
    cohort = openkbp.load(folder, "test")
    assert cohort.ids == ("openkbp/pt_7", "openkbp/pt_9", "openkbp/pt_10", "openkbp/pt_100")
    assert cohort[1:3].ids == ("openkbp/pt_9", "openkbp/pt_10")
    assert cohort.select(["pt_100", "openkbp/pt_7"]).ids == ("openkbp/pt_100", "openkbp/pt_7")
    with pytest.raises(CaseError, match="pt_8"):
        cohort.select(["pt_8"])
    with pytest.raises(CaseError, match="pt_8"):
        cohort["openkbp/pt_8"]


def cut(file):
    file.write_bytes(file.read_bytes()[:-3])


def cut_at_a_line(file):
    lines = file.read_text().splitlines()
    file.write_text("\n".join(lines[: len(lines) // 2]) + "\n")


@pytest.mark.parametrize(
    "name, damage, problem",
    [
        ("ct", cut, "truncated"),
        ("ct", cut_at_a_line, "truncated"),
        ("dose", cut_at_a_line, "truncated"),
        ("PTV70", cut, "truncated"),
        ("PTV70", lambda f: f.write_text(",data\n"), "no voxels"),
        ("PTV70", lambda f: f.write_text(""), "truncated"),
        ("PTV70", lambda f: f.write_text(",data\n2097152,\n"), "outside"),
        ("PTV70", lambda f: f.write_text(",data\n-1,\n"), "outside"),
        ("PTV70", lambda f: f.write_text(",data\n5,\n5,\n"), "twice"),
        ("PTV70", lambda f: f.write_text(",data\nfive,\n"), "damaged"),
        ("ct", lambda f: f.write_text(f.read_text() + "7,\n"), "no numbers"),
        ("ct", lambda f: f.unlink(), "missing"),
        ("dose", lambda f: f.unlink(), "missing"),
        ("voxel_dimensions", lambda f: f.write_text("4.0\n4.0\n"), "three numbers"),
        ("voxel_dimensions", lambda f: f.write_text("4.0\n4.0\nwide\n"), "damaged"),
    ],
)
def test_damaged_files_are_named(folder, name, damage, problem):
    file = folder / "provided-data" / "test-pats" / "pt_7" / f"{name}.csv"
    damage(file)
    with pytest.raises(CaseError, match=problem) as error:
        openkbp.load(folder, "test")[0]
    assert f"{name}.csv" in str(error.value)


def test_unknown_split_and_empty_folder(tmp_path):
    with pytest.raises(CaseError, match="train, validation, test"):
        openkbp.load(tmp_path, "val")
    with pytest.raises(CaseError, match="no patients"):
        openkbp.load(tmp_path, "test")


def test_structures_without_a_tg263_name_are_left_out_and_listed(folder):
    patient = folder / "provided-data" / "test-pats" / "pt_7"
    (patient / "PTV70.csv").rename(patient / "my blob.csv")
    case = openkbp.load(folder, "test")[0]
    assert case.unmapped == ("my blob",) and case.targets == ()


def test_a_real_patient(shared_data):
    """The reference plan of pt_17 as FACTS.md has it, on a 4 mm grid, and anatomy where it belongs."""
    cohort = openkbp.load(shared_data / "openkbp", "train")
    case = cohort["openkbp/pt_17"]
    grid = case.grid.coarsened(4.0)
    dose = resample(case.reference_dose_gy, case.grid, grid)
    masks = {name: resample(mask, case.grid, grid) for name, mask in case.structures.items()}
    assert np.percentile(dose[masks["PTV_7000"]], (5, 98)) == pytest.approx([68.6, 71.7], abs=0.5)
    assert np.percentile(dose[masks["PTV_5600"]], 5) == pytest.approx(56.1, abs=0.5)
    means = [dose[masks[name]].mean() for name in ("Parotid_R", "Parotid_L")]
    own = [case.reference_dose_gy[case.structures[name]].mean() for name in ("Parotid_R", "Parotid_L")]
    assert means == pytest.approx(own, abs=0.2) and own == pytest.approx([42.6, 12.3], abs=0.1)
    z, y, _ = np.array([np.argwhere(masks[n]).mean(axis=0) for n in ("Brainstem", "Larynx")]).T
    assert z[0] > z[1] and y[0] > y[1], "the brainstem lies above and behind the larynx"
    assert np.argwhere(masks["Parotid_L"])[:, 2].mean() > np.argwhere(masks["Parotid_R"])[:, 2].mean()


@pytest.mark.slow
@pytest.mark.parametrize("split", openkbp.SPLITS)
def test_every_real_patient_is_read_whole(shared_data, split):
    for case in openkbp.load(shared_data / "openkbp", split):
        patient = shared_data / "openkbp" / "provided-data" / f"{split}-pats" / case.id.rpartition("/")[2]
        for file in patient.glob("*.csv"):
            if (name := standard_name(file.stem)) is not None:
                assert case.structures[name].sum() == len(file.read_text().splitlines()) - 1, (case.id, name)
        body = case.structures["Body"]
        assert 1500 < case.volume_cc("Body") < 20000, case.id  # a head, or head, neck and shoulders
        tissue = case.ct_hu[body]
        assert np.median(tissue) == pytest.approx(40, abs=80), case.id
        # What is hot outside the body is air: dose beside the skin, where the scan shows no tissue (6 % in pt_103).
        hot_tissue = (case.reference_dose_gy > 35) & ~body & (case.ct_hu > -400)
        assert np.count_nonzero(hot_tissue) < 0.01 * np.count_nonzero(body), case.id
