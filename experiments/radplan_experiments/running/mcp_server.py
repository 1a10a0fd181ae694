"""The planner's console as a server of the Model Context Protocol."""

from __future__ import annotations

import base64
import json
import signal
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from radplan_agents.privacy import is_own_patient
from radplan_agents.tool_planner import manual
from radplan_env.console import ToolError, tool_descriptions
from radplan_env.version import __version__
from radplan_experiments.cohort import UsageError, open_cohort
from radplan_experiments.options import MCPOptions, RunOptions, TaskOptions
from radplan_experiments.recording.settings import Settings
from radplan_experiments.running import comparison, run_settings
from radplan_experiments.running.served_episode import ServedEpisode

if TYPE_CHECKING:
    from mcp.server import Server

WITHHELD = "not shown: pictures of this patient stay on the machine where the plan is made"
"""What a client is told in place of a picture."""

AGENT = "mcp"
"""What the planner is called in the record."""

SET_BY_SUITE = (
    *("--site", "--protocol", "--scorecard", "--gantry-angles-deg", "--collimator-angles-deg", "--beam-model"),
    *("--source", "--split", "--budget", "--fidelity"),
)


def run(args: MCPOptions, given: Sequence[str], command: str) -> int:
    """Serve an episode until its client goes; return the exit code.

    Parameters
    ----------
    args : MCPOptions
    given : sequence of str
        The options that were named: one that a suite sets is refused.
    command : str
        The command line, for the record.

    Raises
    ------
    UsageError
        If something asked for is not there.
    """
    try:
        import anyio
        import mcp.server  # noqa: F401
    except ImportError as error:
        raise UsageError("needs the extra mcp: pip install 'radplan_env[mcp]'") from error
    settings, case = settings_of(args, given)
    comparison.say(f"{case}: the dose influence is computed, which takes seconds")
    episode = ServedEpisode(settings, case, args.out, command)
    withheld = is_own_patient(episode.case) and not args.send_images_off_site
    if withheld:
        comparison.say("pictures of your own patient stay on this machine; --send-images-off-site shows them")
    server = server_of(episode, pictures=not withheld)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a client that goes may ask no more politely
    try:
        if args.http is None:
            anyio.run(_over_stdio, server)
        else:
            comparison.say(f"serving at http://127.0.0.1:{args.http}/mcp; end it with Ctrl+C")
            _over_http(server, args.http)
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        folder = episode.close()
        comparison.say("no plan was made: nothing is recorded" if folder is None else f"recorded in {folder}")
    return 0


def settings_of(args: MCPOptions, given: Sequence[str] = ()) -> tuple[Settings, str]:
    """Return the settings of the run that the episode belongs to, and the case.

    Raises
    ------
    UsageError
        If something asked for is not there.
    """
    task: dict[str, Any] = {field.name: getattr(args, field.name) for field in fields(TaskOptions)}
    asked = RunOptions(**task, agents=("template",))
    if args.suite is not None:
        if clashing := [option for option in given if option in SET_BY_SUITE]:
            raise UsageError(f"--suite sets {' '.join(clashing)} itself: leave out one or the other")
        settings = run_settings.settings_of_suite(args.suite, asked)
        case = args.case or settings.cases[0]
        known = settings.cases
    else:
        known = tuple(open_cohort(run_settings.origin_of(asked)).ids[:1]) if args.case is None else (args.case,)
        case = known[0]
        settings = run_settings.settings_of(replace(asked, cases=(case,)))
    if case not in known:
        raise UsageError(f"--case {case}: --suite {args.suite} has {', '.join(known)}")
    return replace(settings, agents=(AGENT,), deterministic=()), case


def server_of(episode: ServedEpisode, *, pictures: bool = True) -> Server[Any]:
    """Return a server that offers the console's tools for one episode.

    Parameters
    ----------
    episode : ServedEpisode
    pictures : bool
        Whether the client is shown any.
    """
    import anyio
    import anyio.to_thread
    import mcp.types as types
    from mcp.server import Server

    one_at_a_time = anyio.Lock()
    tools = [
        types.Tool(name=name, description=description, input_schema=schema)
        for name, description, schema in tool_descriptions()
    ]

    async def list_tools(context: Any, params: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=tools)

    async def call_tool(context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        async with one_at_a_time:
            try:
                answer = await anyio.to_thread.run_sync(episode.call, params.name, params.arguments or {})
            except ToolError as error:
                return types.CallToolResult(content=[types.TextContent(text=f"Not done: {error}")], is_error=True)
        shown = answer.pictures if pictures else ()
        told = answer.data if len(shown) == len(answer.pictures) else {**answer.data, "picture": WITHHELD}
        content: list[Any] = [types.TextContent(text=json.dumps(told, ensure_ascii=False))]
        for view in shown:
            data = base64.b64encode(view.png).decode()
            content.append(types.ImageContent(data=data, mime_type="image/png"))
        return types.CallToolResult(content=content)

    return Server(
        "radplan",
        version=__version__,
        instructions=f"{manual()}\n\nBegin with the tool `task`.",
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


async def _over_stdio(server: Server[Any]) -> None:
    from mcp.server.stdio import stdio_server

    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


def _over_http(server: Server[Any], port: int) -> None:
    import uvicorn

    uvicorn.run(server.streamable_http_app(), host="127.0.0.1", port=port, log_level="warning")
