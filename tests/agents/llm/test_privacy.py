"""Pictures of the user's own patients leave this machine, and stand in transcripts, only if asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
import scripted_server as scripted

from radplan_agents.llm import (
    Endpoint,
    Image,
    MockClient,
    ModelSettings,
    OpenAIClient,
    Request,
    ServiceError,
    Session,
    SettingsError,
    Transcript,
    open_client,
    read_transcript,
    user,
)

AWAY = "http://model.invalid/v1"


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:8000/v1", True),
        ("http://127.8.9.1/v1", True),
        ("http://localhost:1234/v1", True),
        ("http://LOCALHOST/v1", True),
        ("http://[::1]:8000/v1", True),
        ("http://[::ffff:127.0.0.1]/v1", True),
        ("https://api.openai.com/v1", False),
        ("http://192.168.0.7:8000/v1", False),
        ("http://localhost.example.org/v1", False),
        ("http://127.0.0.1.example.org/v1", False),
        ("http://host.docker.internal/v1", False),
        ("http://[2001:db8::1]/v1", False),
    ],
)
def test_which_services_are_on_this_machine(url: str, here: bool) -> None:
    assert Endpoint(model="m", base_url=url).on_this_machine is here


def picture(png: bytes, *, own: bool = True) -> Request:
    return Request(messages=(user("Look.", Image(png=png, name="dose wash")),), shows_own_patient=own)


def test_a_service_elsewhere_gets_no_picture_of_an_own_patient(png: bytes, tmp_path: Path) -> None:
    away = Endpoint(model="m", base_url=AWAY)
    client = open_client(away, ModelSettings(attempts=1), run_folder=tmp_path, cache_path=tmp_path / "replies.sqlite")
    for _ in range(2):
        with pytest.raises(SettingsError, match="--send-images-off-site"):
            client.complete(picture(png))
    for allowed, request in (
        (OpenAIClient(away), picture(png, own=False)),
        (OpenAIClient(away, send_images_off_site=True), picture(png)),
        (OpenAIClient(away), picture(png).without_images()),
    ):
        with pytest.raises(ServiceError):  # it was asked, but there is no such host
            allowed.complete(request)


def test_one_on_this_machine_gets_them_and_cannot_pass_them_on(
    service: scripted.Service, endpoint: Endpoint, png: bytes
) -> None:
    service.script.extend([scripted.says("Hot."), scripted.sends(307, b"", {"Location": "/v1/elsewhere"})])
    client = OpenAIClient(endpoint)
    assert client.complete(picture(png)).text == "Hot."
    with pytest.raises(ServiceError):
        client.complete(picture(png))
    assert len(service.requests) == 2


def test_an_agent_that_says_nothing_of_the_patient_is_taken_to_show_an_own_one(png: bytes) -> None:
    client = MockClient(["Hot."])
    Session(client).say("expert", [user(Image(png=png, name="dose wash"))])
    assert client.requests[0].shows_own_patient


@pytest.mark.parametrize(("own", "share", "kept"), [(True, False, False), (True, True, True), (False, False, True)])
def test_transcripts_hold_a_picture_or_why_they_do_not(
    tmp_path: Path, png: bytes, own: bool, share: bool, kept: bool
) -> None:
    session = Session(MockClient(["Hot."]), transcript=Transcript(tmp_path, share_images=share))
    session.shows_own_patient = own
    session.say("expert", [user("Look.", Image(png=png, name="dose wash"))])
    _, part = read_transcript(tmp_path)[0]["request"]["messages"][0]["parts"]
    assert bool(list(tmp_path.rglob("*.png"))) is kept
    if not kept:
        assert "dose wash" in part["text"] and "--share-images" in part["text"]
        assert part["text"] in (tmp_path / "transcript.md").read_text()
