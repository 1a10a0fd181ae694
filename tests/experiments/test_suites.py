"""Suites: true to the package, refused where anything is not theirs, and never the name of a run that departs."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from radplan_env.influence import FIDELITIES
from radplan_env.protocol import load_protocol, read_protocol
from radplan_env.scorecards import load_scorecard
from radplan_env.sites import SITES
from radplan_env.sources import openkbp, synthetic
from radplan_experiments import suites
from radplan_experiments.cohort import UsageError
from radplan_experiments.options import CompareOptions
from radplan_experiments.recording.run_folder import RunFolder
from radplan_experiments.recording.settings import BeamModelChoice, ScorecardChoice, Settings
from radplan_experiments.recording.standing import altered_cases, standing
from radplan_experiments.running.run_settings import settings_of_suite
from radplan_experiments.suites import Suite, available_suites, load_suite

Record = dict[str, Any]
EpisodeMaker = Callable[..., Record]


EDITED = read_protocol(load_protocol("prostate").to_dict() | {"fractions": 39}, "edited")


@pytest.fixture
def suite() -> Suite:
    return load_suite("prostate-v1")


@pytest.fixture
def as_asked(suite: Suite) -> Settings:
    """Settings of the suite's run."""
    return Settings(
        site=suite.site,
        protocol=load_protocol(suite.protocol),
        scorecard=ScorecardChoice.of(load_scorecard(suite.scorecard.name)),
        source=suite.source,
        data=(),
        split=suite.split,
        names=None,
        cases=tuple(suite.cases),
        agents=("template", "random"),
        budget=suite.budget,
        seeds=suite.seeds,
        fidelity=suite.fidelity,
        deterministic=("template",),
        suite=suite.name,
    )


# ------------------------------------------------------------------------------------------------ files and the package


@pytest.mark.parametrize("name", available_suites())
def test_a_suite_is_what_the_package_runs(name: str) -> None:
    suite = load_suite(name)
    digest = load_protocol(suite.protocol).digest(suite.scorecard.name)
    assert digest == suite.protocol_digest, (
        f"protocol {suite.protocol} has changed: its digest is {digest}. Until {name} is published, write what "
        f"`python -m radplan_experiments.suites {name}` prints into its file; afterwards make a new version "
        "(docs/suites.md)"
    )
    scorecard = load_scorecard(suite.scorecard.name).identity
    assert suite.scorecard.model_dump() == scorecard, f"scorecard {suite.scorecard.name} has changed; it is {scorecard}"
    assert suite.resolution == FIDELITIES[suite.fidelity]
    assert suite.protocol == SITES[suite.site].protocol


def test_prostate_v1_is_the_synthetic_test_split() -> None:
    assert tuple(load_suite("prostate-v1").cases) == tuple(synthetic.load("test").ids)


@pytest.mark.parametrize("number", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 11))])
def test_synthetic_cases_are_those_of_the_suite(suite: Suite, number: int) -> None:
    case = synthetic.load("test")[number]
    assert case.digest() == suite.cases[case.id]


@pytest.mark.parametrize("number", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 6))])
def test_openkbp_cases_are_those_of_the_suite(shared_data: Path, number: int) -> None:
    case, digest = list(load_suite("head-and-neck-v1").cases.items())[number]
    patients = openkbp.load(shared_data / "openkbp" / "provided-data", "test")
    if case not in patients.ids:
        pytest.skip(f"{case} is not in shared/data/openkbp")
    assert patients[case].digest() == digest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"speed": 9}, "speed: Extra inputs"),
        ({"name": "prostate"}, "name: String should match"),
        ({"name": "prostate-v2"}, "make them one"),
        ({"budget": 0}, "budget: Input should be greater"),
        ({"seeds": "many"}, "seeds: Input should be a valid integer"),
        ({"cases": {}}, "cases: "),
        ({"cases": {"synthetic/test/0": "abc"}}, "cases.synthetic/test/0: String should match"),
        ({"sampling": {"speed": 9}}, "sampling.speed"),
        ({"engine": "theirs"}, "engine: Input should be 'radplan'"),
    ],
)
def test_bad_files_are_refused_with_the_key(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, suite: Suite, change: dict[str, Any], message: str
) -> None:
    content = suite.model_dump(mode="json") | change
    (tmp_path / "prostate-v1.yaml").write_text(yaml.safe_dump(content))
    monkeypatch.setattr(suites, "FOLDER", tmp_path)
    with pytest.raises(ValueError, match=message):
        load_suite("prostate-v1")


def test_unknown_suites_are_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"'prostate-v9'; there are head-and-neck-v1, prostate-v1"):
        load_suite("prostate-v9")


def test_the_suites_files_go_with_the_package() -> None:
    text = (Path(suites.__file__).parents[3] / "pyproject.toml").read_text()
    assert "suites/*.yaml" in text


# ------------------------------------------------------------------------------------------------- what a run is called


def test_a_run_of_the_suites_settings_departs_in_nothing(suite: Suite, as_asked: Settings) -> None:
    assert suite.departures(as_asked) == ()
    assert suite.missing(as_asked.cases) == ()
    others = dataclasses.replace(as_asked, agents=("mypackage:Agent",), deterministic=(), instructions="be kind")
    assert suite.departures(others) == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"site": "tg119"}, "site tg119, not prostate"),
        ({"scorecard": ScorecardChoice("toy", "1", "0" * 64)}, "scorecard toy, not v1"),
        ({"scorecard": ScorecardChoice("v1", "1", "0" * 64)}, "another version of scorecard v1"),
        ({"gantry_angles_deg": (0.0, 90.0)}, "beams of its own"),
        ({"beam_model": BeamModelChoice.of("matrad-generic")}, "beam model matrad-generic, not generic-6x"),
        ({"beam_model": BeamModelChoice("generic-6x", "0" * 64)}, "another version of beam model generic-6x"),
        ({"source": "dicom"}, "source dicom, not synthetic"),
        ({"split": "validation"}, "split validation, not test"),
        ({"budget": 9}, "budget 9, not 10"),
        ({"seeds": 5}, "seeds 5, not 3"),
        ({"fidelity": "standard"}, "fidelity standard, not fast (5 mm dose grid, 8 mm bixels)"),
        ({"fidelity": "mine"}, "fidelity mine, not fast (5 mm dose grid, 8 mm bixels)"),
        ({"protocol": EDITED}, "another version of the protocol"),
        ({"cases": ("synthetic/test/0", "synthetic/train/7")}, "cases of its own (synthetic/train/7)"),
    ],
)
def test_whatever_differs_is_named(suite: Suite, as_asked: Settings, change: dict[str, Any], said: str) -> None:
    (departure,) = suite.departures(dataclasses.replace(as_asked, **change))
    assert departure.startswith(said)


@pytest.fixture
def folder(tmp_path: Path, suite: Suite, as_asked: Settings, episode: EpisodeMaker, plan_summary: Any) -> RunFolder:
    """The folder of the suite's run, whole."""
    records = {key: episode(*key, [plan_summary(60)]) for key in as_asked.episodes()}
    folder = RunFolder(tmp_path, as_asked, records)
    for case, digest in suite.cases.items():
        _note(folder, case, digest)
    return folder


def _note(
    folder: RunFolder,
    case: str,
    digest: str = "",
    missing: Sequence[str] = (),
    unmapped: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> None:
    folder.case_path(case).parent.mkdir(exist_ok=True)
    known = {"digest": digest, "reference": None, "missing": missing, "unmapped": unmapped, "notes": notes}
    folder.case_path(case).write_text(json.dumps(known))


def test_a_whole_run_bears_the_suites_name(folder: RunFolder, suite: Suite) -> None:
    assert standing(folder) == [f"Suite prostate-v1: {suite.asks} {suite.limits}"]
    assert altered_cases(folder) == {}


def test_without_a_suite_nothing_is_claimed(folder: RunFolder) -> None:
    folder.settings = dataclasses.replace(folder.settings, suite=None)
    assert standing(folder) == []
    assert altered_cases(folder) == {}


def test_a_missing_case_costs_the_name(folder: RunFolder) -> None:
    folder.settings = dataclasses.replace(folder.settings, cases=folder.settings.cases[1:])
    assert standing(folder) == ["Not prostate-v1: synthetic/test/0 missing."]


def test_a_case_of_other_content_costs_the_name_and_is_not_played(folder: RunFolder) -> None:
    _note(folder, "synthetic/test/4", "0" * 64)
    assert standing(folder) == ["Not prostate-v1: synthetic/test/4 with other data."]
    assert altered_cases(folder) == {"synthetic/test/4": "its data are not those that prostate-v1 was made with"}


def test_what_is_not_played_or_failed_is_counted(folder: RunFolder) -> None:
    first, second, third, *_ = folder.records
    del folder.records[first], folder.records[second]
    folder.records[third]["status"] = "failed"
    suite_line, incomplete = standing(folder)
    assert suite_line.startswith("Suite prostate-v1")
    assert incomplete == f"Incomplete: of {11 + 33} episodes 2 not played, 1 failed."


def test_organs_that_are_not_judged_are_named(folder: RunFolder) -> None:
    """Unmapped names make a plan look better: what is lost must be seen."""
    folder.settings = dataclasses.replace(folder.settings, suite=None)
    for number, lacking in enumerate((("Bladder", "Rectum"), (), ("PTV_5400",))):
        _note(folder, f"synthetic/test/{number}", missing=lacking, unmapped=("Rektum", "Blase") if lacking else ())
    other, line = standing(folder)
    assert other == "synthetic/test/2: 'Rektum' and 'Blase' left out, for want of a known name or of an area."
    assert "there is no Bladder and no Rectum on synthetic/test/0, so 8 of the protocol's 20 criteria" in line
    assert "names are not known: 'Rektum' and 'Blase'. Give --names" in line


def test_what_was_changed_on_reading_is_named(folder: RunFolder) -> None:
    folder.settings = dataclasses.replace(folder.settings, suite=None)
    for number in range(3):
        _note(folder, f"synthetic/test/{number}", notes=("the dose misses 'Rectum'",) if number < 2 else ())
    assert standing(folder) == ["synthetic/test/0 and synthetic/test/1: the dose misses 'Rectum'."]


def test_a_suite_that_is_gone_is_no_reason_to_lose_the_report(folder: RunFolder) -> None:
    folder.settings = dataclasses.replace(folder.settings, suite="prostate-v9")
    (line,) = standing(folder)
    assert line.startswith("Not prostate-v9: no suite 'prostate-v9'")


# -------------------------------------------------------------------------------------------------- options to settings


def test_a_suite_sets_what_is_run(suite: Suite, as_asked: Settings) -> None:
    assert settings_of_suite("prostate-v1", CompareOptions(agents=("template", "random"))) == as_asked


def test_an_edited_protocol_cannot_pass_for_the_suite(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    content = load_suite("prostate-v1").model_dump(mode="json") | {"protocol_digest": "0" * 64}
    (tmp_path / "prostate-v1.yaml").write_text(yaml.safe_dump(content))
    monkeypatch.setattr(suites, "FOLDER", tmp_path)
    with pytest.raises(UsageError, match="another version of the protocol"):
        settings_of_suite("prostate-v1", CompareOptions(agents=("template",)))


def test_patients_that_are_there_are_planned(tmp_path: Path) -> None:
    data = tmp_path / "provided-data"
    for patient in ("pt_294", "pt_1"):
        (data / "test-pats" / patient).mkdir(parents=True)
    settings = settings_of_suite("head-and-neck-v1", CompareOptions(agents=("template",), data=(data,)))
    assert settings.cases == ("openkbp/pt_294",)
    suite = load_suite("head-and-neck-v1")
    assert suite.departures(settings) == ()
    assert len(suite.missing(settings.cases)) == 5


def test_a_suite_without_any_of_its_patients_is_refused(tiny_openkbp: Path) -> None:
    with pytest.raises(UsageError, match="none of its cases is there: openkbp/pt_247"):
        settings_of_suite("head-and-neck-v1", CompareOptions(agents=("template",), data=(tiny_openkbp,)))


# ---------------------------------------------------------------------------------------------------- from the terminal


@pytest.fixture
def tiny_suite(tiny_openkbp: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A suite of the two tiny patients, one of which has other data than the suite's, and of one that is not there."""
    patients = openkbp.load(tiny_openkbp, "test")
    content = load_suite("head-and-neck-v1").model_dump(mode="json") | {
        "name": "tiny-v0",
        "budget": 1,
        "cases": {
            "openkbp/pt_1": patients["openkbp/pt_1"].digest(),
            "openkbp/pt_2": "0" * 64,
            "openkbp/pt_3": "1" * 64,
        },
    }
    folder = tmp_path / "suites"
    folder.mkdir()
    (folder / "tiny-v0.yaml").write_text(yaml.safe_dump(content))
    shutil.copy(suites.FOLDER / "best-known.csv", folder)
    monkeypatch.setattr(suites, "FOLDER", folder)
    return "tiny-v0"


@pytest.mark.slow
def test_what_is_missing_or_altered_is_said_and_the_rest_planned(
    tiny_suite: str, tiny_openkbp: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from radplan_experiments.commands.compare import main

    out = tmp_path / "out"
    code = main(["--suite", tiny_suite, "--data", str(tiny_openkbp), "--agents", "template", "--out", str(out)])
    said = capfd.readouterr().err
    assert code == 1
    assert "this will not be tiny-v0: openkbp/pt_3 missing" in said
    assert "case openkbp/pt_2 is left out: its data are not those that tiny-v0 was made with" in said
    heading = (out / "tables.md").read_text()
    assert "- Not tiny-v0: openkbp/pt_3 missing; openkbp/pt_2 with other data." in heading
    assert "- Incomplete: of 2 episodes 1 not played." in heading
    assert json.loads((out / "run.json").read_text())["settings"]["suite"] == "tiny-v0"
    records = [json.loads(line) for line in (out / "episodes.jsonl").read_text().splitlines()]
    assert [(record["case"], record["seed"]) for record in records] == [("openkbp/pt_1", 0)]
