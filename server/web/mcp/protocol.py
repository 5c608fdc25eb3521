"""The tools as a server of the Model Context Protocol, by the package ``mcp``."""

import asyncio
import logging
from collections.abc import Callable
from importlib import metadata
from typing import TYPE_CHECKING, Any

from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    ToolAnnotations,
)
from mcp_types import Tool as ToolDefinition

from server.web.mcp.answer import OUTPUT_SCHEMA
from server.web.mcp.asking import Ask
from server.web.mcp.tool import Tool
from server.web.mcp.tools import INSTRUCTIONS, TOOLS, ToolError, call

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext

# A line for every request would bury what the server has to say.
logging.getLogger("mcp").setLevel(logging.WARNING)


def protocol_server(ask_for: Callable[[Any], Ask], *, seconds: float | None = None) -> "Server[Any]":
    """
    Make the server; ``ask_for`` makes of a tool call's request what asks for its caller.

    The request is the HTTP request that the call came by; None = it came by stdio. A call may take
    ``seconds``, None = as long as what it asks.
    """

    async def list_tools(_: object, _params: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=definitions)

    async def call_tool(
        context: "ServerRequestContext[Any]", params: CallToolRequestParams
    ) -> CallToolResult:
        tool = TOOLS.get(params.name)
        if tool is None:
            raise MCPError(INVALID_PARAMS, f"no such tool: {params.name!a}; there are {', '.join(TOOLS)}")
        try:
            async with asyncio.timeout(seconds):
                answer = await call(tool, params.arguments, ask_for(context.request))
        except ToolError as error:
            return _failed(str(error))
        except TimeoutError:
            return _failed(f"no answer within {seconds:.0f} s: ask for less, or later")
        return CallToolResult(
            content=[TextContent(text=answer.text())], structured_content=answer.structured()
        )

    definitions = [_definition(tool) for tool in TOOLS.values()]
    return Server(
        "depgraph",
        version=metadata.version("depgraph"),
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        get_tool_input_schema=lambda name: TOOLS[name].schema if name in TOOLS else None,
    )


def _failed(message: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(text=message)], is_error=True)


def _definition(tool: Tool) -> ToolDefinition:
    return ToolDefinition(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=tool.schema,
        output_schema=dict(OUTPUT_SCHEMA),
        annotations=ToolAnnotations(
            read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
        ),
    )
