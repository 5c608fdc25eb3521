"""Times as people give them: ``2h`` (ago), ``yesterday 14:00``, ``14:00``, a date, RFC 3339."""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from datetime import time as clock_time

from google.protobuf.timestamp_pb2 import Timestamp

from server.domain.tables import duration_of

EXAMPLES = "2h (ago), 14:00, 'yesterday 14:00', 2026-11-30, '2026-11-30 14:00' or 2026-11-30T14:00:00Z"
FORMS = (
    "2h (ago), 14:00 (yesterday's while today's is to come), 'yesterday 14:00', 2026-11-30, "
    "'2026-11-30 14:00', or RFC 3339; in your time zone unless it has one"
)
"""What options of times say of them."""
NOW = "now"

_TIME = re.compile(
    r"(?P<day>yesterday|\d{4}-\d\d-\d\d)?[ t]?"
    r"(?:(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.(?P<fraction>\d{1,9}))?)?"
    r" ?(?P<zone>z|[+-]\d\d:\d\d)?)?",
    re.ASCII,
)


def present() -> datetime:
    """Return the time now, to the second."""
    return datetime.now(UTC).replace(microsecond=0)


def read_time(text: str) -> datetime:
    """
    Read a time, in the local time zone where the text names none.

    A time of day is the latest one that has been: today's, or yesterday's. A day is its midnight.
    Of two times of one name, when clocks go back, it is the first. ``ValueError`` with a sentence
    for what is none.
    """
    current = present()
    wanted = text.strip().lower()
    if wanted == NOW:
        return current.astimezone()
    ago = duration_of(wanted)
    match = _TIME.fullmatch(wanted)
    try:
        if ago is not None:
            return (current - ago).astimezone()
        if match is not None and (match["day"] or match["hour"]):
            return _named(match, current)
    except OverflowError:
        raise ValueError(f"{text!r} is before any time that there is") from None
    except ValueError as error:
        raise ValueError(f"{text!r} is no time: {error}") from None
    raise ValueError(f"{text!r} is no time: expected one such as {EXAMPLES}")


def read_past(text: str) -> datetime | None:
    """Read a time as ``read_time`` does; ``now`` is None, as if the option were not given."""
    return None if text.strip().lower() == NOW else read_time(text)


def written(moment: datetime | Timestamp) -> str:
    """Write a time with its zone, as ``read_time`` reads it: ``2026-11-30 14:00:07+00:00``."""
    if isinstance(moment, Timestamp):
        moment = moment.ToDatetime(UTC).replace(microsecond=0)
    return moment.astimezone().isoformat(" ")


def timestamp(moment: datetime | None) -> Timestamp | None:
    """Write a time as the contract does; None = the field stays unset."""
    if moment is None:
        return None
    found = Timestamp()
    found.FromDatetime(moment)
    return found


def _named(match: re.Match[str], now: datetime) -> datetime:
    """Find the time that a day, a time of day, or both name."""
    zone = _zone(match["zone"])
    today = now.astimezone(zone).date()
    day = match["day"]
    date = datetime.fromisoformat(day).date() if day and day != "yesterday" else today
    if day == "yesterday":
        date -= timedelta(days=1)
    hour, minute, second = (int(match[unit] or 0) for unit in ("hour", "minute", "second"))
    micros = int((match["fraction"] or "").ljust(6, "0")[:6])
    wall = datetime.combine(date, clock_time(hour, minute, second, micros))
    found = _in_zone(wall, zone)
    return found if day or found <= now else _in_zone(wall - timedelta(days=1), zone)


def _zone(text: str | None) -> tzinfo | None:
    """Read ``z`` or ``+01:00``; None = the local time zone."""
    if text is None:
        return None
    if text == "z":
        return UTC
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[4:6]))
    return timezone(-offset if text[0] == "-" else offset)


def _in_zone(wall: datetime, zone: tzinfo | None) -> datetime:
    """Find the moment at which clocks show this; ``ValueError`` where they skip it."""
    # Without a zone, Python takes the local one.
    found = wall.replace(tzinfo=zone).astimezone(UTC).astimezone(zone)
    if found.replace(tzinfo=None) != wall:
        raise ValueError(
            "clocks skipped it when they went forward; give another, or its zone, such as +01:00"
        )
    return found
