"""What `radplan mcp` does once its options are read."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from radplan_agents.privacy import is_own_patient
from radplan_agents.tool_planner import manual
from radplan_env import extras
from radplan_env.integrations.mcp_server import server_of
from radplan_experiments.cohort import UsageError, open_cohort
from radplan_experiments.options import MCPOptions, RunOptions, TaskOptions
from radplan_experiments.recording.settings import Settings
from radplan_experiments.running import comparison, run_settings
from radplan_experiments.running.served_episode import ServedEpisode

if TYPE_CHECKING:
    from mcp.server import Server

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
        raise UsageError(f"needs the extra mcp: {extras.command('mcp')}") from error
    settings, case = settings_of(args, given)
    comparison.say(f"{case}: the dose influence is computed, which takes seconds")
    episode = ServedEpisode(settings, case, args.out, command)
    withheld = is_own_patient(episode.case) and not args.send_images_off_site
    if withheld:
        comparison.say("pictures of your own patient stay on this machine; --send-images-off-site shows them")
    server = server_of(episode.call, manual(), pictures=not withheld)
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


async def _over_stdio(server: Server[Any]) -> None:
    from mcp.server.stdio import stdio_server

    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


def _over_http(server: Server[Any], port: int) -> None:
    import uvicorn

    uvicorn.run(server.streamable_http_app(), host="127.0.0.1", port=port, log_level="warning")
