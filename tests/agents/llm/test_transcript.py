"""What calls saw and said can be read again, by people and programs, also after a kill."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from radplan_agents.llm import (
    Image,
    MockClient,
    ModelError,
    Reply,
    Request,
    ServiceError,
    Session,
    Transcript,
    read_lines,
    read_transcript,
    user,
)
from radplan_agents.llm.transcript import Transcribed

SAID = "Use\n```python\nweight = 3\n```\n# and `more`"


@pytest.fixture
def folder(tmp_path: Path, png: bytes) -> Path:
    """A transcript of two calls with the same picture, one without a reply, and a note."""
    transcript = Transcript(tmp_path, share_images=True)
    script = [lambda request: Reply(text=SAID, faults=("timeout",), model="m-1"), ServiceError("down", fault="x")]
    client = Transcribed(MockClient(script), transcript, name="planner")
    request = Request(messages=(user("What next? " * 100, Image(png=png, name="dose [wash]\n2")),), temperature=0.5)
    client.complete(request)
    transcript.note("out_of_bounds: weight\nmust be 0 or more")
    with pytest.raises(ModelError):
        client.complete(request)
    return tmp_path


def test_everything_is_there(folder: Path, png: bytes) -> None:
    first, note, second = read_transcript(folder)
    text, picture = first["request"]["messages"][0]["parts"]
    assert text["text"] == "What next? " * 100
    assert (folder / picture["image"]).read_bytes() == png
    assert len(list((folder / "images").iterdir())) == 1
    assert first["request"]["temperature"] == 0.5
    assert (first["reply"]["text"], first["reply"]["faults"], first["name"]) == (SAID, ["timeout"], "planner")
    assert note == {"note": "out_of_bounds: weight\nmust be 0 or more"}
    assert second["error"] == "ServiceError: down"


def test_the_markdown_shows_it(folder: Path) -> None:
    markdown = (folder / "transcript.md").read_text()
    assert f"````text\n{SAID}\n````" in markdown
    (picture,) = re.findall(r"!\[dose wash 2\]\((.*)\)", markdown)
    assert (folder / picture).exists()
    assert "overcame timeout" in markdown and "*as in call 1*" in markdown and "ServiceError: down" in markdown
    assert "> out_of_bounds: weight\n> must be 0 or more" in markdown


def test_it_goes_on_after_a_kill_in_the_middle_of_anything(folder: Path) -> None:
    jsonl, markdown = folder / "transcript.jsonl", folder / "transcript.md"
    whole, text = jsonl.read_bytes(), markdown.read_text()
    for end in range(len(whole) - len(whole.split(b"\n")[2]) - 1, len(whole), 7):  # anywhere in the third line
        jsonl.write_bytes(whole[:end])
        markdown.write_text(text[: end // 2])
        Transcript(folder).note("continued")
        *before, last = read_transcript(folder)
        assert last == {"note": "continued"}
        assert [("request" in entry) for entry in before][:2] == [True, False]
    jsonl.write_bytes(whole)
    Transcript(folder)
    assert markdown.read_text() == text


def test_it_says_which_step_calls_belong_to(tmp_path: Path) -> None:
    session = Session(MockClient(["Yes."]), transcript=Transcript(tmp_path))
    session.step(2, "Plan 2 is solved.")
    session.say("planner", [user("Well?")])
    assert read_transcript(tmp_path)[0] == {"note": "Plan 2 is solved.", "step": 2}
    assert (tmp_path / "transcript.md").read_text().startswith("> Plan 2 is solved.\n\n## 1. planner")
    Session(MockClient([])).step(1, "Nobody writes this down.")


def test_lines_that_cannot_be_read_keep_their_place(tmp_path: Path) -> None:
    (tmp_path / "transcript.jsonl").write_text('{"note": "a"}\n{"no\n5\n' + "[" * 100_000 + '\n{"note": "b"}\n')
    assert read_lines(tmp_path) == [{"note": "a"}, None, None, None, {"note": "b"}]
    assert read_transcript(tmp_path) == [{"note": "a"}, {"note": "b"}]
