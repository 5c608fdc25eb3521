"""Header blocks of HTTP/2 (RFC 7541): calls to send, and what servers say at the end of an answer."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote

# The Huffman code of printable characters; it is canonical, so the lengths of its words say it all.
_LETTERS_BY_BITS = {
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


def _words() -> Iterator[tuple[tuple[int, int], str]]:
    word, length = 0, 0
    for bits, letters in _LETTERS_BY_BITS.items():
        word <<= bits - length
        length = bits
        for letter in letters:
            yield (bits, word), letter
            word += 1


_LETTER_OF = dict(_words())


def call_block(path: str, timeout: str = "") -> bytes:
    """Write the header block of a call; ``timeout`` as gRPC writes it: ``5m`` are milliseconds, ``1n`` is over at once."""
    pairs = {":path": path, ":authority": "soak", "content-type": "application/grpc", "te": "trailers"}
    if timeout:
        pairs["grpc-timeout"] = timeout
    fields = b"".join(
        b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
        for name, value in pairs.items()
    )
    return b"\x83\x86" + fields  # POST and http, of the static table


def status_of(block: bytes) -> tuple[int, str]:
    """Read gRPC code and message out of a block; a server that keeps no dynamic table is taken for granted."""
    fields = dict(header_fields(block))
    return int(fields["grpc-status"]), unquote(fields.get("grpc-message", ""))


def header_fields(block: bytes) -> Iterator[tuple[str, str]]:
    """Read the fields that are spelt out."""
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
            yield name, reader.string()


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
        is_huffman = self.block[self.place] & 0x80
        length = self.integer(7)
        text = self.block[self.place : self.place + length]
        self.place += length
        return _unpacked(text) if is_huffman else text.decode()


def _unpacked(packed: bytes) -> str:
    letters, word, bits = [], 0, 0
    for byte in packed:
        for shift in range(7, -1, -1):
            word, bits = word << 1 | byte >> shift & 1, bits + 1
            if (letter := _LETTER_OF.get((bits, word))) is not None:
                letters.append(letter)
                word, bits = 0, 0
    return "".join(letters)
