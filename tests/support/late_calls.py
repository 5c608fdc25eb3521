"""HTTP/2 frames that gRPC's clients do not send: late calls, half a request, closed windows."""

import asyncio
import struct
import time
from contextlib import suppress

from bench.http2 import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEAD,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    PREFACE,
    SETTINGS,
    call_headers,
    frame,
    message,
)
from tests.support.eventually import PATIENCE_SECONDS

# The shortest deadline that the protocol can say, and one that passes while a call waits its turn.
OVER, SOON_OVER = "1n", "50m"


def calls_out_of_time(method: str, requests: list[bytes], deadline: str = OVER) -> bytes:
    """A whole connection: each request once, as a call of its own to a method."""
    frames = [PREFACE, frame(SETTINGS, 0, 0)]
    for number, request in enumerate(requests):
        stream = 2 * number + 1
        frames.append(frame(HEADERS, END_HEADERS, stream, call_headers(method, timeout=deadline)))
        frames.append(frame(DATA, END_STREAM, stream, message(request)))
    return b"".join(frames)


def call_that_takes_no_answer(method: str, request: bytes = b"") -> bytes:
    """Write a connection with one call and no room for a single byte of an answer."""
    no_room = struct.pack(">HI", INITIAL_WINDOW_SIZE, 0)
    opening = PREFACE + frame(SETTINGS, 0, 0, no_room) + frame(HEADERS, END_HEADERS, 1, call_headers(method))
    return opening + frame(DATA, END_STREAM, 1, message(request))


def half_a_request(method: str) -> bytes:
    """Write a connection with one call, whose request ends in its middle."""
    opening = PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, END_HEADERS, 1, call_headers(method))
    return opening + frame(DATA, 0, 1, message(b"half of it to come")[:-9])


async def answer_begins(reader: asyncio.StreamReader) -> None:
    """Wait for the headers of an answer."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            word, _, _ = HEAD.unpack(await reader.readexactly(HEAD.size))
            await reader.readexactly(word >> 8)
            if word & 0xFF == HEADERS:
                return


async def make_late(address: str, sent: bytes, stall_seconds: float, silence_seconds: float) -> bytes:
    """
    Send bytes to a server in this event loop and block the loop; return all that the server sends.

    Deadlines pass while the loop is blocked, so the calls reach the server too late. Reading ends
    after ``silence_seconds`` without bytes, once a call has ended.
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
    while place + HEAD.size <= len(heard):
        word, flags, _ = HEAD.unpack_from(heard, place)
        place += HEAD.size + (word >> 8)
        ended += word & 0xFF == HEADERS and bool(flags & END_STREAM) and place <= len(heard)
    return ended
