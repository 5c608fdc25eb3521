"""The tools as a server of the Model Context Protocol, by the package ``mcp``."""

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


def protocol_server(ask_for: Callable[[Any], Ask]) -> "Server[Any]":
    """
    Make the server; ``ask_for`` makes of a tool call's request what asks for its caller.

    The request is the HTTP request that the call came by; None = it came by stdio.
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
            answer = await call(tool, params.arguments, ask_for(context.request))
        except ToolError as error:
            return CallToolResult(content=[TextContent(text=str(error))], is_error=True)
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
