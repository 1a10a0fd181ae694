"""What --source, --data, --split and --cases choose, and what they refuse."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import gymnasium
import numpy as np
import pydicom
import pyRadPlan
import pytest

from radplan_env.case import Case, CaseError
from radplan_env.export import export_dicom
from radplan_env.protocol import load_protocol
from radplan_env.sites import SITES, Site, site_of
from radplan_env.sources import SOURCES
from radplan_experiments.cohort import (
    Origin,
    UsageError,
    environment_of,
    names_not_found,
    open_cohort,
    read_names,
    select,
    site_named,
)

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
        (Origin("synthetic", ("/",)), "reads no data.*--source"),
        (Origin("synthetic", split="dev"), "train, validation, test"),
        (Origin("openkbp"), "--data: .*provided-data"),
        (Origin("openkbp", ("/nowhere",)), "there is no /nowhere"),
        (Origin("openkbp", ("/usr",)), "no patients"),
        (Origin("openkbp", ("/usr",), split="hard-test"), "openkbp has no split 'hard-test'"),
        (Origin("dicom"), "--data: .*CT and RTSTRUCT"),
        (Origin("ct"), "choose from synthetic, openkbp, dicom, matrad"),
        (Origin("openkbp", ("/usr",), reference_dose=False), "--no-reference-dose"),
        (Origin("matrad", names="names.yaml"), "names.yaml"),
    ],
)
def test_origins_that_are_not_there(origin: Origin, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        open_cohort(origin)


def test_synthetic_splits() -> None:
    cohort = open_cohort(Origin("synthetic", split="test"))
    assert len(cohort.ids) == 11  # as many as the paper has
    assert open_cohort(Origin("synthetic", split="hard-test")).ids[0] == "synthetic/hard-test/0"
    assert cohort["synthetic/test/3"].id == "synthetic/test/3"
    assert set(cohort.ids).isdisjoint(open_cohort(Origin("synthetic", split="train")).ids)


def test_openkbp_test_patients(shared_data: Path) -> None:
    cohort = open_cohort(Origin("openkbp", (str(shared_data / "openkbp"),)))
    downloaded = (shared_data / "openkbp" / "provided-data" / "test-pats").iterdir()
    assert set(cohort.ids) == {f"openkbp/{folder.name}" for folder in downloaded}
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


def test_one_names_file_serves_patients_who_lack_some_of_its_names(tmp_path: Path) -> None:
    (tmp_path / "names.yaml").write_text("OuterTarget: PTV_7020\nKern: Rectum\nCore: Rectum\nCouch: null\n")
    file = str(Path(pyRadPlan.__file__).parent / "data" / "phantoms" / "TG119.mat")
    origin = Origin("matrad", (file, file), names=str(tmp_path / "names.yaml"))
    assert set(open_cohort(origin)["matrad/2"].structures) == {"PTV_7020", "Rectum", "Body"}
    assert names_not_found(origin) == ("Kern", "Couch")


def test_a_structure_that_only_the_protocol_names_is_found_in_the_data(tmp_path: Path, box_case: Case) -> None:
    masks = {**box_case.structures, "Bone_Ilium_L": box_case.structures["Rectum"]}
    case = replace(box_case, structures=masks)
    export_dicom(case, np.ones(case.grid.shape), case.grid, tmp_path)
    plain, asked = (Origin("dicom", (str(tmp_path),), structures=names) for names in ((), ("Bone_Ilium_L", "Scar_2")))
    assert open_cohort(plain)["dicom/1"].unmapped == ("Bone_Ilium_L",)
    assert "Bone_Ilium_L" in open_cohort(asked)["dicom/1"].structures
    assert names_not_found(asked) == ()


def test_an_unfit_reference_dose_is_refused_with_the_option_that_leaves_it_out(tmp_path: Path, box_case: Case) -> None:
    export_dicom(box_case, np.ones(box_case.grid.shape), box_case.grid, tmp_path)
    dose = pydicom.dcmread(tmp_path / "RTDOSE.dcm")
    dose.DoseSummationType = "BEAM"
    dose.save_as(tmp_path / "RTDOSE.dcm")
    with pytest.raises(CaseError, match="--no-reference-dose"):
        open_cohort(Origin("dicom", (str(tmp_path),)))["dicom/1"]
    case = open_cohort(Origin("dicom", (str(tmp_path),), reference_dose=False))["dicom/1"]
    assert case.reference_dose_gy is None


def test_patients_given_by_path_are_called_by_their_place(tmp_path: Path) -> None:
    """Neither file nor folder names reach the results: they may tell who the patient is."""
    folders = tuple(str(tmp_path / name) for name in ("Doe^John", "Roe^Jane"))
    for folder in folders:
        Path(folder).mkdir()
    assert open_cohort(Origin("dicom", folders)).ids == ("dicom/1", "dicom/2")


@pytest.mark.parametrize("text", ["- a\n", "PTV: 7\n", "PTV: [a\n", "Rektum: Recutm\n", "Ziel: PTV 70\n"])
def test_names_file_is_checked(tmp_path: Path, text: str) -> None:
    (tmp_path / "names.yaml").write_text(text)
    with pytest.raises(UsageError, match=r"names\.yaml"):
        read_names(str(tmp_path / "names.yaml"))


def test_names_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "names.yaml").write_text("Prostate PTV: PTV_7020\nCouch: null\n")
    assert read_names(str(tmp_path / "names.yaml")) == {"Prostate PTV": "PTV_7020", "Couch": None}


def test_a_source_whose_structures_are_named_takes_no_names_file(tmp_path: Path) -> None:
    (tmp_path / "names.yaml").write_text("Rektum: Rectum\n")
    with pytest.raises(UsageError, match="--names: .*openkbp"):
        open_cohort(Origin("openkbp", ("/usr",), names=str(tmp_path / "names.yaml")))


@pytest.mark.parametrize("site", SITES.values(), ids=SITES)
def test_every_site_has_its_protocol_source_and_environment(site: Site) -> None:
    protocol = load_protocol(site.protocol)
    assert site_of(protocol.name) is site
    assert site.source in SOURCES
    assert site.environment in gymnasium.registry and environment_of(site.id) == f"radplan_env:{site.environment}"
    for metric in site.trade_off or ():
        assert metric.partition(" ")[0] in protocol.slots


@pytest.mark.parametrize("name", ["brain", "prostate-v1"])
def test_a_site_that_is_not_there(name: str) -> None:
    with pytest.raises(UsageError, match="choose from prostate, head-and-neck, tg119"):
        site_named(name)
