"""
A gRPC client that sends ready-made frames: it costs little beside the server that it calls, and does what libraries refuse to do.

Answers are handed to functions, not awaited. Requests must fit the window of a stream, which nobody waits for.
"""

import asyncio
import struct
from collections import deque
from collections.abc import Callable
from functools import lru_cache

from tests.support.raw_headers import call_block, status_of

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM = ACK = 1
END_HEADERS, PADDED = 4, 8
HEADER_TABLE_SIZE, INITIAL_WINDOW_SIZE = 1, 4
LARGEST_WINDOW, FIRST_WINDOW = 2**31 - 1, 65_535
HEAD_BYTES, PREFIX_BYTES = 9, 5
CANCEL = struct.pack(">I", 8)
# What came instead of a gRPC code.
LOST, RESET = -1, -2

# Servers say few things, over and over.
_status_of = lru_cache(10_000)(status_of)


class Request:
    """A call as it is sent, but for the number of its stream."""

    __slots__ = ("body", "parts")

    def __init__(self, method: str, message: bytes, timeout: str = "") -> None:
        block = call_block(method, timeout)
        self.body = struct.pack(">?I", False, len(message)) + message
        self.parts = (
            struct.pack(">I", len(block))[1:] + bytes([HEADERS, END_HEADERS]),
            block,
            struct.pack(">I", len(self.body))[1:] + bytes([DATA, END_STREAM]),
            self.body,
        )


class Call:
    """
    A call that was sent, and what came of it: ``code`` is a gRPC code, ``LOST`` or ``RESET``.

    ``data`` are messages as they came, each with its prefix; those of a stream go to ``came`` as soon as they are whole, without the prefix.
    """

    __slots__ = ("came", "code", "data", "ended", "floor", "message", "stream")

    def __init__(self, ended: "Callable[[Call], None]", came: Callable[[bytes], None] | None) -> None:
        self.ended = ended
        self.came = came
        self.stream = 0
        self.data = b""
        self.code = LOST
        self.message = ""
        # For whoever asks.
        self.floor = 0

    def take(self, data: bytes) -> None:
        """Add what came, and hand over the messages that are whole by now."""
        self.data = self.data + data if self.data else data
        if self.came is not None:
            while len(self.data) >= PREFIX_BYTES and (length := _length_of(self.data)) <= len(self.data):
                message, self.data = self.data[PREFIX_BYTES:length], self.data[length:]
                self.came(message)

    @property
    def answer(self) -> bytes:
        """The one message of the answer; raises ``ValueError`` when there is not just one."""
        if len(self.data) < PREFIX_BYTES or self.data[0] or _length_of(self.data) != len(self.data):
            raise ValueError(f"{len(self.data)} bytes that begin with {self.data[:PREFIX_BYTES]!r}")
        return self.data[PREFIX_BYTES:]


async def connect(address: str, *, window: int = LARGEST_WINDOW) -> "RawConnection":
    """Open a connection and wait for the server's settings; each stream may be sent ``window`` bytes, and more when ``widen`` says so."""
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(lambda: RawConnection(window), host, int(port))
    await connection.ready
    return connection


class RawConnection(asyncio.Protocol):
    """See ``connect``."""

    def __init__(self, window: int) -> None:
        self._loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = self._loop.create_future()
        self.is_lost = False
        self.lost_because = ""
        self._own_window = window
        self._calls: dict[int, Call] = {}
        self._next_stream = 1
        self._window = FIRST_WINDOW
        self._pending: deque[tuple[bytes, int]] = deque()
        self._out: list[bytes] = []
        self._is_flush_due = False
        self._rest = b""
        self._received = 0

    @property
    def open_calls(self) -> int:
        """Those that have not ended."""
        return len(self._calls)

    def ask(
        self, request: Request, ended: Callable[[Call], None], came: Callable[[bytes], None] | None = None
    ) -> Call:
        """Send a call; ``ended`` is told, once, what became of it."""
        call = Call(ended, came)
        if self.is_lost:
            self._loop.call_soon(ended, call)
            return call
        call.stream = self._next_stream
        self._next_stream += 2
        self._calls[call.stream] = call
        number = call.stream.to_bytes(4, "big")
        head, block, data_head, body = request.parts
        frames = b"".join((head, number, block, data_head, number, body))
        # A call as a whole waits for room.
        if self._pending or self._window < len(body):
            self._pending.append((frames, len(body)))
        else:
            self._window -= len(body)
            self._send(frames)
        return call

    async def call(self, request: Request, came: Callable[[bytes], None] | None = None) -> Call:
        """Send a call and wait for its end; one that is cancelled is reset."""
        over: asyncio.Future[Call] = self._loop.create_future()

        def ended(call: Call) -> None:
            if not over.done():
                over.set_result(call)

        call = self.ask(request, ended, came)
        try:
            return await over
        except asyncio.CancelledError:
            self.reset(call)
            raise

    def reset(self, call: Call) -> None:
        """Give a call up without a word to who asked; one that has ended stays as it is."""
        if self._calls.pop(call.stream, None) is not None:
            self._send(frame(RST_STREAM, 0, call.stream, CANCEL))

    def widen(self, call: Call, by: int) -> None:
        """Let the server send more of an answer."""
        if call.stream in self._calls:
            self._send(frame(WINDOW_UPDATE, 0, call.stream, struct.pack(">I", by)))

    def send_raw(self, frames: bytes) -> None:
        """Send bytes as they are, whatever they mean."""
        self._send(frames)

    def finish(self) -> None:
        """Close once what was asked has been sent, whatever is open."""
        self._flush()
        self._transport.close()

    def drop(self) -> None:
        """Reset the connection, whatever is open."""
        self._transport.abort()

    def _send(self, frames: bytes) -> None:
        self._out.append(frames)
        if not self._is_flush_due:
            self._is_flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._is_flush_due = False
        if self._out and not self.is_lost:
            self._transport.write(b"".join(self._out))
        self._out.clear()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        wishes = struct.pack(">HIHI", HEADER_TABLE_SIZE, 0, INITIAL_WINDOW_SIZE, self._own_window)
        wider = struct.pack(">I", LARGEST_WINDOW - FIRST_WINDOW)
        transport.write(PREFACE + frame(SETTINGS, 0, 0, wishes) + frame(WINDOW_UPDATE, 0, 0, wider))

    def connection_lost(self, error: Exception | None) -> None:
        self.is_lost = True
        self.lost_because = self.lost_because or (str(error) if error else "closed")
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(self.lost_because))
        calls, self._calls = self._calls, {}
        for call in calls.values():
            call.message = self.lost_because
            call.ended(call)

    def data_received(self, data: bytes) -> None:
        # What is asked meanwhile is sent in one piece.
        was_due, self._is_flush_due = self._is_flush_due, True
        self._read(self._rest + data if self._rest else data)
        if self._received > LARGEST_WINDOW // 2:
            self._out.append(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", self._received)))
            self._received = 0
        if not was_due:
            self._flush()

    def _read(self, data: bytes) -> None:
        place, end, calls = 0, len(data), self._calls
        while (start := place + HEAD_BYTES) <= end:
            stop = start + (data[place] << 16 | data[place + 1] << 8 | data[place + 2])
            if stop > end:
                break
            kind, flags = data[place + 3], data[place + 4]
            stream = int.from_bytes(data[place + 5 : start], "big")
            if kind > HEADERS:
                self._handle(kind, flags, stream, data[start:stop])
            elif kind == DATA:
                assert not flags & (PADDED | END_STREAM)
                self._received += stop - start
                if (call := calls.get(stream)) is not None:
                    call.take(data[start:stop])
            elif flags & END_STREAM:
                assert flags & END_HEADERS
                if (call := calls.pop(stream, None)) is not None:
                    call.code, call.message = _status_of(data[start:stop])
                    call.ended(call)
            place = stop
        self._rest = data[place:]

    def _handle(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == RST_STREAM:
            if (call := self._calls.pop(stream, None)) is not None:
                call.code, call.message = RESET, f"RST_STREAM {int.from_bytes(payload, 'big')}"
                call.ended(call)
        elif kind == SETTINGS and not flags & ACK:
            self._send(frame(SETTINGS, ACK, 0, b""))
            if not self.ready.done():
                self.ready.set_result(None)
        elif kind == PING and not flags & ACK:
            self._send(frame(PING, ACK, 0, payload))
        elif kind == GOAWAY:
            self.lost_because = (
                f"GOAWAY {int.from_bytes(payload[4:8], 'big')} {payload[8:].decode(errors='replace')}"
            )
        elif kind == WINDOW_UPDATE and not stream:
            self._window += int.from_bytes(payload, "big")
            while self._pending and self._pending[0][1] <= self._window:
                frames, size = self._pending.popleft()
                self._window -= size
                self._send(frames)


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Write a frame."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _length_of(data: bytes) -> int:
    return PREFIX_BYTES + int.from_bytes(data[1:PREFIX_BYTES], "big")
