"""
A gRPC client that sends prepared frames: cheap for the machine, and free of a library's checks.

Answers go to callbacks. Requests must fit the window of a stream: the client does not wait for it.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import lru_cache

from bench.http2 import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    FIRST_WINDOW,
    GOAWAY,
    HEAD,
    HEADERS,
    LARGEST_WINDOW,
    PADDED,
    PING,
    PREFIX_BYTES,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    call_headers,
    frame,
    goaway_text,
    message,
    opening,
    status_of,
    window_update,
)

CANCEL = (8).to_bytes(4, "big")
# Outcomes without a gRPC code.
LOST, RESET = -1, -2

# Servers say few things, over and over.
_status_of = lru_cache(10_000)(status_of)


class Request:
    """A call as it is sent, but for the number of its stream."""

    __slots__ = ("body", "parts")

    def __init__(self, method: str, body: bytes, timeout: str = "") -> None:
        self.body = message(body)
        headers = frame(HEADERS, END_HEADERS, 0, call_headers(method, timeout=timeout))
        data = frame(DATA, END_STREAM, 0, self.body)
        # Without the number, which ends the head of a frame.
        self.parts = headers[: HEAD.size - 4], headers[HEAD.size :] + data[: HEAD.size - 4], self.body


class Call:
    """
    A call that was sent, and its outcome: ``code`` is a gRPC code, ``LOST`` or ``RESET``.

    ``data`` are the bytes received, messages with their prefixes; each whole message of a stream
    goes to ``came``, without its prefix.
    """

    __slots__ = ("came", "code", "data", "ended", "floor", "message", "stream")

    def __init__(self, ended: "Callable[[Call], None]", came: Callable[[bytes], None] | None) -> None:
        self.ended = ended
        self.came = came
        self.stream = 0
        self.data = b""
        self.code = LOST
        self.message = ""
        # Free for callers.
        self.floor = 0

    def take(self, data: bytes) -> None:
        """Add received bytes, and pass on the messages that are whole now."""
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
    """
    Open a connection and wait for the server's settings.

    The server may send ``window`` bytes on each stream, and more after ``widen``.
    """
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
        """The calls that have not ended."""
        return len(self._calls)

    def ask(
        self, request: Request, ended: Callable[[Call], None], came: Callable[[bytes], None] | None = None
    ) -> Call:
        """Send a call; ``ended`` gets it once, with its outcome."""
        call = Call(ended, came)
        if self.is_lost:
            self._loop.call_soon(ended, call)
            return call
        call.stream = self._next_stream
        self._next_stream += 2
        self._calls[call.stream] = call
        number = call.stream.to_bytes(4, "big")
        head, block, body = request.parts
        frames = b"".join((head, number, block, number, body))
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
        """Reset a call without calling ``ended``; no effect on a call that has ended."""
        if self._calls.pop(call.stream, None) is not None:
            self._send(frame(RST_STREAM, 0, call.stream, CANCEL))

    def widen(self, call: Call, by: int) -> None:
        """Let the server send more of an answer."""
        if call.stream in self._calls:
            self._send(window_update(call.stream, by))

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
        transport.write(opening(self._own_window))

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
            self._out.append(window_update(0, self._received))
            self._received = 0
        if not was_due:
            self._flush()

    def _read(self, data: bytes) -> None:
        place, end, calls = 0, len(data), self._calls
        while (start := place + HEAD.size) <= end:
            word, flags, stream = HEAD.unpack_from(data, place)
            stop, kind = start + (word >> 8), word & 0xFF
            if stop > end:
                break
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
                    code, call.message = _status_of(data[start:stop])
                    call.code = int(code)
                    call.ended(call)
            place = stop
        self._rest = data[place:]

    def _handle(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == RST_STREAM:
            if (call := self._calls.pop(stream, None)) is not None:
                call.code, call.message = RESET, f"RST_STREAM {int.from_bytes(payload, 'big')}"
                call.ended(call)
        elif kind == SETTINGS and not flags & ACK:
            self._send(frame(SETTINGS, ACK, 0))
            if not self.ready.done():
                self.ready.set_result(None)
        elif kind == PING and not flags & ACK:
            self._send(frame(PING, ACK, 0, payload))
        elif kind == GOAWAY:
            self.lost_because = goaway_text(payload)
        elif kind == WINDOW_UPDATE and not stream:
            self._window += int.from_bytes(payload, "big")
            while self._pending and self._pending[0][1] <= self._window:
                frames, size = self._pending.popleft()
                self._window -= size
                self._send(frames)


def _length_of(data: bytes) -> int:
    return PREFIX_BYTES + int.from_bytes(data[1:PREFIX_BYTES], "big")
