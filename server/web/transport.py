"""HTTP/1.1 for the methods of the contract, and for the console."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType

import grpc
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from server.config import Limits
from server.rpc.answering import Answering
from server.rpc.methods import Method
from server.web.call import HttpCall, Sender
from server.web.in_process import Calls
from server.web.messages import MessageTypes, error_of, json_of, line, request_of

_STATIC = Path(__file__).with_name("static")


class _Server(uvicorn.Server):
    """A server that leaves signals to the process, and says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_listening = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        await super().startup(sockets)
        self.is_listening.set()


class HttpTransport:
    """
    Has the methods of ``GrpcioTransport``.

    Unary calls are those of Connect, answers of streams are lines of JSON. ``mounts`` are
    applications at a path (``/mcp``): the same checks come before them as before the rest.
    ``calls`` gets the methods that are served; applications ask them by it, each for the ``Sender``
    of the request that came.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        share_port: bool = False,
        calls: Calls | None = None,
        mounts: Mapping[str, ASGIApp] = MappingProxyType({}),
    ) -> None:
        self._limits = limits
        self._share_port = share_port
        self._calls = calls or Calls()
        self._mounts = mounts

    def serve(self, methods: Sequence[Method], answering: Answering) -> None:
        """Set the methods to serve."""
        self._answering = answering
        self._calls.serve(methods)

    def listen(self, address: str) -> int:
        """Bind an address, return the port."""
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self._share_port:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._socket.bind((host, int(port)))
        bound: int = self._socket.getsockname()[1]
        return bound

    async def start(self) -> None:
        """Accept requests."""
        application = Starlette(
            routes=[
                *(Route(name, self._call, methods=["POST"]) for name in self._calls.served),
                *(Route(path, application) for path, application in self._mounts.items()),
                Mount("/", StaticFiles(directory=_STATIC, html=True)),
            ]
        )
        self._server = _Server(
            uvicorn.Config(
                application, http="h11", ws="none", lifespan="off", log_config=None, access_log=False
            )
        )
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        await self._server.is_listening.wait()

    async def stop(self, flush: timedelta | None) -> None:
        """Close; answers have the time ``flush`` to leave the process, None = no time."""
        self._server.should_exit = True
        if flush is not None:
            await asyncio.wait((self._task,), timeout=flush.total_seconds())
        self._server.force_exit = True
        await self._task

    async def _call(self, request: Request) -> Response:
        method, types = self._calls.served[request.url.path]
        try:
            asked = request_of(await request.body(), types)
        except ValueError as error:
            return JSONResponse({"code": "invalid_argument", "message": str(error)}, 400)
        sender = Sender.of(request.scope)
        if method.handler.response_streaming:
            return self._stream(method, types, asked, sender)
        call = HttpCall(sender)
        try:
            answer = await method.answer(asked, call)
        except grpc.aio.AbortError:
            status, failure = error_of(call.status)
            return JSONResponse(failure, status)
        finally:
            call.end()
        return Response(json_of(answer or b"", types), media_type="application/json")

    def _stream(
        self,
        method: Method,
        types: MessageTypes,
        asked: bytes,
        sender: Sender,
    ) -> Response:
        parts: asyncio.Queue[bytes | None] = asyncio.Queue(1)

        async def send(part: bytes) -> None:
            await parts.put(b'{"result":' + json_of(part, types) + b"}\n")

        async def answer() -> None:
            call = HttpCall(sender, send_part=send)
            try:
                await method.answer(asked, call)
            except grpc.aio.AbortError:
                await parts.put(line(error=error_of(call.status)[1]))
            finally:
                call.end()
                await parts.put(None)

        async def lines() -> AsyncIterator[bytes]:
            task = asyncio.create_task(answer())
            try:
                while (part := await parts.get()) is not None:
                    yield part
            finally:
                task.cancel()

        return StreamingResponse(lines(), media_type="application/x-ndjson")
