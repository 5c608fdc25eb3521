"""Heads of requests that all programs on their way read alike; others are refused."""

import re
from typing import Final

from server.config import KIB

MAX_HEAD_BYTES: Final = 16 * KIB
END_OF_HEAD: Final = b"\r\n\r\n"

# What servers and proxies read differently is a way to smuggle a request past a proxy: a line that
# is folded, or ends with half of a line's end; a space before the colon; a length given twice.
_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_HEAD = re.compile(
    _TOKEN + rb" /[\x21-\x7e]* HTTP/1\.[01]\r\n(?:" + _TOKEN + rb":[^\x00-\x08\x0a-\x1f\x7f]*\r\n)*\r\n"
)
_FRAMING = re.compile(rb"\n(content-length|transfer-encoding):[ \t]*([^\r]*?)[ \t]*\r", re.IGNORECASE)
_HOST = re.compile(rb"\nhost:", re.IGNORECASE)
_LENGTH = b"content-length"
_MOST_DIGITS = 18


def wrong_head(head: bytes) -> str:
    """Say what of the head of a request is not clear; empty = nothing."""
    if not _HEAD.fullmatch(head):
        return "the head of the request is not as RFC 9112 has it, with the path as its target"
    if len(_HOST.findall(head)) != 1:
        return "the request has to have one header Host"
    framing = _FRAMING.findall(head)
    if len(framing) > 1:
        return "the request says twice how long it is"
    if any(not _is_clear(*each) for each in framing):
        return "the request does not say clearly how long it is"
    return ""


def body_of(head: bytes) -> int | None:
    """Return how many bytes of body follow a clear head; None = its chunks say that."""
    found = _FRAMING.search(head)
    if found is None:
        return 0
    return int(found[2]) if found[1].lower() == _LENGTH else None


def _is_clear(name: bytes, value: bytes) -> bool:
    if name.lower() == _LENGTH:
        return value.isdigit() and len(value) <= _MOST_DIGITS
    return value.lower() == b"chunked"
