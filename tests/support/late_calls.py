"""HTTP/2 by hand, to send what gRPC's own clients would not: late calls, half a request, calls that take no answer."""

import asyncio
import struct
import time
from contextlib import suppress

from tests.support.eventually import PATIENCE_SECONDS

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS = 0x0, 0x1, 0x4
END_STREAM, END_HEADERS = 0x1, 0x4
INITIAL_WINDOW_SIZE = 0x4
# The shortest deadline that the protocol can say, and one that passes while a call waits its turn.
OVER, SOON_OVER = "1n", "50m"


def calls_out_of_time(method: str, requests: list[bytes], deadline: str = OVER) -> bytes:
    """A whole connection: each request once, as a call of its own to a method."""
    frames = [PREFACE, _frame(SETTINGS, 0, 0, b"")]
    for number, request in enumerate(requests):
        stream = 2 * number + 1
        frames.append(_frame(HEADERS, END_HEADERS, stream, _headers(method, deadline)))
        frames.append(_frame(DATA, END_STREAM, stream, _message(request)))
    return b"".join(frames)


def call_that_takes_no_answer(method: str, request: bytes = b"") -> bytes:
    """Write a connection with one call, whose caller leaves no room for a single byte of an answer."""
    no_room = struct.pack(">HI", INITIAL_WINDOW_SIZE, 0)
    opening = (
        PREFACE + _frame(SETTINGS, 0, 0, no_room) + _frame(HEADERS, END_HEADERS, 1, _headers(method, None))
    )
    return opening + _frame(DATA, END_STREAM, 1, _message(request))


def half_a_request(method: str) -> bytes:
    """Write a connection with one call, whose request ends in its middle."""
    opening = PREFACE + _frame(SETTINGS, 0, 0, b"") + _frame(HEADERS, END_HEADERS, 1, _headers(method, None))
    return opening + _frame(DATA, 0, 1, _message(b"half of it to come")[:-9])


async def answer_begins(reader: asyncio.StreamReader) -> None:
    """Wait for the headers of an answer."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            head = await reader.readexactly(9)
            await reader.readexactly(int.from_bytes(head[:3]))
            if head[3] == HEADERS:
                return


async def make_late(address: str, sent: bytes, stall_seconds: float, silence_seconds: float) -> bytes:
    """
    Send bytes to a server in this event loop, which then stands still; return what the server says until it falls silent.

    Deadlines pass while it stands still: what the transport received then comes to the server's turn too late. Before the server has ended a call
    it is not silent, but slow.
    """
    host, port = address.rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    heard = b""
    try:
        writer.write(sent)
        time.sleep(stall_seconds)  # noqa: ASYNC251 - it is the fault
        with suppress(TimeoutError):
            while True:
                async with asyncio.timeout(silence_seconds if ended_calls(heard) else PATIENCE_SECONDS):
                    chunk = await reader.read(65_536)
                if not chunk:
                    break
                heard += chunk
    finally:
        writer.close()
    return heard


def ended_calls(heard: bytes) -> int:
    """Count the calls that a server has ended, in whole frames of what it said."""
    ended = place = 0
    while place + 9 <= len(heard):
        length, kind, flags = int.from_bytes(heard[place : place + 3]), heard[place + 3], heard[place + 4]
        place += 9 + length
        ended += kind == HEADERS and bool(flags & END_STREAM) and place <= len(heard)
    return ended


def _message(payload: bytes) -> bytes:
    return struct.pack(">?I", False, len(payload)) + payload


def _headers(method: str, timeout: str | None) -> bytes:
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": method,
        ":authority": "localhost",
        "te": "trailers",
        "content-type": "application/grpc",
    } | ({} if timeout is None else {"grpc-timeout": timeout})
    return b"".join(b"\x00" + _text(name) + _text(value) for name, value in fields.items())


def _text(text: str) -> bytes:
    """Write a short string of HPACK, not compressed."""
    encoded = text.encode()
    return bytes([len(encoded)]) + encoded


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload
