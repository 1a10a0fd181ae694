"""The planner's console over the Model Context Protocol, played by the Python SDK's own client."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from radplan_agents.tool_planner import manual
from radplan_env.console import TOOLS
from radplan_env.integrations.mcp_server import WITHHELD, server_of
from radplan_experiments.auditing.validation import validate
from radplan_experiments.cohort import UsageError
from radplan_experiments.options import MCPOptions
from radplan_experiments.recording.run_folder import read_run_folder
from radplan_experiments.recording.settings import Settings
from radplan_experiments.running.mcp_server import AGENT, settings_of
from radplan_experiments.running.served_episode import ServedEpisode

mcp = pytest.importorskip("mcp")

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def tiny(tiny_settings: Settings) -> Settings:
    return replace(tiny_settings, agents=(AGENT,), deterministic=(), seeds=1)


@pytest.fixture
def served(tiny: Settings, tmp_path: Path) -> Iterator[ServedEpisode]:
    yield ServedEpisode(tiny, tiny.cases[0], tmp_path, "radplan mcp")


async def play(server: Any, *calls: tuple[str, dict[str, Any]]) -> list[Any]:
    """Connect, call, and return what came of each call."""
    async with mcp.Client(server) as client:
        listed = await client.list_tools()
        assert {tool.name: tool.input_schema for tool in listed.tools} == {n: t.schema for n, t in TOOLS.items()}
        return [await client.call_tool(name, arguments) for name, arguments in calls]


@pytest.mark.slow
def test_an_episode_is_played_by_a_client_and_its_record_validates(
    served: ServedEpisode, in_this_process: None
) -> None:
    results = asyncio.run(
        play(
            server_of(served.call, manual()),
            ("task", {}),
            ("plan", {}),
            ("plan", {"weights": {"Moon": 3}}),
            ("irradiate", {}),
            ("slice_image", {"criterion": "SpinalCord D0.1cc"}),
            ("plan", {"limits": [{"structure": "Parotid_L", "metric": "mean", "at_most": 30}]}),
            ("plan", {}),
            ("terms", {"plan": "best"}),
        )
    )
    assert [result.is_error for result in results] == [False, False, True, True, False, False, True, False]
    assert [content.type for content in results[4].content] == ["text", "image"]
    assert "openkbp" not in results[0].content[0].text
    folder = served.close()
    assert folder is not None
    (record,) = read_run_folder(folder).records.values()
    told = [json.loads(results[at].content[0].text)["score"] for at in (1, 5)]
    assert [step["score"] for step in record["steps"]] == pytest.approx(told, abs=0.01)
    assert record["agent"] == AGENT and len(record["agent_record"]["console_calls"]) == 8
    assert validate(folder, jobs=1) == 0


@pytest.mark.slow
def test_who_goes_early_leaves_a_record_and_who_plans_nothing_leaves_none(
    served: ServedEpisode, tiny: Settings, tmp_path: Path
) -> None:
    asyncio.run(play(server_of(served.call, manual()), ("task", {})))
    assert served.close() is None and not list(tmp_path.iterdir())
    asyncio.run(play(server_of(served.call, manual()), ("plan", {})))
    first = served.close()
    again = ServedEpisode(tiny, tiny.cases[0], tmp_path)
    again.call("plan", {})
    again.call("finish", {})
    second = again.close()
    assert first is not None and second is not None and first != second
    assert all(len(read_run_folder(folder).records) == 1 for folder in (first, second))


def test_pictures_stay_where_they_are_to_stay(served: ServedEpisode) -> None:
    look = ("slice_image", {"criterion": "SpinalCord D0.1cc"})
    _, result = asyncio.run(play(server_of(served.call, manual(), pictures=False), ("plan", {}), look))
    assert [content.type for content in result.content] == ["text"] and WITHHELD in result.content[0].text


def test_settings_are_those_of_the_task_or_the_suite() -> None:
    settings, case = settings_of(MCPOptions())
    assert (settings.site, case, settings.budget) == ("prostate", "synthetic/validation/0", 10)
    assert settings.agents == (AGENT,)
    suite, chosen = settings_of(MCPOptions(suite="prostate-v1", case="synthetic/test/3"))
    assert suite.suite == "prostate-v1" and chosen == "synthetic/test/3" and len(suite.cases) > 3
    with pytest.raises(UsageError, match="synthetic/train/0"):
        settings_of(MCPOptions(suite="prostate-v1", case="synthetic/train/0"))
    with pytest.raises(UsageError, match="--budget"):
        settings_of(MCPOptions(suite="prostate-v1"), ("--suite", "--budget"))


@pytest.mark.slow
def test_the_command_serves_over_stdio_and_records(tmp_path: Path) -> None:
    code = "import sys; from radplan_experiments.console import main; sys.exit(main(sys.argv[1:]))"
    folders = os.pathsep.join(str(ROOT / part) for part in (".", "agents", "experiments"))
    server = mcp.StdioServerParameters(
        command=sys.executable,
        args=["-c", code, "mcp", "--budget", "2", "--out", str(tmp_path)],
        env={**os.environ, "PYTHONPATH": folders},
    )
    results = asyncio.run(play(server, ("plan", {}), ("plan", {"weights": {"Rectum": 10}}), ("finish", {})))
    assert not any(result.is_error for result in results)
    (folder,) = (tmp_path / "synthetic-validation-0").iterdir()
    assert validate(folder, jobs=1) == 0
