"""Header fields as HTTP/2 sends them (RFC 7541), as much as it takes to read the trailers of a call."""

import itertools
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

# Characters by the length of their code. Codes are given out in this order, each the one before plus one (appendix B); those that no
# trailer holds, with codes of 19 bits and more, are left out.
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
    The fields of these names that are spelt out, without the dynamic table, which our settings forbid; a name of the static table is its number.

    Values of others are not unpacked: those of the details of a status take a millisecond each, which clients would be late by.
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
