"""What is known to lower the share of the transport, tried on a server that does nothing: each way by the plain one."""

import queue
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc

from bench.calls import RawCall, raw
from bench.echo_server import STREAM, UNARY
from bench.figures import Figure, ratio, typical
from bench.server_process import echoing
from bench.stage import Stage
from bench.turns import take_turns

PART = "transport"
SIZES = {"empty": b"0", "40 kB": b"40000"}
CALLS = 600
# How a server is started, and how a client connects, in another way than the plain one.
SERVERS: dict[str, list[str]] = {
    "uvloop": ["--loop", "uvloop"],
    "threads instead of an event loop": ["--kind", "threads"],
    "no bandwidth probes (grpc.http2.bdp_probe=0)": ["--option", "grpc.http2.bdp_probe=0"],
    "write coalescing off (grpc.http2.write_buffer_size=0)": ["--option", "grpc.http2.write_buffer_size=0"],
    "frames of 1 MiB (grpc.http2.max_frame_size)": ["--option", "grpc.http2.max_frame_size=1048576"],
    "no channelz (grpc.enable_channelz=0)": ["--option", "grpc.enable_channelz=0"],
    "minimal stack (grpc.minimal_stack=1)": ["--option", "grpc.minimal_stack=1"],
}


def measure(stage: Stage) -> Iterator[Figure]:
    for what, options in SERVERS.items():
        with echoing() as plain, echoing(*options) as other:
            yield from _compare(what, _unary(plain.address), _unary(other.address))
    socket = Path(stage.folder) / "echo.sock"
    with echoing() as plain, echoing("--listen", f"unix:{socket}") as other:
        yield from _compare("unix socket", _unary(plain.address), _unary(other.address))
        yield from _compare("unix socket and one long stream", _unary(plain.address), _stream(other.address))
        yield from _compare("one long stream of questions", _unary(plain.address), _stream(plain.address))


def _compare(what: str, plain: RawCall, other: RawCall) -> Iterator[Figure]:
    for size, request in SIZES.items():
        usual, changed = take_turns(
            lambda _, asked=request: plain(asked),  # type: ignore[misc]
            lambda _, asked=request: other(asked),  # type: ignore[misc]
            pairs=CALLS,
        )
        yield ratio(PART, f"{what}, {size} answer: by the plain way", changed, usual)
        yield typical(PART, "  plain", usual)


def _unary(address: str) -> RawCall:
    return raw(grpc.insecure_channel(address), UNARY)


def _stream(address: str) -> RawCall:
    asked: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    open_stream: Any = grpc.insecure_channel(address).stream_stream(STREAM)
    answers = open_stream(iter(asked.get, None))

    def call(request: bytes) -> bytes:
        asked.put(request)
        answer: bytes = next(answers)
        return answer

    return call
