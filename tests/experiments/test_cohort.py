"""What --source, --data, --split and --cases choose, and what they refuse."""

from __future__ import annotations

from pathlib import Path

import pyRadPlan
import pytest

import radplan_env
from radplan_env.protocol import load_protocol
from radplan_experiments.cohort import SITES, Origin, UsageError, open_cohort, read_names, select

IDS = tuple(f"openkbp/pt_{number}" for number in (247, 286, 294))


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        (("all",), IDS),
        (("2",), IDS[:2]),
        (("pt_294",), IDS[2:]),
        (("pt_294", "openkbp/pt_247"), (IDS[2], IDS[0])),
    ],
)
def test_cases_by_number_or_id(wanted: tuple[str, ...], chosen: tuple[str, ...]) -> None:
    assert select(IDS, wanted) == chosen


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (("4",), "ask for 1 to 3"),
        (("0",), "ask for 1 to 3"),
        (("pt_1",), "no pt_1 among openkbp/pt_247"),
        (("pt_247", "openkbp/pt_247"), "each once"),
        ((), "give a number"),
    ],
)
def test_cases_that_are_not_there(wanted: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        select(IDS, wanted)


@pytest.mark.parametrize(
    ("origin", "message"),
    [
        (Origin("synthetic", ("/",)), "reads no --data"),
        (Origin("synthetic", split="dev"), "train, validation, test"),
        (Origin("openkbp"), "needs --data"),
        (Origin("openkbp", ("/nowhere",)), "there is no /nowhere"),
        (Origin("openkbp", ("/usr",)), "no patients"),
        (Origin("dicom"), "needs --data"),
        (Origin("ct"), "there are synthetic, openkbp, dicom, matrad"),
        (Origin("openkbp", ("/usr",), names="names.yaml"), "--names is for"),
        (Origin("matrad", names="names.yaml"), "names.yaml"),
    ],
)
def test_origins_that_are_not_there(origin: Origin, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        open_cohort(origin)


def test_synthetic_splits() -> None:
    cohort = open_cohort(Origin("synthetic", split="test"))
    assert len(cohort.ids) == 11  # as many as the paper has
    assert cohort["synthetic/test/3"].id == "synthetic/test/3"
    assert set(cohort.ids).isdisjoint(open_cohort(Origin("synthetic", split="train")).ids)


def test_openkbp_test_patients(shared_data: Path) -> None:
    cohort = open_cohort(Origin("openkbp", (str(shared_data / "openkbp"),)))
    assert len(cohort.ids) == 6
    assert cohort[cohort.ids[0]].reference_dose_gy is not None


def test_tg119_comes_with_pyradplan() -> None:
    (case_id,) = open_cohort(Origin("matrad")).ids
    case = open_cohort(Origin("matrad"))[case_id]
    assert case.id == case_id
    assert load_protocol(SITES["tg119"].protocol).primary.structure in case.structures


def test_names_of_a_file_are_mapped_as_the_user_says(tmp_path: Path) -> None:
    (tmp_path / "names.yaml").write_text("OuterTarget: PTV_7020\nCore: Rectum\nBODY: Body\n")
    file = Path(pyRadPlan.__file__).parent / "data" / "phantoms" / "TG119.mat"
    cohort = open_cohort(Origin("matrad", (str(file),), names=str(tmp_path / "names.yaml")))
    assert set(cohort["matrad/1"].structures) == {"PTV_7020", "Rectum", "Body"}


def test_patients_given_by_path_are_called_by_their_place(tmp_path: Path) -> None:
    """Neither file nor folder names reach the results: they may tell who the patient is."""
    folders = tuple(str(tmp_path / name) for name in ("Doe^John", "Roe^Jane"))
    for folder in folders:
        Path(folder).mkdir()
    assert open_cohort(Origin("dicom", folders)).ids == ("dicom/1", "dicom/2")


@pytest.mark.parametrize("text", ["- a\n", "PTV: 7\n", "PTV: [a\n"])
def test_names_file_is_checked(tmp_path: Path, text: str) -> None:
    (tmp_path / "names.yaml").write_text(text)
    with pytest.raises(UsageError, match=r"names\.yaml"):
        read_names(str(tmp_path / "names.yaml"))


def test_names_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "names.yaml").write_text("Prostate PTV: PTV_7020\nCouch: null\n")
    assert read_names(str(tmp_path / "names.yaml")) == {"Prostate PTV": "PTV_7020", "Couch": None}


def test_every_site_has_its_protocol_and_environment() -> None:
    for site in SITES.values():
        module, _, environment = site.environment.partition(":")
        assert module == radplan_env.__name__
        assert radplan_env.ENVIRONMENTS[environment] == site.protocol
