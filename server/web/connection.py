"""A connection of the HTTP port: uvicorn's, with deadlines for what a client sends and reads."""

import asyncio
import logging
import math
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from server.config import MIB
from server.web.call import CERTIFICATE, peer_of
from server.web.errors import Failure
from server.web.guard import HEADERS
from server.web.heads import END_OF_HEAD, MAX_HEAD_BYTES, body_of, wrong_head
from server.web.refusals import Refusals

# What an application has not read of a request is read and dropped before its answer is sent, up to
# so many bytes: many clients read no answer before they have sent all.
_DROPPED_BYTES = 8 * MIB
# Where the state of a request has the connection that it came by.
_CONNECTION: Final = "connection"
_CLOSE: Final = (b"connection", b"close")


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """
    How long a connection may take.

    - ``head``: from the first byte of a request, or from the beginning, to the end of its headers.
    - ``body``: from there to the end of the body.
    - ``unread``: without the client reading anything of an answer.
    - ``idle``: between requests.
    """

    head: timedelta = timedelta(seconds=20)
    body: timedelta = timedelta(seconds=60)
    unread: timedelta = timedelta(seconds=60)
    idle: timedelta = timedelta(minutes=10)


class Connection(asyncio.Protocol):
    """
    Stands before uvicorn's protocol, passes on what is clear, and ends what takes too long.

    Only the interfaces of asyncio and ASGI are between the two. ``config`` is that of
    ``config_for``, ``lost`` is called at the end.
    """

    def __init__(
        self,
        application: ASGIApp,
        *,
        config: Config,
        state: ServerState,
        times: Times,
        refusals: Refusals,
        lost: Callable[["Connection"], None],
    ) -> None:
        self._application = application
        self._of_requests: dict[str, Any] = {_CONNECTION: self}
        self._http = H11Protocol(config, state, self._of_requests)
        self._times = times
        self._refusals = refusals
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._head = bytearray()
        # Of the body of the request that began last; None = as long as its chunks say.
        self._body_bytes: int | None = 0
        # Requests that were taken and are not answered yet.
        self._unanswered = 0
        # What is not clear in the last head; nothing after it is taken.
        self._wrong = ""
        self._deadline: asyncio.TimerHandle | None = None
        self._reading: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        if (certificate := _certificate_of(transport)) is not None:
            self._of_requests[CERTIFICATE] = certificate
        self._set_deadline(self._times.head)
        self._http.connection_made(self._transport)

    def connection_lost(self, error: Exception | None) -> None:
        """End."""
        self._clear_deadline()
        self._note_reading()
        self._http.connection_lost(error)
        self._lost(self)

    def data_received(self, data: bytes) -> None:
        """Take what the client has sent: heads whole, once they are clear, bodies as they come."""
        while data and not self._wrong:
            if self._body_bytes is None:
                self._http.data_received(data)
                return
            if self._body_bytes:
                part, data = data[: self._body_bytes], data[self._body_bytes :]
                self._body_bytes -= len(part)
                self._http.data_received(part)
                continue
            if not self._head and not self._unanswered:
                self._set_deadline(self._times.head)
            data = self._take_head(data)

    def eof_received(self) -> None:
        """Take that the client sends no more."""
        self._http.eof_received()

    def pause_writing(self) -> None:
        """Note that the client does not read as fast as it is answered."""
        self._http.pause_writing()
        self._expect_reading()

    def resume_writing(self) -> None:
        """Note that the client has read."""
        self._http.resume_writing()
        self._note_reading()

    def end(self) -> None:
        """Close between requests: after the answer, if there is one to come."""
        self._http.shutdown()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def _take_head(self, data: bytes) -> bytes:
        """Take what belongs to the head of a request; returns the rest."""
        searched = max(0, len(self._head) - len(END_OF_HEAD))
        self._head += data
        end = self._head.find(END_OF_HEAD, searched)
        if (len(self._head) if end < 0 else end) > MAX_HEAD_BYTES:
            self._refuse(f"the head of the request takes more than {MAX_HEAD_BYTES:,} bytes")
            return b""
        if end < 0:
            return b""
        end += len(END_OF_HEAD)
        head, rest = bytes(self._head[:end]), bytes(self._head[end:])
        self._head.clear()
        if wrong := wrong_head(head):
            self._refuse(wrong)
            return b""
        self._body_bytes = body_of(head)
        self._unanswered += 1
        self._http.data_received(head)
        return rest

    def _refuse(self, wrong: str) -> None:
        """Refuse what is no clear request, once those before are answered, and close."""
        self._wrong = wrong
        if self._unanswered:
            return
        self._refusals.note("unclear", wrong, peer_of(self._transport.get_extra_info("peername")))
        body = Failure.of(400, "invalid_argument", wrong).body
        length = (b"content-length", str(len(body)).encode())
        headers = [*HEADERS, (b"content-type", b"application/json"), length, _CLOSE]
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        self._transport.write(b"HTTP/1.1 400 Bad Request\r\n" + lines + b"\r\n" + body)
        # A client that is still sending would lose the answer if its bytes were not read.
        if self._transport.can_write_eof():
            self._transport.write_eof()
            self._set_deadline(self._times.head)
        else:
            self._close()

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request by the application, see ``_dispatch``."""
        body = _Body(scope, receive)
        self._set_deadline(self._times.body, lambda: body.has_more)
        # Where the chunks end, and another head begins, only uvicorn knows.
        closes = self._body_bytes is None

        async def send_after_body(message: Message) -> None:
            if message["type"] == "http.response.start":
                await body.drop()
                if closes or body.has_more:
                    message["headers"] = [*message.get("headers", ()), _CLOSE]
            await send(message)

        try:
            await self._application(scope, body.receive, send_after_body)
        finally:
            self._unanswered -= 1
            self._set_deadline(self._times.head if self._head else self._times.idle)
            if self._transport.is_closing():
                self._close()
            elif self._wrong:
                self._refuse(self._wrong)

    def _close(self) -> None:
        """Close when the client has read what was sent, or when it takes too long."""
        self._transport.close()
        self._loop.call_later(self._times.unread.total_seconds(), self._transport.abort)

    def _set_deadline(self, length: timedelta, is_late: Callable[[], bool] = lambda: True) -> None:
        self._clear_deadline()

        def end() -> None:
            if is_late():
                self._transport.abort()

        self._deadline = self._loop.call_later(length.total_seconds(), end)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expect_reading(self) -> None:
        """Close the connection if its client reads nothing for too long."""
        unread = self._transport.get_write_buffer_size()

        def look() -> None:
            if self._transport.get_write_buffer_size() >= unread:
                self._transport.abort()
            else:
                self._expect_reading()

        self._reading = self._loop.call_later(self._times.unread.total_seconds(), look)

    def _note_reading(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None


class _Body:
    """The body of a request, as the application receives it."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.has_more = True
        self._receive = receive
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        # Its client may wait for a word before it sends the body, which reading it would give.
        self._may_drop = headers.get(b"expect", b"").lower() != b"100-continue"
        self._may_drop &= length.isdigit() and int(length) <= _DROPPED_BYTES

    async def receive(self) -> Message:
        """Receive the next part."""
        self._may_drop |= self.has_more
        message = await self._receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            self.has_more = False
        return message

    async def drop(self) -> None:
        """Read the rest, unless its client waits to send it, or it is too long."""
        room = _DROPPED_BYTES
        while self._may_drop and self.has_more and room > 0:
            room -= len((await self.receive()).get("body", b""))


async def _dispatch(scope: Scope, receive: Receive, send: Send) -> None:
    """Have a request answered by the connection that it came by."""
    await scope["state"][_CONNECTION].answer(scope, receive, send)


def config_for(times: Times) -> Config:
    """Make the settings of uvicorn, for all connections."""
    config = Config(
        _dispatch,
        ws="none",
        lifespan="off",
        proxy_headers=False,
        log_config=None,
        access_log=False,
        # Whatever it would log is either no fault of ours, or logged before.
        log_level=logging.CRITICAL + 1,
        # The deadline here comes before.
        timeout_keep_alive=math.ceil(times.idle.total_seconds()) + 1,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
    )
    config.load()
    return config


def _certificate_of(transport: Any) -> bytes | None:
    """Return the certificate that the client showed, in PEM."""
    connected = transport.get_extra_info("ssl_object")
    shown = None if connected is None else connected.getpeercert(binary_form=True)
    return None if shown is None else ssl.DER_cert_to_PEM_cert(shown).encode()
