"""What --llm means, and what it says where it means nothing."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
from pydantic import SecretStr

from radplan_agents.llm import Endpoint, LocalModel, SettingsError, parse_llm

OPENAI = "https://api.openai.com/v1"


@pytest.mark.parametrize(
    ("llm", "environment", "model", "url", "key"),
    [
        ("gpt-x", {"OPENAI_API_KEY": "sk-1\n"}, "gpt-x", OPENAI, "sk-1"),
        (None, {"OPENAI_API_KEY": "sk-1", "OPENAI_MODEL": "gpt-y"}, "gpt-y", OPENAI, "sk-1"),
        ("m", {"OPENAI_BASE_URL": "http://box:8000/v1"}, "m", "http://box:8000/v1", None),
        ("m@http://[::1]:1/v1", {"OPENAI_BASE_URL": "http://box:8000/v1"}, "m", "http://[::1]:1/v1", None),
        ("org/m:7b@https://gate/v1", {"OPENAI_API_KEY": "k"}, "org/m:7b", "https://gate/v1", "k"),
        ("@cf/m@20@https://gate/v1", {}, "@cf/m@20", "https://gate/v1", None),
    ],
)
def test_a_model_and_its_service(
    llm: str | None, environment: dict[str, str], model: str, url: str, key: str | None
) -> None:
    endpoint = parse_llm(llm, environment=environment)
    assert isinstance(endpoint, Endpoint)
    assert (endpoint.model, endpoint.base_url) == (model, url)
    assert (endpoint.api_key.get_secret_value() if endpoint.api_key else None) == key
    assert endpoint.name == f"{model}@{url}"


def test_arguments_come_before_the_environment() -> None:
    environment = {"OPENAI_API_KEY": "sk-1", "OPENAI_BASE_URL": "http://box/v1"}
    endpoint = parse_llm("m", base_url="http://other/v1", api_key="sk-2", environment=environment)
    assert isinstance(endpoint, Endpoint)
    assert (endpoint.base_url, endpoint.api_key) == ("http://other/v1", SecretStr("sk-2"))
    assert "sk-2" not in f"{endpoint} {asdict(endpoint)}"


@pytest.mark.parametrize(
    ("llm", "message"),
    [
        (None, "no language model is named; give --llm"),
        (" ", "no language model is named; give --llm"),
        ("gpt-x", "no API key for 'gpt-x'"),
        ("local:nowhere.gguf", "no GGUF file at 'nowhere.gguf'"),
        ("local:", "no GGUF file"),
    ],
)
def test_without_a_model_it_says_in_one_line_how_to_give_one(llm: str | None, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        parse_llm(llm, environment={})
    assert "\n" not in str(caught.value)
    assert "--llm MODEL@BASE_URL" in str(caught.value)


def test_where_no_model_is_called_no_key_is_needed() -> None:
    endpoint = parse_llm("gpt-x", needs_key=False, environment={})
    assert isinstance(endpoint, Endpoint) and endpoint.name == f"gpt-x@{OPENAI}"


def test_a_key_belongs_in_no_url() -> None:
    for url in ("https://me:sk-secret@gate/v1", "https://sk-secret@gate/v1", "https://gate/v1?key=sk-secret"):
        with pytest.raises(SettingsError, match="OPENAI_API_KEY") as caught:
            parse_llm(f"m@{url}", environment={})
        assert "sk-secret" not in str(caught.value)


def test_a_url_without_a_host() -> None:
    with pytest.raises(SettingsError, match="localhost:8000"):
        parse_llm("m", base_url="localhost:8000", environment={})


def test_a_file(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    assert parse_llm(f"local:{tmp_path}/m.gguf", environment={}) == LocalModel(tmp_path / "m.gguf")
    (tmp_path / "m.bin").write_bytes(b"GGUF")
    with pytest.raises(SettingsError, match="no GGUF file"):
        parse_llm(f"local:{tmp_path}/m.bin", environment={})
