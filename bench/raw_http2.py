"""
A gRPC client that sends ready-made frames and costs little beside the server.

It does what libraries refuse to do: it leaves answers unread and requests unfinished, sends
compressed messages as they are, and opens streams beyond the server's limit.
"""

import asyncio
import itertools
import struct
import time
from collections import deque
from dataclasses import dataclass

from grpc import StatusCode

from bench.http2 import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    FIRST_WINDOW,
    FRAME_BYTES,
    GOAWAY,
    HEAD,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    LARGEST_WINDOW,
    MAX_CONCURRENT_STREAMS,
    PING,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
    goaway_text,
    opening,
    status_of,
    window_update,
)

_CODES = {code.value[0]: code.name for code in StatusCode}


@dataclass(slots=True)
class Answer:
    """``code`` is a gRPC code, or ``RST_STREAM 7``, ``CONNECTION LOST`` or ``UNANSWERED``."""

    code: str
    message: str = ""
    data_bytes: int = 0
    ended: float = 0.0


@dataclass(slots=True)
class Call:
    """``unsent`` waits for the server's windows; ``ends`` = the request is finished after it."""

    headers: bytes
    unsent: memoryview
    ends: bool
    answered: "asyncio.Future[Answer]"
    stream: int = 0
    window: int = 0
    data_bytes: int = 0


async def connect(
    address: str, *, window: int = LARGEST_WINDOW, polite: bool = True, source: str | None = None
) -> "Connection":
    """
    A connection that has the server's settings.

    The server may send ``window`` bytes on each stream. ``polite`` = calls wait while as many
    streams are open as the server allows. ``source`` is the address to call from.
    """
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(
        lambda: Connection(window, polite=polite), host, int(port), local_addr=(source, 0) if source else None
    )
    await connection.ready
    return connection


class Connection(asyncio.Protocol):
    """See ``connect``."""

    def __init__(self, window: int, *, polite: bool) -> None:
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._polite = polite
        self._max_streams = LARGEST_WINDOW
        self._own_window = window
        self._calls: dict[int, Call] = {}
        self._waiting: deque[Call] = deque()
        self._streams = itertools.count(1, 2)
        self._window, self._stream_window = FIRST_WINDOW, FIRST_WINDOW
        self._rest = b""
        self._skip = 0
        self._received = 0
        self._gone_away = ""

    @property
    def open_calls(self) -> int:
        """Those that aren't answered, sent or not."""
        return len(self._calls) + len(self._waiting)

    @property
    def is_lost(self) -> bool:
        return self._transport.is_closing()

    def call(self, headers: bytes, body: bytes, *, ends: bool = True) -> "asyncio.Future[Answer]":
        """Send a request, as soon as the server's windows allow."""
        call = Call(headers, memoryview(body), ends, asyncio.get_running_loop().create_future())
        if self.is_lost:
            _end(call, "CONNECTION LOST", self._gone_away)
        elif self._polite and len(self._calls) >= self._max_streams:
            self._waiting.append(call)
        else:
            self._start(call)
        return call.answered

    def close(self) -> None:
        self._transport.abort()

    def _start(self, call: Call) -> None:
        call.stream, call.window = next(self._streams), self._stream_window
        self._calls[call.stream] = call
        self._transport.write(frame(HEADERS, END_HEADERS, call.stream, call.headers))
        self._send(call)

    def _send(self, call: Call) -> None:
        while call.unsent and (length := min(FRAME_BYTES, len(call.unsent), call.window, self._window)) > 0:
            part, call.unsent = call.unsent[:length], call.unsent[length:]
            call.window -= length
            self._window -= length
            flags = END_STREAM if call.ends and not call.unsent else 0
            self._transport.write(frame(DATA, flags, call.stream, bytes(part)))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(opening(self._own_window))

    def connection_lost(self, error: Exception | None) -> None:
        why = self._gone_away or (str(error) if error else "")
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(why))
        for call in (*self._calls.values(), *self._waiting):
            _end(call, "CONNECTION LOST", why)
        self._calls.clear()
        self._waiting.clear()

    def data_received(self, data: bytes) -> None:
        place = 0
        if self._skip:
            place = min(self._skip, len(data))
            self._skip -= place
        elif self._rest:
            data, self._rest = self._rest + data, b""
        while len(data) - place >= HEAD.size:
            word, flags, stream = HEAD.unpack_from(data, place)
            length, kind = word >> 8, word & 0xFF
            start = place + HEAD.size
            if kind == DATA:
                self._take(stream, length)
                self._skip = max(0, length - (len(data) - start))
            elif len(data) - start < length:
                break
            else:
                self._handle(kind, flags, stream, data[start : start + length])
            place = min(len(data), start + length)
        self._rest = data[place:]

    def _take(self, stream: int, length: int) -> None:
        if call := self._calls.get(stream):
            call.data_bytes += length
        self._received += length
        if self._received > LARGEST_WINDOW // 2:
            self._transport.write(window_update(0, self._received))
            self._received = 0

    def _handle(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == HEADERS and flags & END_STREAM:
            code, words = status_of(payload)
            self._end(stream, _CODES.get(int(code), code) if code else "NO STATUS", words)
        elif kind == RST_STREAM:
            self._end(stream, f"RST_STREAM {int.from_bytes(payload, 'big')}")
        elif kind == SETTINGS and not flags & ACK:
            self._set(payload)
        elif kind == PING and not flags & ACK:
            self._transport.write(frame(PING, ACK, 0, payload))
        elif kind == GOAWAY:
            self._gone_away = goaway_text(payload)
        elif kind == WINDOW_UPDATE:
            self._widen(stream, int.from_bytes(payload, "big"))

    def _set(self, payload: bytes) -> None:
        for setting, value in struct.iter_unpack(">HI", payload):
            if setting == MAX_CONCURRENT_STREAMS:
                self._max_streams = value
            elif setting == INITIAL_WINDOW_SIZE:
                wider = value - self._stream_window
                self._stream_window = value
                for call in self._calls.values():
                    call.window += wider
        self._transport.write(frame(SETTINGS, ACK, 0))
        if not self.ready.done():
            self.ready.set_result(None)
        self._send_all()

    def _widen(self, stream: int, by: int) -> None:
        if not stream:
            self._window += by
            self._send_all()
        elif call := self._calls.get(stream):
            call.window += by
            self._send(call)

    def _send_all(self) -> None:
        for call in list(self._calls.values()):
            if call.unsent:
                self._send(call)

    def _end(self, stream: int, code: str, words: str = "") -> None:
        if call := self._calls.pop(stream, None):
            _end(call, code, words)
        while self._waiting and len(self._calls) < self._max_streams:
            self._start(self._waiting.popleft())


def _end(call: Call, code: str, words: str) -> None:
    if not call.answered.done():
        call.answered.set_result(Answer(code, words, call.data_bytes, time.perf_counter()))
