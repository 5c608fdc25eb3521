"""Checks of the fields of requests, which report all violations of a request together."""

import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from server.domain.errors import FieldViolation, InvalidInputError, TooManyItemsError
from server.domain.services import NAME_MAX_LENGTH
from server.wire.columns import EnumWords

Word = TypeVar("Word", bound=str)
Item = TypeVar("Item")
Value = TypeVar("Value")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_SECOND = -62_135_596_800  # 0001-01-01T00:00:00Z
_LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z
_NANOS = 1_000_000_000
_MICROSECOND = timedelta(microseconds=1)
# asyncpg sends the first and the last moment that a datetime can hold as -infinity and infinity.
_FIRST_MOMENT = datetime.min.replace(tzinfo=UTC) + timedelta(microseconds=1)
_LAST_MOMENT = datetime.max.replace(tzinfo=UTC) - timedelta(microseconds=1)
# Clocks of callers may go ahead of the server's.
_MOST_AHEAD = timedelta(minutes=1)
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_SHOWN = 40
_NIL = UUID(int=0)
_TO = "–"  # noqa: RUF001 - the dash of ranges, as in the contract


class Check:
    """
    Collects what is wrong with one request.

    A check takes the path of a field and its value, and returns the value as the domain has it,
    or a stand-in when it is wrong: use the results only after ``done`` has returned.
    """

    __slots__ = ("_errors", "_path", "_violations")

    def __init__(
        self,
        path: str = "",
        violations: list[FieldViolation] | None = None,
        errors: set[type[InvalidInputError]] | None = None,
    ) -> None:
        self._path = path
        self._violations = [] if violations is None else violations
        self._errors = set() if errors is None else errors

    def within(self, path: str) -> "Check":
        """Return a check of the fields of the message at a path, which adds its violations here."""
        return Check(f"{self._path}{path}.", self._violations, self._errors)

    def add(self, field: str, description: str, error: type[InvalidInputError] = InvalidInputError) -> None:
        """Add a violation; ``done`` raises ``error`` if all violations have the same."""
        self._violations.append(FieldViolation(self._path + field, description))
        self._errors.add(error)

    @property
    def is_wrong(self) -> bool:
        """Whether there is a violation already."""
        return bool(self._violations)

    def each(self, field: str, items: Iterable[Item], read: Callable[["Check", Item], Value]) -> list[Value]:
        """Read the items of a repeated field; only one that is wrong is read with its path, too."""
        check, values = Check(), []
        for position, item in enumerate(items):
            values.append(read(check, item))
            if check.is_wrong:
                read(self.within(f"{field}[{position}]"), item)
                check = Check()
        return values

    def done(self) -> None:
        """Raise ``InvalidInputError`` with all violations, if there are any."""
        if not self._violations:
            return
        first = self._violations[0]
        others = len(self._violations) - 1
        message = f"{first.field}: {first.description}" + (f" (and {others} more)" if others else "")
        error = next(iter(self._errors)) if len(self._errors) == 1 else InvalidInputError
        raise error(message, violations=self._violations)

    def text(self, field: str, value: str, longest: int = NAME_MAX_LENGTH) -> str:
        """Check for 1 to ``longest`` characters without NUL, which PostgreSQL can't store."""
        if not value:
            self.add(field, f"is empty; give 1{_TO}{longest:,} characters")
        elif len(value) > longest:
            self.add(field, f"has {len(value):,} characters; at most {longest:,} are allowed")
        if "\0" in value:
            self.add(field, "holds a NUL character, which can't be stored")
        return value

    def words(self, field: str, value: str, longest: int) -> str:
        """Check as ``text`` does, and for something else than white space."""
        if value.isspace():
            self.add(field, "is blank; write something")
        return self.text(field, value, longest)

    def uuid(self, field: str, value: str) -> UUID:
        """Check for a UUID in its usual form."""
        if _UUID.fullmatch(value):
            return UUID(value)
        self.add(field, f"{shown(value)} is not a UUID")
        return _NIL

    def number(self, field: str, value: int, lowest: int, highest: int, zero: str = "") -> int:
        """Check for a whole number within bounds; ``zero`` says what 0 stands for."""
        if not lowest <= value <= highest:
            hint = f" ({zero})" if zero else ""
            self.add(field, f"{value} is not in {lowest:,}{_TO}{highest:,}{hint}")
        return value

    def at_least(self, field: str, value: int, lowest: int) -> int:
        """Check for a whole number with a lower bound."""
        if value < lowest:
            self.add(field, f"{value} is less than {lowest}")
        return value

    def share(self, field: str, value: float) -> float:
        """Check for a number from 0 to 1; NaN is refused."""
        if not 0.0 <= value <= 1.0:
            self.add(field, f"{value} is not in 0{_TO}1")
            return 0.0
        return value

    def optional_word(self, field: str, number: int, enum: EnumWords[Word, Any]) -> Word | None:
        """Look up an enum value that may be left UNSPECIFIED (None)."""
        word = enum.word.get(number)
        if word is None and number:
            self.add(field, f"{number} is not a known value; give one of {enum.allowed}")
        return word

    def word(self, field: str, number: int, enum: EnumWords[Word, Any], stand_in: Word) -> Word:
        """Look up an enum value that is required; ``stand_in`` is returned when it is wrong."""
        if not number:
            self.add(field, f"is required; give one of {enum.allowed}")
        return self.optional_word(field, number, enum) or stand_in

    def moment(self, field: str, value: Timestamp) -> datetime:
        """Check for a time of the years 1 to 9999; cut it to what asyncpg can store."""
        seconds, nanos = value.seconds, value.nanos
        if _FIRST_SECOND <= seconds <= _LAST_SECOND and 0 <= nanos < _NANOS:
            moment = EPOCH + timedelta(0, seconds, nanos // 1000)
            if _FIRST_SECOND < seconds < _LAST_SECOND:
                return moment
            return min(max(moment, _FIRST_MOMENT), _LAST_MOMENT)
        self.add(field, "is not a valid time of the years 1 to 9999")
        return EPOCH

    def past_moment(self, field: str, value: Timestamp) -> datetime:
        """Check as ``moment`` does, and that the time has come."""
        moment, now = self.moment(field, value), datetime.now(UTC)
        if moment > now + _MOST_AHEAD:
            shown_now = now.isoformat(timespec="seconds")
            self.add(field, f"lies in the future: the server's clock says {shown_now}")
        return moment

    def span(self, field: str, value: Duration, most: timedelta) -> timedelta:
        """Check for a time from 0 to ``most``, which is less than a thousand years."""
        nanos = value.seconds * _NANOS + value.nanos
        if abs(value.nanos) >= _NANOS or not 0 <= nanos <= most // _MICROSECOND * 1000:
            self.add(field, f"is not a time of 0 to {most.total_seconds():,.0f} seconds")
            return timedelta(0)
        return timedelta(microseconds=nanos // 1000)

    def at_most(
        self,
        field: str,
        items: Sequence[object],
        most: int,
        limit: str = "fit one call, so split it",
        error: type[InvalidInputError] = InvalidInputError,
    ) -> None:
        """Raise at once if there are too many items; ``limit`` is the end of the message."""
        if len(items) > most:
            self.add(field, f"has {len(items):,} items; at most {most:,} {limit}", error)
            self.done()

    def within_limit(self, field: str, items: Sequence[object], most: int) -> None:
        """Raise ``TooManyItemsError`` for more items than the server's limit."""
        self.at_most(field, items, most, error=TooManyItemsError)

    def distinct(self, path: str, keys: Iterable[Hashable], what: str) -> None:
        """Check that no two keys are equal; ``path`` has a ``{}`` for the position."""
        keys = list(keys)
        if len(set(keys)) == len(keys):
            return
        first: dict[Hashable, int] = {}
        for position, key in enumerate(keys):
            before = first.setdefault(key, position)
            if before != position:
                self.add(path.format(position), f"{what} stands at position {before} already")


def shown(value: str) -> str:
    """Quote a caller's text for an error message, shortened."""
    return repr(value if len(value) <= _SHOWN else value[: _SHOWN - 1] + "…")
