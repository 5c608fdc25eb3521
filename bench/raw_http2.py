"""
A gRPC client that sends ready-made frames: it does what libraries refuse to do, and costs little beside what it measures.

It can leave answers unread, leave requests unfinished, send compressed messages as they are and open streams beyond the server's limit.
"""

import asyncio
import itertools
import struct
import time
from collections import deque
from dataclasses import dataclass
from urllib.parse import unquote

from grpc import StatusCode

from bench.hpack import header_fields

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM = ACK = 1
END_HEADERS, PADDED, PRIORITY = 4, 8, 32
HEADER_TABLE_SIZE, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE = 1, 3, 4
LARGEST_WINDOW, FIRST_WINDOW, FRAME_BYTES = 2**31 - 1, 65_535, 16_384
HEAD_BYTES, PREFIX_BYTES = 9, 5
TRAILERS = ("grpc-status", "grpc-message")
_CODES = {code.value[0]: code.name for code in StatusCode}


@dataclass(slots=True)
class Answer:
    """``code`` is a gRPC code, or what came instead of one: ``RST_STREAM 7``, ``CONNECTION LOST``, ``UNANSWERED``."""

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


def message(body: bytes, *, compressed: bool = False, length: int | None = None) -> bytes:
    """A gRPC message: a flag, its length (or a false one), itself."""
    return struct.pack(">BI", compressed, len(body) if length is None else length) + body


def call_headers(path: str, *, compressed: bool = False) -> bytes:
    """The header block of a call."""
    pairs = {":path": path, ":authority": "bench", "content-type": "application/grpc", "te": "trailers"}
    if compressed:
        pairs["grpc-encoding"] = "gzip"
    fields = b"".join(
        b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
        for name, value in pairs.items()
    )
    return b"\x83\x86" + fields  # POST and http, of the static table


async def connect(address: str, *, window: int = LARGEST_WINDOW, polite: bool = True) -> "Connection":
    """
    A connection that has the server's settings.

    Each of its streams may be sent ``window`` bytes; ``polite`` = no more streams are open at once than the server allows, and calls wait.
    """
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(lambda: Connection(window, polite=polite), host, int(port))
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
        self._transport.write(_frame(HEADERS, END_HEADERS, call.stream, call.headers))
        self._send(call)

    def _send(self, call: Call) -> None:
        while call.unsent and (length := min(FRAME_BYTES, len(call.unsent), call.window, self._window)) > 0:
            part, call.unsent = call.unsent[:length], call.unsent[length:]
            call.window -= length
            self._window -= length
            flags = END_STREAM if call.ends and not call.unsent else 0
            self._transport.write(_frame(DATA, flags, call.stream, bytes(part)))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        wishes = struct.pack(">HIHI", HEADER_TABLE_SIZE, 0, INITIAL_WINDOW_SIZE, self._own_window)
        wider = struct.pack(">I", LARGEST_WINDOW - FIRST_WINDOW)
        transport.write(PREFACE + _frame(SETTINGS, 0, 0, wishes) + _frame(WINDOW_UPDATE, 0, 0, wider))

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
        while len(data) - place >= HEAD_BYTES:
            length = int.from_bytes(data[place : place + 3], "big")
            kind, flags = data[place + 3], data[place + 4]
            stream = int.from_bytes(data[place + 5 : place + 9], "big")
            start = place + HEAD_BYTES
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
            self._transport.write(_frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", self._received)))
            self._received = 0

    def _handle(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == HEADERS and flags & END_STREAM:
            trailers = dict(header_fields(payload, TRAILERS))
            code = trailers.get("grpc-status", "")
            name = _CODES.get(int(code), code) if code else f"HTTP {trailers}"
            self._end(stream, name, unquote(trailers.get("grpc-message", "")))
        elif kind == RST_STREAM:
            self._end(stream, f"RST_STREAM {int.from_bytes(payload, 'big')}")
        elif kind == SETTINGS and not flags & ACK:
            self._set(payload)
        elif kind == PING and not flags & ACK:
            self._transport.write(_frame(PING, ACK, 0, payload))
        elif kind == GOAWAY:
            self._gone_away = (
                f"GOAWAY {int.from_bytes(payload[4:8], 'big')} {payload[8:].decode(errors='replace')}"
            )
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
        self._transport.write(_frame(SETTINGS, ACK, 0, b""))
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


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload
