"""What a tool is."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from server.web.mcp.answer import Answer
from server.web.mcp.arguments import Arguments, Schema
from server.web.mcp.asking import Ask


@dataclass(frozen=True, slots=True)
class Tool:
    """
    A question that agents ask by name.

    ``fields`` has the names of arguments for those of fields in the server's errors, where the
    two differ.
    """

    name: str
    title: str
    description: str
    schema: Schema
    answer: Callable[[Ask, Arguments], Awaitable[Answer]]
    fields: Mapping[str, str] = field(default_factory=lambda: {"service_id": "service"})
