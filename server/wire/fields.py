"""Fields of protobuf messages as bytes: varints, lengths, times. The format: https://protobuf.dev/programming-guides/encoding."""

from datetime import UTC, datetime, timedelta
from struct import Struct as Packing

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS_A_DAY = 86_400
_PAIR_BITS = 14
_PAIR = (1 << _PAIR_BITS) - 1
_BYTE_BITS = 7
_MORE = 0x80
_TWO_TO_64 = 1 << 64
_DOUBLE = Packing("<d")


def _slow_varint(number: int) -> bytes:
    written = bytearray()
    while number >= _MORE:
        written.append(number & 0x7F | _MORE)
        number >>= _BYTE_BITS
    written.append(number)
    return bytes(written)


# Two bytes of a varint at a time: the last ones of one, and two that are followed by others.
_LAST = tuple(map(_slow_varint, range(_PAIR + 1)))
_FIRST = tuple(bytes((low & 0x7F | _MORE, low >> _BYTE_BITS | _MORE)) for low in range(_PAIR + 1))

# The least numbers that take five and six bytes.
_FIVE_BYTES, _SIX_BYTES = 1 << 28, 1 << 35
# The last byte of the seconds of such a time, and the tag of what follows.
_SECONDS_END = tuple(bytes((last, 0x10)) for last in range(1 << _BYTE_BITS))


def varint(number: int) -> bytes:
    """Write a number of up to 64 bits, negative ones as protobuf does: ten bytes."""
    if 0 <= number <= _PAIR:
        return _LAST[number]
    if number < 0:
        number += _TWO_TO_64
    written = b""
    while number > _PAIR:
        written += _FIRST[number & _PAIR]
        number >>= _PAIR_BITS
    return written + _LAST[number]


def field(tag: bytes, content: bytes) -> bytes:
    """Write a field that carries its length; ``tag`` is the encoded one."""
    length = len(content)
    return tag + (_LAST[length] if length <= _PAIR else varint(length)) + content


def double(number: float) -> bytes:
    """Write a double."""
    return _DOUBLE.pack(number)


def moment(time: datetime) -> bytes:
    """Write the fields of a ``Timestamp``."""
    try:
        age = time - EPOCH
    except TypeError:
        age = _odd_age(time)
    seconds = age.days * _SECONDS_A_DAY + age.seconds
    nanos = age.microseconds * 1000
    if _FIVE_BYTES <= seconds < _SIX_BYTES and nanos > _PAIR:
        # Nearly all: from 1978 on, and a fraction of more than 16 microseconds.
        pairs = (
            b"\x08",
            _FIRST[seconds & _PAIR],
            _FIRST[seconds >> 14 & _PAIR],
            _SECONDS_END[seconds >> 28],
            _FIRST[nanos & _PAIR],
            _LAST[nanos >> 14] if nanos < _FIVE_BYTES else _FIRST[nanos >> 14 & _PAIR] + _LAST[nanos >> 28],
        )
        return b"".join(pairs)
    return (b"\x08" + varint(seconds) if seconds else b"") + (b"\x10" + varint(nanos) if nanos else b"")


def field_length(record: bytes, at: int) -> tuple[int, int]:
    """Read the length that stands at a position; returns it and where its content begins."""
    length = shift = 0
    while record[at] >= _MORE:
        length |= (record[at] & 0x7F) << shift
        shift += _BYTE_BITS
        at += 1
    return length | record[at] << shift, at + 1


def _odd_age(time: datetime | None) -> timedelta:
    """Return the age of what only a table without its constraints holds: NULL, and infinity, to the driver a moment without a zone."""
    return time.replace(tzinfo=UTC) - EPOCH if time else timedelta(0)
