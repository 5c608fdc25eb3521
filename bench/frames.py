"""HTTP/2 frames (RFC 9113) and gRPC messages as bytes, for clients that do what libraries refuse to do."""

import struct
from urllib.parse import unquote

from bench.hpack import header_fields

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM = ACK = 1
END_HEADERS, PADDED = 4, 8
HEADER_TABLE_SIZE, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE = 1, 3, 4
LARGEST_WINDOW, FIRST_WINDOW, FRAME_BYTES = 2**31 - 1, 65_535, 16_384
PREFIX_BYTES = 5
# Length and type in one number, flags, stream.
HEAD = struct.Struct(">IBI")
TRAILERS = ("grpc-status", "grpc-message")


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return HEAD.pack(len(payload) << 8 | kind, flags, stream) + payload


def window_update(stream: int, by: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, by.to_bytes(4, "big"))


def opening(window: int) -> bytes:
    """What a client begins with; each stream may be sent ``window`` bytes, the connection any number."""
    settings = struct.pack(">HIHI", HEADER_TABLE_SIZE, 0, INITIAL_WINDOW_SIZE, window)
    return PREFACE + frame(SETTINGS, 0, 0, settings) + window_update(0, LARGEST_WINDOW - FIRST_WINDOW)


def message(body: bytes, *, compressed: bool = False, length: int | None = None) -> bytes:
    """A gRPC message: a flag, its length (or a false one), itself."""
    return struct.pack(">BI", compressed, len(body) if length is None else length) + body


def call_headers(path: str, *, compressed: bool = False, timeout: str = "") -> bytes:
    """The header block of a call; ``timeout`` as gRPC writes it: ``5m`` are milliseconds."""
    pairs = {":path": path, ":authority": "bench", "content-type": "application/grpc", "te": "trailers"}
    if compressed:
        pairs["grpc-encoding"] = "gzip"
    if timeout:
        pairs["grpc-timeout"] = timeout
    fields = b"".join(
        b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
        for name, value in pairs.items()
    )
    return b"\x83\x86" + fields  # POST and http, of the static table


def status_of(block: bytes) -> tuple[str, str]:
    """``grpc-status`` and ``grpc-message`` of trailers; empty where there is none."""
    trailers = dict(header_fields(block, TRAILERS))
    return trailers.get("grpc-status", ""), unquote(trailers.get("grpc-message", ""))


def goaway_text(payload: bytes) -> str:
    return f"GOAWAY {int.from_bytes(payload[4:8], 'big')} {payload[8:].decode(errors='replace')}"
