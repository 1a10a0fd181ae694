"""Agents that talk to a language model, in runs as people start them: the service on loopback, faults and all."""

from __future__ import annotations

import dataclasses
import json
import random
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import scripted_server as scripted
from pydantic import SecretStr

from radplan_agents.agent import EpisodeInterruptedError
from radplan_agents.llm import Endpoint, Ledger, Limits, ModelSettings, Retrying, ServiceError, read_transcript
from radplan_env.export import export_ct, export_rtstruct
from radplan_env.sources import openkbp
from radplan_experiments.cohort import UsageError
from radplan_experiments.commands.compare import main
from radplan_experiments.options import LanguageModelOptions, ModelOptions, RunOptions
from radplan_experiments.recording.records import CIRCUMSTANCES
from radplan_experiments.recording.run_folder import RunFolder, RunFolderError, open_run_folder, read_run_folder
from radplan_experiments.recording.settings import ModelChoice, Settings
from radplan_experiments.running import language_model, run_settings, runner
from radplan_experiments.running.language_model import LanguageModel

Record = dict[str, Any]

KEY = "sk-SENTINEL/0123456789abcdef"
TALKER = "talking_agents:Talker"
SHOWER = "talking_agents:Shower"
CASE = "openkbp/pt_1"


def sensible(handler: scripted.Handler) -> None:
    """Changes one organ or the other, as the last message and the seed have it: the same whoever asks first."""
    said = json.dumps([handler.body["messages"][-1], handler.body.get("seed")])
    structure = ("SpinalCord", "Parotid_L")[len(said) % 2]
    factor = 1 + sum(said.encode()) % 70 / 10
    scripted.says(json.dumps({"structure": structure, "weight_factor": factor}))(handler)


@pytest.fixture
def service() -> Iterator[scripted.Service]:
    with scripted.running() as service:
        yield service


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No model but those that a test names, and a key that must be found nowhere."""
    monkeypatch.delenv("OPENAI_MODEL", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def compare(data: Path, out: Path, *arguments: object) -> int:
    """Runs compare.py on the tiny patients."""
    task = ["--site", "head-and-neck", "--data", data, "--budget", 3, "--jobs", 1, "--out", out]
    return main([str(argument) for argument in (*task, *arguments)])


def results(out: Path) -> dict[tuple[str, str, int], Record]:
    """Records by episode, without what may differ between runs of the same settings."""
    records = [json.loads(line) for line in (out / "episodes.jsonl").read_text().splitlines()]
    for record in records:
        for name in CIRCUMSTANCES:
            del record[name]
        if record["agent_record"] is not None:
            del record["agent_record"]["calls_from_cache"]
    return {(record["agent"], record["case"], record["seed"]): record for record in records}


# ------------------------------------------------------------------------------------------------- as people start them


@pytest.mark.slow
def test_interrupted_continued_and_replayed_runs_are_the_same(
    service: scripted.Service, tiny_openkbp: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Straight, cut off half-way and continued, and without the model: the same records to the last number."""
    straight, cut, replayed = tmp_path / "straight", tmp_path / "cut", tmp_path / "replayed"
    url = f"scripted@{service.url}"
    arguments = ["--agents", TALKER, "--cases", 1, "--seeds", 3, "--llm", url, "--instructions", "spare the cord"]
    service.script.extend([sensible] * 6)
    assert compare(tiny_openkbp, straight, *arguments, "--jobs", 2) == 0
    assert not service.script  # two questions in each of three episodes
    tables = capsys.readouterr().out
    assert "[transcripts](transcripts/talking_agents-Talker)" in tables

    service.script.extend([sensible] * 3 + [scripted.status(401, f"no such key {KEY}")])
    assert compare(tiny_openkbp, cut, *arguments, "--model.attempts", 1) == 1
    error = capsys.readouterr().err
    assert "check the API key" in error
    assert "What is finished is kept; go on with:\n  python experiments/compare.py --site head-and-neck" in error
    assert "Traceback" not in error
    before = (cut / "episodes.jsonl").read_bytes()
    assert before
    service.script.extend([sensible] * 3)  # what was paid for is not paid for again
    assert compare(tiny_openkbp, cut, *arguments) == 0
    assert not service.script
    assert (cut / "episodes.jsonl").read_bytes().startswith(before)
    assert results(cut) == results(straight)
    assert Ledger(cut / "llm_calls.sqlite").spent().calls == 6

    asked = len(service.requests)
    kept = ["--model.cache", "replay-only", "--model.replies", straight / "replies.sqlite"]
    assert compare(tiny_openkbp, replayed, *arguments, *kept) == 0
    assert len(service.requests) == asked
    assert results(replayed) == results(straight)

    records = results(straight).values()
    assert len({json.dumps(record["steps"]) for record in records}) == 3  # seeds are not one and the same conversation
    folder = RunFolder(straight, read_back(straight))
    for record in records:
        assert record["agent_record"]["calls"] == 2
        assert record["agent_record"]["usage"]["prompt_tokens"] == 200
        entries = read_transcript(folder.transcript_path((TALKER, record["case"], record["seed"])))
        assert sum("call" in entry for entry in entries) == 2
        assert [("call" if "call" in entry else entry.get("step", "begins")) for entry in entries] == [
            *("begins", 1, "call", 2, "call", 3)
        ]
        assert "spare the cord" in json.dumps(entries)

    output = capsys.readouterr()
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 40
    for text in (*files, output.out.encode(), output.err.encode(), error.encode(), tables.encode()):
        assert b"SENTINEL" not in text


@pytest.mark.slow
def test_without_a_key_the_other_agents_play(
    tiny_openkbp: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    assert compare(tiny_openkbp, tmp_path, "--agents", "template", TALKER, "--cases", 1, "--llm", "gpt-9") == 0
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith(f"{TALKER} is left out")]
    assert "OPENAI_API_KEY" in line and "local:PATH.gguf" in line
    assert {agent for agent, _, _ in results(tmp_path)} == {"template"}


@pytest.mark.slow
def test_agent_that_needs_pictures_is_left_out_where_the_model_sees_none(
    service: scripted.Service, tiny_openkbp: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """llama.cpp's answer to a picture is a 500."""
    no_pictures = scripted.status(500, "image input is not supported - hint: you may need to provide the mmproj")
    service.script.extend([no_pictures, *[sensible] * 3])
    arguments = ["--agents", TALKER, SHOWER, "--cases", 1, "--llm", f"scripted@{service.url}"]
    assert compare(tiny_openkbp, tmp_path, *arguments) == 0
    assert f"{SHOWER} is left out: it judges by pictures alone, and the model sees none" in capsys.readouterr().err
    assert {agent for agent, _, _ in results(tmp_path)} == {TALKER}
    assert f"Left out: {SHOWER}" in (tmp_path / "tables.md").read_text()


# ------------------------------------------------------------------------------------------------------- wrong requests


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--agents", TALKER], "give --llm MODEL"),
        (["--agents", TALKER, "--llm", "local:nowhere.gguf"], "no GGUF file at 'nowhere.gguf'"),
        (["--agents", TALKER, "--llm", f"m@http://me:{KEY[:11]}@host/v1"], "OPENAI_API_KEY"),
        (["--agents", "template", "--llm", "m@http://host/v1"], "name one"),
        (["--agents", "template", "--instructions", "spare the cord"], "name one"),
        (["--agents", "template", "--library", "/"], "--library is for gpt-radplan"),
        (["--agents", TALKER, "--llm", "m@http://host/v1", "--model.attempts", "0"], "--model.attempts"),
        (["--agents", TALKER, "--llm", "m@http://host/v1", "--model.max-usd", "nan"], "--model.max-usd"),
        (["--agents", TALKER, "--llm", "m@http://host/v1", "--model.price", "1"], "2 or 3 prices"),
        (["--agents", TALKER, "--llm", "m@http://host/v1", "--model.price", "1", "-2"], "0 or more"),
    ],
)
def test_bad_requests_are_refused_in_one_line(
    capsys: pytest.CaptureFixture[str], tiny_openkbp: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    assert compare(tiny_openkbp, tmp_path / "run", *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("compare.py: error: ")
    assert message in error
    assert error.count("\n") == 1
    assert "SENTINEL" not in error
    assert not (tmp_path / "run").exists()


def test_limit_in_money_needs_the_price(tmp_path: Path) -> None:
    options = LanguageModelOptions(llm="m@http://localhost/v1", model=ModelOptions(max_usd=1.0))
    choice = language_model.choose(options, own_patients=False)
    with pytest.raises(UsageError, match=r"--model\.price"), language_model.reached(options, tmp_path, choice):
        pass


def test_another_temperature_is_another_run(tmp_path: Path, settings: Settings, records: list[Record]) -> None:
    choice = language_model.choose(LanguageModelOptions(llm="m@http://localhost/v1"), own_patients=True)
    model = dataclasses.replace(settings, model=choice)
    with open_run_folder(tmp_path, model) as folder:
        folder.append(records[0])
    with open_run_folder(tmp_path, model) as folder:
        assert folder.settings == read_back(tmp_path)
    warmer = dataclasses.replace(model, model=dataclasses.replace(choice, temperature=0.4))
    with (
        pytest.raises(RunFolderError, match=r"\(model\.temperature was 0\.0, now 0\.4\)"),
        open_run_folder(tmp_path, warmer),
    ):
        pass


def test_what_changes_no_reply_is_no_setting_of_a_run() -> None:
    """Patience, price, limits and threads may differ when a run is continued, and so may the port of a local file."""
    one = LanguageModelOptions(llm="m@http://localhost/v1")
    other = ModelOptions(timeout_s=5, attempts=1, price=(1, 2), max_tokens=9, threads=2, cache="replay-only")
    again = dataclasses.replace(one, model=other)
    assert language_model.choose(one, own_patients=True) == language_model.choose(again, own_patients=True)


@pytest.mark.parametrize(
    ("llm", "own", "asked", "send", "vision"),
    [
        ("m@https://model.invalid/v1", True, "auto", False, "no"),
        ("m@https://model.invalid/v1", True, "auto", True, "auto"),
        ("m@https://model.invalid/v1", True, "yes", True, "yes"),
        ("m@https://model.invalid/v1", True, "no", False, "no"),
        ("m@https://model.invalid/v1", False, "auto", False, "auto"),
        ("m@http://localhost:8000/v1", True, "auto", False, "auto"),
    ],
)
def test_who_sees_pictures_of_own_patients(llm: str, own: bool, asked: Any, send: bool, vision: str) -> None:
    options = LanguageModelOptions(llm=llm, send_images_off_site=send, model=ModelOptions(vision=asked))
    assert language_model.choose(options, own_patients=own).vision == vision


def test_asking_for_pictures_that_may_not_be_sent_is_an_error() -> None:
    options = LanguageModelOptions(llm="m@https://model.invalid/v1", model=ModelOptions(vision="yes"))
    with pytest.raises(UsageError, match="--send-images-off-site"):
        language_model.choose(options, own_patients=True)


@pytest.mark.parametrize(
    ("source", "data", "own"),
    [("synthetic", (), False), ("openkbp", ("data",), False), ("matrad", (), False), ("dicom", ("data",), True)]
    + [("matrad", ("data",), True)],
)
def test_which_sources_are_of_own_patients(source: Any, data: tuple[str, ...], own: bool) -> None:
    options = RunOptions(source=source, data=tuple(map(Path, data)))
    assert run_settings.own_patients(options, options) is own


@pytest.mark.slow
def test_pictures_of_own_patients_stay_here_unless_asked_for(
    service: scripted.Service,
    tiny_openkbp: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    case = openkbp.load(tiny_openkbp, "test")[0]
    export_ct(case, tmp_path / "patient")
    export_rtstruct(case, tmp_path / "patient" / "RS.dcm")
    monkeypatch.setattr(Endpoint, "on_this_machine", False)
    task = ["--site", "head-and-neck", "--source", "dicom", "--data", tmp_path / "patient", "--budget", 2]
    arguments = [*task, "--jobs", 1, "--agents", "talking_agents:Illustrator", "--llm", f"m@{service.url}"]

    def run(name: str, *more: object) -> tuple[bool, str, int]:
        """Whether the service got a picture, what the run said, and pictures in its folder of transcripts."""
        service.script.extend([sensible] * 8)
        service.requests.clear()
        assert main([str(argument) for argument in (*arguments, "--out", tmp_path / name, *more)]) == 0
        got = any("image_url" in json.dumps(request) for request in service.requests)
        assert service.requests
        return got, capsys.readouterr().err, len(list((tmp_path / name / "transcripts").rglob("*.png")))

    got, said, kept = run("numbers")
    assert (got, said.count("--send-images-off-site"), kept) == (False, 1, 0)
    got, said, kept = run("sent", "--send-images-off-site")
    assert (got, said.count("--send-images-off-site"), kept) == (True, 0, 0)
    got, _, kept = run("shared", "--send-images-off-site", "--share-images")
    assert got and kept


# ------------------------------------------------------------------------------------------------------ single episodes


@pytest.fixture
def folder(tiny_settings: Settings, tmp_path: Path) -> RunFolder:
    """A run of one talking agent on a tiny patient, played in this process."""
    tiny = dataclasses.replace(
        tiny_settings,
        agents=(TALKER,),
        budget=5,
        seeds=1000,
        model=ModelChoice("scripted", "auto", 0.0, 0, 4096),
    )
    return RunFolder(tmp_path / "run", tiny)


def model_of(service: scripted.Service, folder: RunFolder, **settings: Any) -> LanguageModel:
    endpoint = Endpoint(model="scripted", base_url=service.url, api_key=SecretStr(KEY))
    return LanguageModel(endpoint, ModelSettings(**settings), folder.path, folder.path / "replies.sqlite")


@pytest.mark.slow
def test_failed_questions_are_the_agents_and_are_counted(service: scripted.Service, folder: RunFolder) -> None:
    prose = scripted.says("I would spare the cord.")
    service.script.extend([sensible, prose, prose, prose, sensible, prose, sensible])
    record = runner.play(folder, (TALKER, CASE, 0), model_of(service, folder))
    assert record["status"] == "complete"
    assert len(record["steps"]) == 5
    said = record["agent_record"]
    assert (said["calls"], said["failed_questions"], said["failed_steps"]) == (7, 1, 1)
    assert said["faults"] == {"no_json": 4}
    assert said["cost_usd"] is None
    assert record["steps"][2]["parameters"] == record["steps"][1]["parameters"]  # nothing stands in for the model


def test_service_that_is_down_is_not_the_agents_failure(service: scripted.Service, folder: RunFolder) -> None:
    service.script.extend([sensible, scripted.status(402, "no money")])
    with pytest.raises(EpisodeInterruptedError, match="top up the account"):
        runner.play(folder, (TALKER, CASE, 0), model_of(service, folder))
    assert not list(folder.path.rglob("*.npz"))


@pytest.mark.slow
def test_token_limit_ends_the_run_and_a_higher_one_continues_it(service: scripted.Service, folder: RunFolder) -> None:
    service.script.extend([sensible] * 4)
    key = (TALKER, CASE, 0)
    with pytest.raises(EpisodeInterruptedError, match="240 of the 200 tokens"):
        runner.play(folder, key, model_of(service, folder, limits=Limits(tokens=200)))
    record = runner.play(folder, key, model_of(service, folder, limits=Limits(tokens=1000)))
    assert record["agent_record"]["calls"] == 4
    assert record["agent_record"]["calls_from_cache"] == 2
    assert not service.script


CHANGE = json.dumps({"structure": "SpinalCord", "weight_factor": 2})

OF_THE_MODEL = [
    (scripted.says("Spare it."), "no_json"),
    (scripted.says('{"structure": "SpinalCord", "weight_factor": }'), "no_json"),
    (scripted.says('{"organ": "SpinalCord"}'), "wrong_schema"),
    (scripted.says(CHANGE.replace("SpinalCord", "Prostate")), "unknown_structure"),
    (scripted.says(CHANGE.replace("2", "NaN")), "not_finite"),
    (scripted.says(CHANGE.replace("2", "-3")), "out_of_bounds"),
    (scripted.says(""), "empty"),
    (scripted.says("{" * 200_000), "oversized"),
    (scripted.says(None, refusal="No."), "refused"),
    (scripted.says(CHANGE[:9], finish="length"), "truncated"),
    (scripted.echoes(200), "no_json"),
]
OF_THE_SERVICE = [
    (scripted.status(429, "slow down"), "rate_limited"),
    (scripted.status(500, "oops"), "server_error"),
    (scripted.drops, "connection"),
    (scripted.drops_half_way, "connection"),
    (scripted.sends(200, b'{"choices": [{"mess'), "malformed_response"),
    (scripted.sends(200, b" " * 4_100_000), "oversized_response"),
    (scripted.echoes(500), "server_error"),
    (scripted.echoes(401), "no_access"),
    (scripted.status(400, "no"), "rejected"),
]


@pytest.mark.slow
def test_every_episode_of_a_storm_is_complete_or_can_be_resumed(
    service: scripted.Service, folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand replies. What ends an episode is met by playing it again; every fault is counted once."""
    rng = random.Random(4)
    storm = [*[(sensible, "")] * 579, *OF_THE_MODEL * 20, *OF_THE_SERVICE * 22, *[(scripted.hangs, "timeout")] * 3]
    rng.shuffle(storm)
    assert len(storm) == 1000
    calm = 20  # for the last episode, should it need them
    service.script.extend([*(step for step, _ in storm), *[sensible] * calm])
    monkeypatch.setattr("radplan_agents.llm.session.Retrying", partial(Retrying, sleep=lambda seconds: None))
    model = model_of(service, folder, attempts=2, timeout_s=2.0)
    ends: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    seed = 0
    while len(service.script) > calm:
        try:
            record = runner.play(folder, (TALKER, CASE, seed), model)
        except ServiceError as error:  # an EpisodeInterruptedError, which the runner lets through
            ends["interrupted"] += 1
            faults.update(error.faults)
            assert "SENTINEL" not in str(error)
            continue  # the same episode again
        assert record["status"] == "complete", record["error"]
        assert len(record["steps"]) == 5
        said = record["agent_record"]
        faults.update(said["faults"])
        assert said["failed_steps"] == said["failed_questions"]
        ends["complete"] += 1
        seed += 1
    assert ends["complete"] > 50 and ends["interrupted"] > 50, ends
    assert faults == Counter(fault for _, fault in storm if fault)
    files = [path.read_bytes() for path in folder.path.rglob("*") if path.is_file()]
    assert not any(b"SENTINEL" in text for text in files)


def read_back(path: Path) -> Settings:
    return read_run_folder(path).settings
