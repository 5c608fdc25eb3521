"""Tables of TOML files, of which each key is taken once and checked."""

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from difflib import get_close_matches
from typing import Any, TypeVar

T = TypeVar("T")

_LONGEST = timedelta(days=365)
_DURATION = re.compile(r"(?P<count>[0-9]{1,12})(?P<unit>[smhdw])", re.ASCII)
_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}


class WrongError(ValueError):
    """Something in the file is wrong; the message names table and key."""


class Table:
    """A table of the file, of which each key is taken once; ``done`` refuses the others."""

    def __init__(self, where: str, content: Mapping[str, Any]) -> None:
        self.where = where
        self._left = dict(content)
        self._known: set[str] = set()

    def wrong(self, key: str, why: str) -> WrongError:
        """Make the error for a key."""
        return WrongError(": ".join(filter(None, (self.where, key, why))))

    def has(self, key: str) -> bool:
        """Whether a key is left."""
        self._known.add(key)
        return key in self._left

    def take(self, key: str, kind: type[T], what: str) -> T:
        """Take the value of a key, which must be there and of a type."""
        if not self.has(key):
            raise self.wrong(key, f"is missing: give {what}")
        value = self._left.pop(key)
        if type(value) is not kind:
            raise self.wrong(key, f"must be {what}")
        return value

    def text(self, key: str, what: str, default: str | None = None) -> str:
        """Take a text that is not empty; ``default`` = it may be missing."""
        if not self.has(key) and default is not None:
            return default
        if not (value := self.take(key, str, what)):
            raise self.wrong(key, f"is empty: give {what}")
        return value

    def word(self, key: str, known: tuple[str, ...], default: str | None = None) -> str:
        """Take one of some words; ``default`` = it may be missing."""
        what = f"one of {', '.join(known)}"
        value = self.text(key, what, default)
        if value not in known:
            raise self.wrong(key, f"{value!r} is not known{_suggestion(value, known)}: give {what}")
        return value

    def words(self, key: str, known: tuple[str, ...]) -> list[str]:
        """Take a list of distinct words, at least one."""
        what = f"a list of {', '.join(known)}"
        words: list[Any] = self.take(key, list, what)
        for word in words:
            if word not in known:
                raise self.wrong(key, f"{word!r} is not known: give {what}")
        if not words or len(set(words)) < len(words):
            raise self.wrong(key, "is empty" if not words else "repeats a word")
        return words

    def texts(self, key: str, what: str) -> tuple[str, ...]:
        """Take a text or a list of texts; empty when the key is missing."""
        if not self.has(key):
            return ()
        value = self._left.pop(key)
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list) or not texts or not all(map(is_text, texts)):
            raise self.wrong(key, f"must be {what}")
        return tuple(texts)

    def duration(self, key: str, default: timedelta) -> timedelta:
        """Take a duration such as 90s; the key may be missing."""
        if not self.has(key):
            return default
        what = 'a whole number and a unit, such as "30s", "5m", "12h" or "7d"'
        text = self.take(key, str, what)
        found = duration_of(text)
        if found is None:
            raise self.wrong(key, f"{text!r} is no duration: give {what}")
        if not timedelta(0) < found <= _LONGEST:
            raise self.wrong(key, f"{text!r} must be longer than 0 and at most {_LONGEST.days} days")
        return found

    def tables(self, key: str) -> list["Table"]:
        """Take an array of tables, which may be missing."""
        self._known.add(key)
        content = self._left.pop(key, [])
        if not isinstance(content, list) or not all(isinstance(each, dict) for each in content):
            raise self.wrong(key, f"must be tables, each under [[{key}]]")
        return [Table(f"[[{key}]] number {number}", each) for number, each in enumerate(content, 1)]

    def done(self) -> None:
        """Refuse the keys that were not taken."""
        if self._left:
            key = min(self._left)
            raise self.wrong(key, f"is not known here{_suggestion(key, self._known)}")


def duration_of(text: str) -> timedelta | None:
    """Read a duration such as 90s or 4w, of any length; None = the text is none."""
    match = _DURATION.fullmatch(text)
    if match is None:
        return None
    unit = _UNITS[match["unit"]]
    return min(int(match["count"]), timedelta.max // unit) * unit


def is_text(value: Any) -> bool:
    """Whether a value is a text that is not empty."""
    return isinstance(value, str) and bool(value)


def _suggestion(word: str, known: Iterable[str]) -> str:
    close = get_close_matches(word, sorted(known), 1)
    return f" (did you mean {close[0]}?)" if close else ""
