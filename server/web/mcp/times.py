"""
Times as agents write them, and as answers say them.

Of the command's forms only those that mean the same in every zone: agents don't know the server's.
"""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from depgraph.v1.types_pb2 import Consistency, Freshness
from server.domain.tables import duration_of
from server.web.mcp.arguments import ArgumentError, Arguments, Schema
from server.words import mark_time

_MOST = 40
_WANTED = "give a time before now such as 30m, 2h or 3d, or one of RFC 3339 such as 2026-11-30T03:12:00Z"


def past_time(description: str) -> Schema:
    """Describe a time, before now or by the calendar."""
    return {"type": "string", "minLength": 1, "maxLength": _MOST, "description": description}


AS_OF = past_time("Ask the graph as it was: 2h (before now) or RFC 3339.")


def read(given: Arguments, name: str) -> Timestamp | None:
    """Read an argument that ``past_time`` describes; None = it is not given."""
    if name not in given:
        return None
    text: str = given[name].strip()
    ago = duration_of(text)
    found = Timestamp()
    try:
        if ago is None:
            found.FromJsonString(text.upper())
        else:
            found.FromDatetime(datetime.now(UTC).replace(microsecond=0) - ago)
    except (ValueError, OverflowError):
        raise ArgumentError(f"{name}: {text!a} is no time; {_WANTED}") from None
    return found


def consistency(given: Arguments) -> Consistency | None:
    """Write ``AS_OF`` as requests have it; None = now."""
    as_of = read(given, "as_of")
    return None if as_of is None else Consistency(as_of=as_of)


def written(time: datetime) -> str:
    """Write a time to the second: ``2026-11-30T03:12:07Z``."""
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"


def state(freshness: Freshness) -> str | None:
    """Name the state of the past that an answer comes from; None = it comes from now."""
    if not freshness.HasField("as_of_time"):
        return None
    guess = " (approximately: a dump was restored since)" if freshness.approximate else ""
    return f"{written(mark_time(freshness.as_of_time))}{guess}"
