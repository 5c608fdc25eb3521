"""
Fields of protobuf messages as bytes: tags, varints, lengths, times.

The format: https://protobuf.dev/programming-guides/encoding.
"""

from datetime import UTC, datetime, timedelta
from struct import Struct as Packing

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

VARINT, EIGHT_BYTES, LENGTH_DELIMITED = 0, 1, 2
"""Wire types."""
_WIRE_TYPES = {
    FieldDescriptor.TYPE_DOUBLE: EIGHT_BYTES,
    FieldDescriptor.TYPE_STRING: LENGTH_DELIMITED,
    FieldDescriptor.TYPE_MESSAGE: LENGTH_DELIMITED,
    FieldDescriptor.TYPE_INT32: VARINT,
    FieldDescriptor.TYPE_INT64: VARINT,
    FieldDescriptor.TYPE_BOOL: VARINT,
    FieldDescriptor.TYPE_ENUM: VARINT,
}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS_A_DAY = 86_400
_PAIR_BITS = 14
_PAIR = (1 << _PAIR_BITS) - 1
_BYTE_BITS = 7
_MORE = 0x80
_TWO_TO_64 = 1 << 64
_DOUBLE = Packing("<d")


def tag_of(message: type[Message], name: str) -> int:
    """Return the tag of a field of a message."""
    found = message.DESCRIPTOR.fields_by_name[name]
    return int(found.number << 3 | _WIRE_TYPES[found.type])


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
_SECONDS, _NANOS = (bytes((tag_of(Timestamp, name),)) for name in ("seconds", "nanos"))
# The last byte of the seconds of such a time, and the tag of what follows.
_SECONDS_END = tuple(bytes((last,)) + _NANOS for last in range(1 << _BYTE_BITS))


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
            _SECONDS,
            _FIRST[seconds & _PAIR],
            _FIRST[seconds >> 14 & _PAIR],
            _SECONDS_END[seconds >> 28],
            _FIRST[nanos & _PAIR],
            _LAST[nanos >> 14] if nanos < _FIVE_BYTES else _FIRST[nanos >> 14 & _PAIR] + _LAST[nanos >> 28],
        )
        return b"".join(pairs)
    return (_SECONDS + varint(seconds) if seconds else b"") + (_NANOS + varint(nanos) if nanos else b"")


def field_length(record: bytes, at: int) -> tuple[int, int]:
    """Read the length that stands at a position; returns it and where its content begins."""
    length = shift = 0
    while record[at] >= _MORE:
        length |= (record[at] & 0x7F) << shift
        shift += _BYTE_BITS
        at += 1
    return length | record[at] << shift, at + 1


def _odd_age(time: datetime | None) -> timedelta:
    """
    Return the age of a time that only a table without its constraints holds.

    That is NULL, or infinity, which the driver gives as a moment without a zone.
    """
    return time.replace(tzinfo=UTC) - EPOCH if time else timedelta(0)
