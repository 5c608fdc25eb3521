"""The tools at ``/mcp`` of the HTTP port: streamable HTTP without sessions."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from google.protobuf.message import Message
from google.rpc.status_pb2 import Status
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from server.web.call import Sender
from server.web.in_process import CallFailedError, Calls
from server.web.mcp.asking import AnswerT, AskError

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server

_MAX_REQUEST_BYTES = 256 * 1024
_SECONDS = 60.0


class McpEndpoint:
    """
    An ASGI application.

    A request stands alone, whichever worker it reaches: it is answered as whoever sent it, by the
    same path as every call. Nothing is kept between requests.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._server: Server[Any] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["method"] != "POST":
            # There is no stream of the server's own to GET, and no session to DELETE.
            refusal = JSONResponse(_error("send requests by POST"), 405, {"Allow": "POST"})
            await refusal(scope, receive, send)
            return
        try:
            if self._server is None:
                # It takes most of a second, which only servers that are asked for it pay.
                self._server = await asyncio.to_thread(self._made)
        except ModuleNotFoundError as error:
            missing = f"tools for agents need the server's extra mcp ({error.name} is missing)"
            await JSONResponse(_error(missing), 501)(scope, receive, send)
            return
        await _answer(self._server, scope, receive, send)

    def _made(self) -> "Server[Any]":
        from server.web.mcp.protocol import protocol_server  # noqa: PLC0415

        return protocol_server(lambda request: _Asking(self._calls, request), seconds=_SECONDS)


async def _answer(server: "Server[Any]", scope: Scope, receive: Receive, send: Send) -> None:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager  # noqa: PLC0415

    # One for each request: what it keeps between requests are sessions. The port has checked Host
    # and Origin by now.
    manager = StreamableHTTPSessionManager(server, stateless=True, max_request_body_size=_MAX_REQUEST_BYTES)
    async with manager.run():
        await manager.handle_request(scope, receive, send)


class _Asking:
    """Asks in this process, as whoever sent the request; see ``Ask``."""

    def __init__(self, calls: Calls, request: Request) -> None:
        self._calls = calls
        self._sender = Sender.of(request.scope)

    async def __call__(self, method: str, request: Message, answer: type[AnswerT]) -> AsyncIterator[AnswerT]:
        """Yield the answer or its parts."""
        try:
            if self._calls.served[method].types.is_stream:
                async for part in self._calls.parts(method, request, self._sender):
                    yield _checked(part, answer)
            else:
                yield _checked(await self._calls.ask(method, request, self._sender), answer)
        except CallFailedError as error:
            status = Status(details=error.details)
            raise AskError(error.code, error.message, status) from error


def _checked(message: Message, answer: type[AnswerT]) -> AnswerT:
    assert isinstance(message, answer)  # noqa: S101 - generated classes are those of the descriptors
    return message


def _error(message: str) -> dict[str, str]:
    return {"code": "unimplemented", "message": message}
