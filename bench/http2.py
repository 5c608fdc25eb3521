"""HTTP/2 frames (RFC 9113), header fields (RFC 7541) and gRPC messages for raw clients."""

import itertools
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import unquote

# Characters by the length of their code. Codes are given out in this order, each the one before
# plus one (appendix B). Characters with codes of 19 bits and more stand in no trailer.
_BY_BITS = {
    5: "012aceiost",
    6: " %-./3456789=A_bdfghlmnpru",
    7: ":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz",
    8: "&*,;XZ",
    10: '!"()?',
    11: "'+|",
    12: "#>",
    13: "\0$@[]~",
    14: "^}",
    15: "<`{",
}


def _codes() -> dict[tuple[int, int], str]:
    """Characters by bits and code."""
    codes, code, length = {}, 0, 0
    for bits, characters in _BY_BITS.items():
        code <<= bits - length
        length = bits
        for character in characters:
            codes[bits, code] = character
            code += 1
    return codes


_CHARACTERS = _codes()


def header_fields(block: bytes, wanted: Collection[str]) -> Iterator[tuple[str, str]]:
    """
    Yield the fields of these names that are spelt out.

    The dynamic table is left out, since our settings forbid it. A name of the static table is its
    number.

    Values of other fields are not unpacked: the details of a status would take a millisecond each.
    """
    reader = _Reader(block)
    while reader.place < len(block):
        first = block[reader.place]
        if first & 0x80:
            reader.integer(7)
        elif first & 0xE0 == 0x20:
            reader.integer(5)
        else:
            index = reader.integer(6 if first & 0x40 else 4)
            name = reader.string() if not index else f"static {index}"
            value, is_huffman = reader.text()
            if name in wanted:
                yield name, _read(value, is_huffman)


@dataclass(slots=True)
class _Reader:
    block: bytes
    place: int = field(default=0)

    def integer(self, bits: int) -> int:
        most = (1 << bits) - 1
        value = self.block[self.place] & most
        self.place += 1
        if value < most:
            return value
        for shift in itertools.count(0, 7):
            byte = self.block[self.place]
            self.place += 1
            value += (byte & 0x7F) << shift
            if byte < 0x80:
                break
        return value

    def string(self) -> str:
        return _read(*self.text())

    def text(self) -> tuple[bytes, bool]:
        """A string as it was sent, and whether it is packed."""
        is_huffman = bool(self.block[self.place] & 0x80)
        length = self.integer(7)
        text = self.block[self.place : self.place + length]
        self.place += length
        return text, is_huffman


@lru_cache(1_000)
def _read(text: bytes, is_huffman: bool) -> str:  # noqa: FBT001 - it comes from ``text``
    return _unpacked(text) if is_huffman else text.decode()


def _unpacked(packed: bytes) -> str:
    """What a Huffman code stands for; its last bits, all ones, are filling."""
    characters = []
    code, length = 0, 0
    for byte in packed:
        for shift in range(7, -1, -1):
            code, length = code << 1 | byte >> shift & 1, length + 1
            if (character := _CHARACTERS.get((length, code))) is not None:
                characters.append(character)
                code, length = 0, 0
    return "".join(characters)


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
    """The first bytes of a client: ``window`` bytes for each stream, no bound for all together."""
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
