"""A connection of the HTTP port: uvicorn's, with deadlines for what a client sends and reads."""

import asyncio
import logging
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import h11
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from server.config import KIB, MIB
from server.web.call import CERTIFICATE
from server.web.errors import Failure

# What an application has not read of a request is read and dropped before its answer is sent, up to
# so many bytes: many clients read no answer before they have sent all.
_DROPPED_BYTES = 8 * MIB
# In the head of a request. What servers and proxies read differently is a way to smuggle a request
# past a proxy: a line that is folded, or ends with half of a line's end; a length given twice.
_AMBIGUOUS = re.compile(rb"\n[ \t]|\r[^\n]|(?<!\r)\n|\0")
_HEAD_BYTES = 16 * KIB
_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = re.compile(rb"\n(?:content-length|transfer-encoding)[ \t]*:", re.IGNORECASE)
_HOST = re.compile(rb"\nhost[ \t]*:", re.IGNORECASE)
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


# What clients do wrong is no line of the log; what we do wrong is logged before uvicorn sees it.
_SILENT = logging.getLogger("server.web.silent")
_SILENT.disabled = True


class Connection(H11Protocol):
    """See the module. ``lost`` is called at the end of the connection."""

    def __init__(
        self,
        config: Config,
        state: ServerState,
        times: Times,
        lost: Callable[[], None],
        headers_of_all: list[tuple[bytes, bytes]],
    ) -> None:
        super().__init__(config, state, {}, asyncio.get_running_loop())
        self.logger = self.access_logger = _SILENT
        self.timeout_keep_alive = times.idle.total_seconds()  # type: ignore[assignment]
        self._answer: ASGIApp = self.app
        self.app = self._answer_in_time
        self._times = times
        self._lost = lost
        self._headers_of_all = headers_of_all
        self._is_waiting = True
        self._deadline: asyncio.TimerHandle | None = None
        self._reading: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        super().connection_made(transport)
        certificate = _certificate_of(transport)
        if certificate is not None:
            self.app_state[CERTIFICATE] = certificate
        self._set_deadline(self._times.head)

    def connection_lost(self, error: Exception | None) -> None:
        """End."""
        self._clear_deadline()
        self.resume_writing()
        super().connection_lost(error)
        self._lost()

    def data_received(self, data: bytes) -> None:
        """Take what the client has sent."""
        if self._is_waiting and self._deadline is None:
            self._set_deadline(self._times.head)
        super().data_received(data)

    def handle_events(self) -> None:
        """Handle what was received; h11 reads more forms of a head than are clear."""
        if self.conn.their_state is h11.IDLE and (wrong := _wrong_head(self.conn.trailing_data[0])):
            self.send_400_response(wrong)
            return
        super().handle_events()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request, and close."""
        if not (self._is_waiting or self.cycle.response_complete):
            # Its body was broken off by something else: nobody can tell where an answer belongs.
            self.transport.abort()
            return
        body = Failure.of(400, "invalid_argument", msg).body
        length = (b"content-length", str(len(body)).encode())
        headers = [*self._headers_of_all, (b"content-type", b"application/json"), length, _CLOSE]
        for event in (
            h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self._close()

    def pause_writing(self) -> None:
        """Note that the client does not read as fast as it is answered."""
        super().pause_writing()
        self._expect_reading()

    def resume_writing(self) -> None:
        """Note that the client has read."""
        super().resume_writing()
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    async def _answer_in_time(self, scope: Scope, receive: Receive, send: Send) -> None:
        cycle = self.cycle
        self._is_waiting = False
        self._set_deadline(self._times.body, lambda: cycle.more_body)

        async def send_after_body(message: Message) -> None:
            if message["type"] == "http.response.start" and cycle.more_body:
                await self._drop_body(receive, scope)
                if cycle.more_body:
                    message["headers"] = [*message.get("headers", ()), _CLOSE]
            await send(message)

        try:
            await self._answer(scope, receive, send_after_body)
        finally:
            self._clear_deadline()
            self._is_waiting = True
            if self.transport.is_closing():
                self._close()

    async def _drop_body(self, receive: Receive, scope: Scope) -> None:
        """Read the rest of a body, unless its client waits to send it, or it is too long."""
        length = dict(scope["headers"]).get(b"content-length", b"")
        room = _DROPPED_BYTES
        if self.cycle.waiting_for_100_continue or (length.isdigit() and int(length) > room):
            return
        while self.cycle.more_body and room > 0:
            message = await receive()
            if message["type"] != "http.request":
                return
            room -= len(message["body"])

    def _close(self) -> None:
        """Close when the client has read what was sent, or when it takes too long."""
        self.transport.close()
        self.loop.call_later(self._times.unread.total_seconds(), self.transport.abort)

    def _set_deadline(self, length: timedelta, is_late: Callable[[], bool] = lambda: True) -> None:
        self._clear_deadline()

        def end() -> None:
            if is_late():
                self.transport.abort()

        self._deadline = self.loop.call_later(length.total_seconds(), end)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expect_reading(self) -> None:
        """Close the connection if its client reads nothing for too long."""
        unread = self.transport.get_write_buffer_size()

        def look() -> None:
            if self.transport.get_write_buffer_size() >= unread:
                self.transport.abort()
            else:
                self._expect_reading()

        self._reading = self.loop.call_later(self._times.unread.total_seconds(), look)


def _certificate_of(transport: Any) -> bytes | None:
    """Return the certificate that the client showed, in PEM."""
    connected = transport.get_extra_info("ssl_object")
    shown = None if connected is None else connected.getpeercert(binary_form=True)
    return None if shown is None else ssl.DER_cert_to_PEM_cert(shown).encode()


def _wrong_head(received: bytes) -> str:
    """Say what of the head of a request is ambiguous, as far as it is there; empty = nothing."""
    head = received.partition(_END_OF_HEAD)[0]
    if len(head) > _HEAD_BYTES:
        return f"the head of the request takes more than {_HEAD_BYTES:,} bytes"
    if _AMBIGUOUS.search(head):
        return "the head of the request has a folded line, or a line without its whole end"
    if len(_LENGTH.findall(head)) > 1:
        return "the request says twice how long it is"
    if len(_HOST.findall(head)) > 1:
        return "the request has more than one header Host"
    return ""
