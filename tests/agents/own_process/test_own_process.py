"""Agents in a process of their own: whatever the process does, an episode comes of it."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import radplan_agents
from radplan_agents import load_agent, make_agent
from radplan_agents.own_process import OwnProcessAgent, agent, agent_for
from radplan_agents.registry import track_of
from radplan_env import Case, RadPlanEnv
from radplan_env.influence import Fidelity
from radplan_env.planning import Plan

pytest.importorskip("mcp")

COARSE = Fidelity("coarse", dose_grid_mm=10.0, bixel_mm=15.0)

CLIENT = """
import json, os, sys, time

def ask(method, **params):
    print(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}), flush=True)
    return json.loads(sys.stdin.readline())["result"]

def tool(name, **arguments):
    return ask("tools/call", name=name, arguments=arguments)

ask("initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo={"name": "odd", "version": "1"})
"""


@pytest.fixture(scope="module")
def env(box_case: Case) -> Iterator[RadPlanEnv]:
    env = RadPlanEnv(cases=[box_case], budget=2, fidelity=COARSE, gantry_angles_deg=(0, 120, 240), progress=False)
    yield env
    env.close()


def play(env: RadPlanEnv, path: Path, code: str, client: str = CLIENT) -> tuple[list[Plan], dict[str, Any], Any]:
    path.write_text(client + code, encoding="utf-8")
    player = agent_for(shlex.join([sys.executable, str(path)]))(env, seed=7)
    plans = []
    for _ in radplan_agents.play(player, env):
        assert env.plan is not None
        plans.append(env.plan)
    return plans, player.record(), player


def test_it_plans_by_the_tools_alone_and_its_cpu_seconds_are_known(env: RadPlanEnv, tmp_path: Path) -> None:
    code = """
assert os.environ["RADPLAN_SEED"] == "7"
sum(range(10**6))
assert tool("plan", weights={"Moon": 1})["isError"]
tool("what_if", changes=[{}, {"weights": {"Rectum": 7}}])
tool("finish", plan=1)
"""
    plans, record, player = play(env, tmp_path / "player.py", code)
    assert len(plans) == 2 and plans[1].parameters.structures["Rectum"].weight == 7
    assert (record["stopped"], record["plan_chosen"], record["process"]) == ("finished", 1, {"nonsense_lines": 0})
    assert [call["tool"] for call in record["console_calls"]] == ["plan", "what_if", "finish"]
    assert record["console_faults"] == {"unknown_structure": 1}
    assert player.cpu_seconds > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("client", "code", "made", "stopped", "count"),
    [
        ("", "raise ValueError('a slip')", 1, "gone: exit code 1", "gone"),
        (CLIENT, "tool('plan'); sys.exit(3)", 1, "gone: exit code 3", "gone"),
        (CLIENT, "tool('plan'); os.kill(os.getpid(), 9)", 1, "gone: exit code -9", "gone"),
        ("", "import time; time.sleep(600)", 1, "silent", "silent"),
        (CLIENT, "tool('plan')\nwhile True: print('{\"a\": 1}')", 1, "nonsense", "nonsense"),
        (CLIENT, "while True: tool('task')", 1, "endless_looking", "endless_looking"),
        (CLIENT, "tool('plan'); tool('plan'); time.sleep(600)", 2, None, None),
        (CLIENT, "tool('plan'); print('good morning'); tool('plan'); tool('plan')['x']", 2, None, None),
    ],
)
def test_no_fault_of_the_process_loses_the_episode(
    env: RadPlanEnv,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    client: str,
    code: str,
    made: int,
    stopped: str | None,
    count: str | None,
) -> None:
    """Where nothing was planned the template is, and the record says so."""
    monkeypatch.setattr(OwnProcessAgent, "patience_s", 2.0 if stopped == "silent" else 60.0)
    monkeypatch.setattr(OwnProcessAgent, "grace_s", 0.3)
    monkeypatch.setattr(agent, "MOST_CALLS", 20)
    plans, record, _ = play(env, tmp_path / "player.py", code, client)
    assert len(plans) == made and record["stopped"] == stopped
    if count is not None:
        assert record["process"][count] == 1
    asked = sum(call["tool"] == "plan" for call in record["console_calls"])
    assert record["process"].get("template_planned_instead", 0) == (asked == 0)
    assert ("a slip" in record["last_words"]) == ("a slip" in code)


def test_it_runs_apart_and_is_not_told_where_things_are(
    env: RadPlanEnv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own script is found all the same, as is what lies beside it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RADPLAN_SHARED_DATA", "/patients")
    monkeypatch.setenv("PYTHONPATH", "/packages")
    monkeypatch.setenv("SOME_KEY", "7")
    (tmp_path / "beside.py").write_text("found = 'beside it'")
    code = """
from beside import found
names = sorted(name for name in os.environ if name.startswith("RADPLAN_")) + [os.environ["SOME_KEY"]]
open("note.txt", "w").close()
print(json.dumps([found, names, os.environ.get("PYTHONPATH"), os.getcwd(), os.environ.get("PWD")]), file=sys.stderr)
"""
    _, record, _ = play(env, Path("player.py"), code)
    found, names, packages, folder, pwd = json.loads(record["last_words"])
    assert (found, names, packages) == ("beside it", ["RADPLAN_SEED", "7"], None)
    assert pwd is None and Path(folder) != tmp_path and not Path(folder).exists()


def test_what_cannot_be_started_is_said_before_anything_is_planned() -> None:
    with pytest.raises(ValueError, match="no program 'no-such-program'"):
        load_agent("mcp:no-such-program --fast")
    with pytest.raises(ValueError, match="no command"):
        load_agent("mcp:")


def test_the_track_goes_by_what_an_agent_sees(env: RadPlanEnv) -> None:
    name = f"mcp:{sys.executable} player.py"
    assert track_of(name) == track_of("mcp") == "ranked"
    assert track_of("template") == track_of("tool-planner") == track_of("mcp_agents:Mine") == "open"
    assert isinstance(make_agent(name, env), OwnProcessAgent)
