"""``depgraph mcp``: tools for agents over standard input and output."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import Message
from grpc_status import rpc_status

from server.cli.asked import AskedServer, asks_server
from server.cli.connection import OwnChannel, explain
from server.cli.failures import CommandError
from server.web.mcp.asking import AnswerT, AskError
from server.web.messages import types_of

if TYPE_CHECKING:
    from google.rpc.status_pb2 import Status


@asks_server(timeout=60.0)
def mcp(*, server: AskedServer) -> None:
    """
    Serve tools for agents (MCP).

    A program that works with agents starts this command, and speaks the Model Context Protocol with
    it on standard input and output until its input ends. The tools only read.
    """
    # Its client decides when it ends, and it holds nothing that would have to be saved. The thread
    # that waits for input can't be woken.
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: os._exit(0))
    asyncio.run(_serve(server))


async def _serve(server: AskedServer) -> None:
    try:
        from mcp.server.stdio import stdio_server
    except ModuleNotFoundError as error:
        from server.cli.__main__ import requirement

        raise CommandError(
            f"tools for agents need the extra mcp ({error.name} is missing): "
            f"pip install '{requirement('server,mcp')}'"
        ) from error
    from server.web.mcp.protocol import protocol_server

    # A wrong option is reported now, not to the agent.
    await OwnChannel(server).channel.close()
    asking = _Asking(server)
    protocol = protocol_server(lambda _: asking)
    try:
        async with stdio_server() as (requests, answers):
            await protocol.run(requests, answers, protocol.create_initialization_options())
    except* BrokenPipeError:
        # The client has gone without closing our input first.
        os._exit(0)


class _Asking:
    """
    Asks by gRPC, each call on a connection of its own.

    Agents ask a few times a minute: what a connection costs is less than a wait for gRPC to try a
    broken one again, which can take ten seconds after the server is back.
    """

    def __init__(self, server: AskedServer) -> None:
        self._server = server
        self._closing: set[asyncio.Future[None]] = set()

    async def __call__(self, method: str, request: Message, answer: type[AnswerT]) -> AsyncIterator[AnswerT]:
        """Yield the answer or its parts; see ``Ask``."""
        try:
            own = OwnChannel(self._server)
        except CommandError as error:
            raise AskError(grpc.StatusCode.UNAUTHENTICATED, str(error)) from error
        asked = request.SerializeToString()
        said: Any = {"metadata": own.metadata, "timeout": self._server.timeout}
        try:
            if types_of(method).is_stream:
                stream: grpc.aio.UnaryStreamMultiCallable[bytes, AnswerT]
                stream = own.channel.unary_stream(method, None, answer.FromString)
                parts = stream(asked, **said)
                while (part := await _apart(parts.read())) is not grpc.aio.EOF:
                    yield part
            else:
                call: grpc.aio.UnaryUnaryMultiCallable[bytes, AnswerT]
                call = own.channel.unary_unary(method, None, answer.FromString)
                yield await _apart(call(asked, **said))
        except grpc.aio.AioRpcError as error:
            raise await self._failure(error) from error
        finally:
            closing = asyncio.ensure_future(own.channel.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def _failure(self, error: grpc.aio.AioRpcError) -> AskError:
        """Explain a failed call; finding out why there is no connection takes up to seconds."""
        message = await asyncio.to_thread(explain, error, self._server)
        return AskError(error.code(), message, _status(error))


async def _apart(call: Awaitable[Any]) -> Any:
    """
    Wait for a call in a task of its own, and cancel it when the wait is cancelled.

    gRPC raises a new ``CancelledError`` for a call that was cancelled. The package mcp, which knows
    its own by their text, would end the whole connection.
    """
    task = asyncio.ensure_future(call)
    try:
        await asyncio.wait((task,))
    finally:
        task.cancel()
    return task.result()


def _status(error: grpc.aio.AioRpcError) -> "Status | None":
    try:
        return rpc_status.from_call(error)
    except (ValueError, NotImplementedError):
        return None
