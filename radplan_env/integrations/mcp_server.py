"""The planner's console as a server of the Model Context Protocol."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from radplan_env.console import Answer, ToolError, tool_descriptions
from radplan_env.version import __version__

if TYPE_CHECKING:
    from mcp.server import Server

WITHHELD = "not shown: pictures of this patient stay on the machine where the plan is made"
"""What a client is told in place of a picture."""


def server_of(
    call: Callable[[str, Mapping[str, Any]], Answer], instructions: str, *, pictures: bool = True
) -> Server[Any]:
    """Return a server that offers the console's tools for one episode.

    Parameters
    ----------
    call : callable
        Carries a call out, as `Console.call`; on a thread of its own, one call at a time.
    instructions : str
        What a planner at the console should know.
    pictures : bool
        Whether the client is shown any.

    Raises
    ------
    ImportError
        Without the package mcp: pip install -e '.[mcp]' in the checkout.
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
                answer = await anyio.to_thread.run_sync(call, params.name, params.arguments or {})
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
        instructions=f"{instructions}\n\nBegin with the tool `task`.",
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )
