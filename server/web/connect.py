"""
The methods as the Connect protocol has them: unary calls, with requests as JSON or as bytes.

Answers of streams are lines of JSON instead: a program reads them without a library.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final, TypeVar

import grpc
from starlette.types import Receive, Scope, Send

from server.concurrency import CooperativeYield
from server.config import KIB, Limits
from server.domain.errors import DomainError
from server.rpc.answering import Answering
from server.rpc.errors import status_and_metadata
from server.rpc.methods import Method
from server.rpc.reading import RequestBounds, bounds_of
from server.web.bodies import GZIP, IDENTITY, Bodies, CallerGoneError
from server.web.call import HttpCall, Sender, Status
from server.web.errors import Failure, error_of, headers_of, json_line, status_of
from server.web.in_process import Calls
from server.web.json_answers import json_pieces
from server.web.json_requests import request_of
from server.web.messages import MessageTypes
from server.web.responses import JSON, begin, refuse, respond, respond_in_blocks, write

T = TypeVar("T")

PROTO: Final = "application/proto"
LINES: Final = "application/x-ndjson"
_VERSION = "1"
# Of milliseconds.
_MOST_DIGITS = 10
_PIECE_BYTES = 64 * KIB
_LATE: Status = (grpc.StatusCode.DEADLINE_EXCEEDED, "the call's deadline has passed", ())


@dataclass(frozen=True, slots=True)
class _Question:
    """What the headers of a request say; ``seconds`` until the deadline, None = it has none."""

    is_json: bool
    headers: Mapping[str, str]
    seconds: float | None


class ConnectMethods:
    """An ASGI application: the methods of ``calls``, by path."""

    def __init__(self, calls: Calls, limits: Limits) -> None:
        self._calls = calls
        self._limits = limits
        self._bounds: dict[str, RequestBounds] = {}
        self._bodies = Bodies(limits)
        # Tasks that send answers of calls with one answer.
        self._sending: set[asyncio.Task[Any]] = set()

    def serve(self, methods: Sequence[Method], answering: Answering) -> None:
        """Set the methods to serve."""
        self._calls.serve(methods)
        self._answering = answering
        self._bounds = {name: bounds_of(name, self._limits) for name in self._calls.served}

    def __contains__(self, path: str) -> bool:
        return path in self._calls.served

    async def sent(self, within: timedelta) -> None:
        """Wait until the answers that are made are sent, at most so long."""
        if self._sending:
            await asyncio.wait(self._sending, timeout=within.total_seconds())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a call."""
        served = self._calls.served.get(scope["path"])
        if served is None:
            text = f"the server has no method {scope['path']!r}"
            await refuse(Failure.of(HTTPStatus.NOT_FOUND, "unimplemented", text), send)
            return
        method, types = served
        question = _question_of(scope, streams=method.handler.response_streaming)
        if isinstance(question, Failure):
            await refuse(question, send)
            return
        sender = Sender.of(scope)
        call: _Unary | _Stream
        if method.handler.response_streaming:
            call = _Stream(sender, question, types, send)
        else:
            call = _Unary(sender, question, types, send)
        with suppress(CallerGoneError):
            await self._answer(method, call, receive)

    async def _answer(self, method: Method, call: "_Unary | _Stream", receive: Receive) -> None:
        context = call.context
        try:
            if (refusal := self._answering.refusal(method, context)) is not None:
                raise refusal
            async with asyncio.timeout(context.time_remaining()):
                request = await self._request(method, call, receive)
        except DomainError as error:
            self._answering.note_refused(method, context, error)
            await call.fail(status_and_metadata(error))
            return
        except TimeoutError:
            await call.fail(_LATE)
            return
        gone = asyncio.create_task(_gone(receive))
        try:
            answer = await _unless(gone, method.answer(request, context), context.time_remaining())
            with self._counted(call):
                await _unless(gone, call.succeed(answer or b""), None)
        except grpc.aio.AbortError:
            await call.fail(context.status)
        except TimeoutError:
            await call.fail(_LATE)
        finally:
            gone.cancel()
            context.end()

    @contextmanager
    def _counted(self, call: "_Unary | _Stream") -> Iterator[None]:
        """Let ``sent`` wait for the end of this task."""
        task = asyncio.current_task()
        if task is None or isinstance(call, _Stream):
            yield
            return
        self._sending.add(task)
        try:
            yield
        finally:
            self._sending.discard(task)

    async def _request(self, method: Method, call: "_Unary | _Stream", receive: Receive) -> bytes:
        bounds, question = self._bounds[method.name], call.question
        async with self._bodies.received(receive, question.headers, bounds) as body:
            if question.is_json:
                return await request_of(body, call.types.request, bounds)
            return body


class _Unary:
    """A call with one answer."""

    def __init__(self, sender: Sender, question: _Question, types: MessageTypes, send: Send) -> None:
        self.context: Any = HttpCall(sender, question.seconds)
        self.question = question
        self.types = types
        self._send = send

    async def succeed(self, answer: bytes) -> None:
        """Send the answer."""
        if self.question.is_json:
            line = _line(json_pieces(answer, self.types.answer))
            await respond_in_blocks(self._send, HTTPStatus.OK, JSON, line)
        else:
            await respond_in_blocks(self._send, HTTPStatus.OK, PROTO, _cut(answer))

    async def fail(self, status: Status) -> None:
        """Send an error."""
        await _fail(self._send, status)


class _Stream:
    """A call with a stream of answers: the status is sent when the handler begins to answer."""

    def __init__(self, sender: Sender, question: _Question, types: MessageTypes, send: Send) -> None:
        self.context: Any = HttpCall(sender, question.seconds, begin=self._begin, send_part=self._send_part)
        self.question = question
        self.types = types
        self._send = send
        self._has_begun = False
        # While its reader keeps up, sending a part waits for nothing.
        self._yielding = CooperativeYield()

    async def succeed(self, _: bytes) -> None:
        """End the stream."""
        await self._begin()
        await write(self._send, b"", more=False)

    async def fail(self, status: Status) -> None:
        """Send an error: as that of a call with one answer, or as the last line."""
        if self._has_begun:
            await write(self._send, json_line({"error": error_of(status)}), more=False)
        else:
            await _fail(self._send, status)

    async def _begin(self) -> None:
        if not self._has_begun:
            self._has_begun = True
            await begin(self._send, HTTPStatus.OK, LINES)

    async def _send_part(self, part: bytes) -> None:
        """Send a line as a whole: an error that interrupts this must not follow within it."""
        written = [piece async for piece in json_pieces(part, self.types.answer)]
        await self._begin()
        await write(self._send, b"".join((b'{"result":', *written, b"}\n")))
        # Its bytes are counted as not sent until there is room for the next one.
        await write(self._send, b"")
        await self._yielding.checkpoint()


async def _fail(send: Send, status: Status) -> None:
    await respond(send, status_of(status), JSON, json_line(error_of(status)), headers_of(status))


async def _line(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for piece in pieces:
        yield piece
    yield b"\n"


async def _cut(answer: bytes) -> AsyncIterator[bytes]:
    for begins in range(0, len(answer), _PIECE_BYTES):
        yield answer[begins : begins + _PIECE_BYTES]


async def _gone(receive: Receive) -> None:
    """Wait until the caller has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _unless(gone: "asyncio.Task[None]", work: Awaitable[T], seconds: float | None) -> T:
    """Wait for work, and cancel it when its caller is gone, or after so many seconds."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait((task, gone), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait((task,))
    if task.cancelled():
        if gone.done():
            raise CallerGoneError
        raise TimeoutError
    return task.result()


def _question_of(scope: Scope, *, streams: bool) -> _Question | Failure:
    """Read the headers of a call, or return what is wrong with them."""
    if scope["method"] != "POST":
        text = f"methods are called by POST, not by {scope['method']}"
        return Failure.of(HTTPStatus.METHOD_NOT_ALLOWED, "unimplemented", text, allow="POST")
    headers = {key.decode("latin-1"): value.decode("latin-1").strip() for key, value in scope["headers"]}
    taken = (JSON,) if streams else (JSON, PROTO)
    content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type not in taken:
        text = f"the header Content-Type has to be {' or '.join(taken)}, and is {content_type!r}"
        return Failure.of(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "invalid_argument", text, accept_post=", ".join(taken)
        )
    if (encoding := headers.get("content-encoding", IDENTITY)) not in (IDENTITY, GZIP):
        text = f"the server takes bodies as they are or packed by gzip, not by {encoding!r}"
        return Failure.of(HTTPStatus.NOT_IMPLEMENTED, "unimplemented", text, accept_encoding=GZIP)
    if (version := headers.get("connect-protocol-version", _VERSION)) != _VERSION:
        text = f"the header Connect-Protocol-Version has to be {_VERSION!r}, and is {version!r}"
        return Failure.of(HTTPStatus.BAD_REQUEST, "invalid_argument", text)
    timeout = headers.get("connect-timeout-ms", "")
    if timeout and not (timeout.isascii() and timeout.isdecimal() and len(timeout) <= _MOST_DIGITS):
        text = f"the header Connect-Timeout-Ms has to be a number of at most 10 digits, and is {timeout!r}"
        return Failure.of(HTTPStatus.BAD_REQUEST, "invalid_argument", text)
    return _Question(content_type == JSON, headers, int(timeout) / 1000 if timeout else None)
