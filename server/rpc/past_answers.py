"""
Answers about the past without what belongs to now: ``last_observed_time`` and ``update_time``.

History does not hold those times, and the records that answers are joined from are those of the
live graph. So the bytes of an answer are rewritten, by the descriptor of its message.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from depgraph.v1 import types_pb2
from server.concurrency import CooperativeYield
from server.domain.live_graph import Freshness
from server.wire.fields import LENGTH_DELIMITED, VARINT, field, field_length

UNKNOWN_THEN = frozenset(("last_observed_time", "update_time"))
"""Fields that are unset in answers about the past, in whatever message."""

_PROVENANCE = types_pb2.FieldProvenance.DESCRIPTOR
_WIRE_TYPE = 7
_FIXED_BYTES = {1: 8, 5: 4}
# Messages of this size are taken apart field by field, so that other calls run meanwhile.
_LARGE = 64 * 1024


@dataclass(frozen=True, slots=True)
class _Scrub:
    """
    What to do with a message: fields to clear, and fields that hold messages to scrub, by number.

    ``provenances`` are repeated fields from which what tells of a cleared field is removed.
    """

    make: type[Message]
    cleared: tuple[str, ...]
    provenances: tuple[str, ...]
    inner: dict[int, "_Held"]

    @property
    def only_holds(self) -> bool:
        """Whether it has to do with nothing but messages inside."""
        return not (self.cleared or self.provenances)


class _Held(NamedTuple):
    """A field that holds messages to scrub."""

    name: str
    is_repeated: bool
    scrub: _Scrub


async def of_then(answer: bytes, response: type[Message], freshness: Freshness) -> bytes:
    """
    Return the bytes of an answer, or of a part of one, without times of now if it is of the past.

    Some microseconds a service or dependency; other calls run meanwhile.
    """
    if freshness.as_of_time is None or (scrub := _scrub_of(response.DESCRIPTOR)) is None:
        return answer
    if not scrub.only_holds:
        return _scrubbed(answer, scrub)
    return await _in_slices(answer, scrub, CooperativeYield())


@lru_cache(256)
def _scrub_of(message: Descriptor, within: frozenset[Descriptor] = frozenset()) -> _Scrub | None:
    """Make what scrubs a message; None = there is nothing to do."""
    if message in within:
        return None
    inner: dict[int, _Held] = {}
    for each in message.fields:
        if each.message_type is not None and not each.message_type.GetOptions().map_entry:
            scrub = _scrub_of(each.message_type, within | {message})
            if scrub is not None:
                inner[each.number] = _Held(each.name, each.is_repeated, scrub)
    cleared = tuple(each.name for each in message.fields if each.name in UNKNOWN_THEN)
    provenances = tuple(each.name for each in message.fields if _is_provenance(each))
    if not (inner or cleared or provenances):
        return None
    return _Scrub(GetMessageClass(message), cleared, provenances, inner)


def _is_provenance(each: FieldDescriptor) -> bool:
    return each.message_type is not None and each.message_type.full_name == _PROVENANCE.full_name


async def _in_slices(content: bytes, scrub: _Scrub, yielding: CooperativeYield) -> bytes:
    """Scrub the messages in a message one after the other."""
    pieces: list[bytes] = []
    at = 0
    while at < len(content):
        tag, tag_end = field_length(content, at)
        if tag & _WIRE_TYPE == LENGTH_DELIMITED:
            length, begin = field_length(content, tag_end)
            end = begin + length
        else:
            begin, end = tag_end, _end_of_number(content, tag_end, tag & _WIRE_TYPE)
        if (held := scrub.inner.get(tag >> 3)) is None:
            pieces.append(content[at:end])
        elif end - begin > _LARGE and held.scrub.only_holds:
            inner = await _in_slices(content[begin:end], held.scrub, yielding)
            pieces.append(field(content[at:tag_end], inner))
        else:
            pieces.append(field(content[at:tag_end], _scrubbed(content[begin:end], held.scrub)))
        await yielding.checkpoint()
        at = end
    return b"".join(pieces)


def _scrubbed(content: bytes, scrub: _Scrub) -> bytes:
    message = scrub.make.FromString(content)
    _clear(message, scrub)
    return message.SerializeToString()


def _clear(message: Any, scrub: _Scrub) -> None:
    for name in scrub.cleared:
        message.ClearField(name)
    for name in scrub.provenances:
        provenances = getattr(message, name)
        kept = [each for each in provenances if each.field not in UNKNOWN_THEN]
        if len(kept) < len(provenances):
            message.ClearField(name)
            getattr(message, name).extend(kept)
    for held in scrub.inner.values():
        if held.is_repeated:
            for each in getattr(message, held.name):
                _clear(each, held.scrub)
        elif message.HasField(held.name):
            _clear(getattr(message, held.name), held.scrub)


def _end_of_number(content: bytes, at: int, wire_type: int) -> int:
    if wire_type == VARINT:
        return field_length(content, at)[1]
    return at + _FIXED_BYTES[wire_type]
