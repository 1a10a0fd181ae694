"""A report tells what language models saw and said, believes none of it, and stays a page that can be sent."""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imsave
from page_checks import Page
from pydantic import BaseModel

from radplan_agents.llm import Image, MockClient, ModelSettings, ServiceError, Session, Transcript, system, user
from radplan_experiments.recording.records import Key, key_of
from radplan_experiments.recording.run_folder import RunFolder
from radplan_experiments.recording.settings import Settings
from radplan_experiments.reporting import html_report, tables, transcripts
from radplan_experiments.reporting.html_report import page as report_page
from radplan_experiments.reporting.transcripts.entries import read
from radplan_experiments.reporting.transcripts.questions import questions, turns
from radplan_experiments.reporting.transcripts.shown import passages
from radplan_experiments.running.language_model import EPISODE_BEGINS

FIRST, SECOND = ("coordinate", "synthetic/test/0", 0), ("coordinate", "synthetic/test/1", 0)
TITLE = "What the language model saw and said"
TOLD = "You are the planner of a team. " * 20
HOSTILE = """</pre></details><script>alert('x')</script><img src=http://example.org/x onerror=alert(1)>{{ 7 * 191 }}"""

FEEDBACK = json.dumps(
    {
        "acceptable": [],
        "failing": [{"criterion": "Rectum V31Gy", "remedy": "raise the weight of Rectum"}],
        "advice": "Spare the rectum first.",
    }
)


def proposal(action: str = "change", start_from: str = "last") -> str:
    change = {"lever": "raise the weight of Rectum", "amount": 2, "reason": "it fails"}
    return json.dumps(
        {
            "reasoning": "The rectum gets too much.",
            "action": action,
            "start_from": start_from,
            "changes": [] if action == "stop" else [change],
            "predictions": [] if action == "stop" else [{"criterion": "Rectum V31Gy", "effect": "better"}],
        }
    )


class Weight(BaseModel):
    weight: float


def picture(shade: int) -> bytes:
    file = io.BytesIO()
    imsave(file, np.full((8, 12, 3), shade, np.uint8), format="png")
    return file.getvalue()


@pytest.fixture
def folder(tmp_path: Path, settings: Settings, records: list[dict[str, Any]]) -> RunFolder:
    for record in records:
        for number, step in enumerate(record["steps"]):
            step["parameters"] = {"Rectum": {"weight": 5.0 * 2**number, "objective_dose_gy": 0.0}}
    return RunFolder(tmp_path, settings, {key_of(record): record for record in records})


def session(folder: RunFolder, key: Key, replies: Sequence[str]) -> Session:
    transcript = Transcript(folder.transcript_path(key), share_images=True)
    transcript.note(EPISODE_BEGINS)
    return Session(MockClient(replies), settings=ModelSettings(), transcript=transcript)


def converse(folder: RunFolder, key: Key, question: str = "What next?") -> None:
    """An episode of three plans, as GPT-RadPlan talks: feedback on each and a proposal, with a picture."""
    talk = session(
        folder, key, [FEEDBACK, proposal(), FEEDBACK, proposal(start_from="best"), FEEDBACK, proposal("stop")]
    )
    for plan in (1, 2, 3):
        talk.step(plan, f"Plan {plan} is solved.")
        talk.say("evaluator", [system("Judge. " * 40), user(f"Plan {plan}.")])
        dose = Image(png=picture(90), name="the first plan's dose")
        talk.say("planner", [system(TOLD), user(f"{question} {plan}", dose)])


def written(folder: RunFolder) -> str:
    found = tables.all_tables(folder.settings, list(folder.records.values()), {})
    return html_report.write(folder, {}, {}, found, {}).read_text()


def in_words(source: str) -> str:
    return " ".join(Page(source).text.split())


def test_an_episode_can_be_followed_plan_by_plan(folder: RunFolder) -> None:
    converse(folder, FIRST)
    source = written(folder)
    page, words = Page(source), in_words(source)
    assert page.faults == []
    assert page.outside() == []
    assert not page.all("script")
    assert "synthetic/test/0, seed 0: 3 plans, 6 calls; score 70.0 → 90.0 at best, plan 3 handed over" in words
    assert "Plan 1, score 70.0 → plan 2, score 65.0 (−5.0)" in words
    assert "Plan 2, score 65.0 → plan 3, score 90.0 (+25.0)" in words
    assert "Plan 3, score 90.0, the last" in words
    assert "Rectum V31Gy: raise the weight of Rectum. “Spare the rectum first.”" in words
    assert "Rectum weight 5 → 10: “it fails”" in words
    assert "from plan 1, the best so far: Rectum weight 5 → 20: “it fails”" in words
    assert "Rectum V31Gy: predicted better, did NOT come true (Rectum V31Gy +0.0 %)" in words  # 20 and 20 %
    assert "Rectum V31Gy: predicted worse" not in words
    assert "Stop: “The rectum gets too much.”" in words
    assert "What next? 2" in words and "call 2" in words.lower()


def test_what_is_sent_again_is_stored_once(folder: RunFolder) -> None:
    converse(folder, FIRST)
    converse(folder, SECOND)
    source = written(folder)
    page = Page(source)
    assert page.faults == []
    assert source.count(TOLD.strip()) == 1
    assert len(page.all("image")) == 1
    assert len(page.all("use")) == 6
    assert source.count("data:image/png") == 1
    assert in_words(source).count("the same as in What the planner is told") == 6


def test_what_models_and_users_write_is_text_and_nothing_else(folder: RunFolder) -> None:
    talk = session(folder, FIRST, [HOSTILE, "no number", json.dumps({"weight": HOSTILE}), '{"weight": 3}'])
    talk.step(1, HOSTILE)
    talk.say(HOSTILE, [system(HOSTILE), user(HOSTILE, Image(png=picture(1), name=HOSTILE))])
    talk.ask("planner", [system(HOSTILE), user("x  y\n" + HOSTILE)], Weight)
    source = written(folder)
    page = Page(source)
    assert page.faults == []
    assert page.outside() == []
    assert not page.all("script")
    assert not page.all("img")
    assert HOSTILE in page.text
    assert "1337" not in page.text


def test_a_reply_of_no_use_is_quoted_with_what_was_wrong(folder: RunFolder) -> None:
    talk = session(folder, FIRST, ["Three.", '{"weight": "heavy"}', '{"weight": 3}', "Four.", "Four!", "Four?"])
    talk.step(1, "Plan 1 is solved.")
    talk.ask("planner", [user("Which weight?")], Weight)
    talk.step(2, "Plan 2 is solved.")
    talk.ask("planner", [user("Which weight?")], Weight)
    words = in_words(written(folder))
    assert "planner: answered when asked 3 times" in words
    assert "weight: 3" in words
    assert "An earlier reply was not used: no_json: it holds no JSON object that can be read" in words
    assert "An earlier reply was not used: wrong_schema: weight:" in words
    assert "no usable answer, asked 3 times Not used: no_json" in words
    assert "planner: no usable answer, asked 3 times" in words


def test_an_error_of_the_service_is_shown_without_paths(folder: RunFolder) -> None:
    talk = session(folder, FIRST, [ServiceError("no model /home/smith/models/m.gguf", fault="not_found")])
    talk.step(1, "Plan 1 is solved.")
    with pytest.raises(ServiceError):
        talk.say("planner", [user("Well?")])
    source = written(folder)
    assert "planner: no reply" in in_words(source)
    assert "ServiceError: no model PATH" in source
    assert "smith" not in source


def test_a_run_without_conversations_has_no_such_section(folder: RunFolder) -> None:
    source = written(folder)
    assert TITLE not in source
    assert 'id="transcripts"' not in source


def test_a_page_holds_so_much_and_names_the_rest(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    converse(folder, FIRST, "This is asked of the example. " * 50)
    converse(folder, SECOND, "This is asked of the other. " * 50)
    ((example, *_),) = [folder.settings.cases[:1]]
    small = functools.partial(transcripts.gather, limit=10_000)
    monkeypatch.setattr(report_page.transcripts, "gather", small)
    source = written(folder)
    page, words = Page(source), in_words(source)
    assert page.faults == []
    assert example == FIRST[1]
    assert "This is asked of the example." in words
    assert "This is asked of the other." not in words
    assert "1 episode more is not shown, as a page holds at most 0.01 MB of conversations" in words
    (link,) = [each["href"] for each in page.all("a") if not each["href"].startswith("#")]
    assert (folder.path / link).is_file()
    assert link == "transcripts/coordinate/synthetic-test-1/seed_0/transcript.md"


def test_episodes_that_are_not_over_are_named(folder: RunFolder) -> None:
    converse(folder, FIRST)
    del folder.records[FIRST]
    page = Page(written(folder))
    assert page.faults == []
    assert "Begun and not over, so not shown:coordinate on synthetic/test/0, seed 0" in page.text.replace("\n", "")
    assert "What next?" not in page.text


def test_what_cannot_be_read_is_said_and_stops_nothing(folder: RunFolder) -> None:
    converse(folder, FIRST)
    file = folder.transcript_path(FIRST) / "transcript.jsonl"
    secret = folder.path / "transcripts" / "private.png"
    secret.write_bytes(picture(200))
    lines = file.read_text().splitlines()
    begins, first, judged, *others = lines
    odd = [judged[: len(judged) // 2], "null", '{"call": 1}', judged.replace('"Plan 1."}', '"Plan 1."}, 5')]
    stolen = others[0].replace("images/", "../../../")
    file.write_text("\n".join([begins, first, *odd, stolen, *others, '{"call": 9, "na']))
    next(iter((folder.transcript_path(FIRST) / "images").iterdir())).write_bytes(b"no picture")
    folder.records[FIRST]["agent_record"] = {"calls": 6}
    source = written(folder)
    page, words = Page(source), in_words(source)
    assert page.faults == []
    assert not page.all("image")
    assert "cut short or damaged: lines 3, 4, 5, 6, 7 and 15." in words
    assert "Its transcript holds 5 of 6 answered calls that its record counts." in words
    assert "[picture, whose file is lost: the first plan's dose]" in words
    assert "synthetic/test/1, seed 0: 3 plans, 0 calls" in words
    assert "Its transcript cannot be read: it is missing." in words


def test_of_an_episode_played_again_the_conversation_is_the_last(folder: RunFolder) -> None:
    session(folder, FIRST, ["Perhaps."]).say("planner", [user("Before the power failed?")])
    converse(folder, FIRST)
    words = in_words(written(folder))
    assert "Before the power failed?" not in words
    assert "It was interrupted and played again: of 1 conversation before this one only the transcript tells." in words
    assert "Plan 1, score 70.0 → plan 2" in words


def test_calls_that_name_no_plan_stand_apart(folder: RunFolder) -> None:
    talk = session(folder, FIRST, ["Yes."] * 3)
    talk.say("planner", [user("Before anything is planned?")])
    for plan in (1, 7):  # the episode made three
        talk.step(plan, f"Plan {plan} is solved.")
        talk.say("planner", [user("And now?")])
    asked = questions(read(folder.transcript_path(FIRST)).entries)
    assert [(turn.plan, len(turn.questions)) for turn in turns(asked, 3)] == [(None, 1), (1, 1), (None, 1)]
    assert "Calls that name no plan of the episode" in in_words(written(folder))


def test_tables_are_told_from_prose_and_nothing_is_lost() -> None:
    text = '\n Criteria:\nRectum   20 %\nBladder   9 %\n\nSpare the rectum.\n{\n  "weight": 3\n}\n'
    found = passages(text)
    assert "".join(passage.text for passage in found) == text
    assert [passage.text for passage in found if passage.in_columns] == ["Rectum   20 %\nBladder   9 %\n\n"]
