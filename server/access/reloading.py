"""
Files that are read again when they change: certificates, keys, who may do what.

``Reloaded`` reads them, keeps what it has while a new version can't be used, and says so.
"""

import asyncio
import hashlib
import os
import stat
import threading
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

import structlog

log = structlog.get_logger(__name__)

T = TypeVar("T")
# What a look at a file compares: its stat, or the errno if there is none.
_Mark: TypeAlias = tuple[int, ...]

LOOK_EVERY = timedelta(seconds=3)
# Clocks of file systems tick: a file that was written this shortly before it was read may have been
# written once more without any sign in its times.
_TICK_NS = 2_000_000_000


class UnusableFileError(OSError):
    """A file that a flag names can't be used; the message names both and says why."""


class NamedFile(NamedTuple):
    """A file, and the flag that names it."""

    flag: str
    path: Path

    def unusable(self, why: str) -> UnusableFileError:
        """Make the error for a file that can't be used."""
        return UnusableFileError(f"{self}: {why}")

    def __str__(self) -> str:
        return f"{self.flag} {self.path}"


class Reloaded(Generic[T]):
    """
    What files mean, alone or together, as long as each new version of them makes sense.

    ``parse`` makes the value out of the contents, bytes in the order of ``files``, or raises
    ``UnusableFileError`` (``NamedFile.unusable``). At start the error reaches the caller. Later the
    value stays as it was, ``problem`` describes the error, and the log has one warning, until the
    files can be used again. Symlinks are followed, so a swapped symlink is a change.

    ``look`` and the properties may be used on any thread.
    """

    def __init__(self, parse: Callable[..., T], *files: NamedFile) -> None:
        self._parse = parse
        self._files = files
        self._looking = threading.Lock()
        self._problem = ""
        self._marks = self._marked()
        contents = self._read()
        self._value = parse(*contents)
        self._used = self._tried = _digest(contents)

    @property
    def value(self) -> T:
        """What the files meant when they could be used last: another object for each version."""
        return self._value

    @property
    def problem(self) -> str:
        """Why the files can't be used as they are now, a sentence for people; empty = they can."""
        return self._problem

    def look(self) -> None:
        """Read the files again if one has changed; otherwise this costs a ``stat`` for each."""
        # Another thread's look is as good.
        if not self._looking.acquire(blocking=False):
            return
        try:
            marks = self._marked()
            if marks != self._marks:
                self._reload()
                self._marks = marks
        finally:
            self._looking.release()

    def _reload(self) -> None:
        tried, self._tried = self._tried, b""
        try:
            contents = self._read()
            self._tried = _digest(contents)
            if self._tried == tried:
                return
            if self._tried != self._used:
                self._value = self._parse(*contents)
                self._used = self._tried
                log.info("read changed files", files=self._names())
            else:
                log.info("changed files are again as they were", files=self._names())
            self._problem = ""
        except UnusableFileError as error:
            if not self._problem.startswith(str(error)):
                log.warning("a changed file can't be used: what was read before stays", reason=str(error))
            self._problem = _kept(str(error))
        except Exception as error:
            log.exception("a changed file can't be read: what was read before stays", files=self._names())
            self._problem = _kept(f"{', '.join(self._names())}: unexpected {type(error).__name__}")

    def _read(self) -> list[bytes]:
        return [_contents(file) for file in self._files]

    def _marked(self) -> list[_Mark]:
        return [_mark(file.path) for file in self._files]

    def _names(self) -> list[str]:
        return list(map(str, self._files))


async def keep_looking(files: Iterable[Reloaded[Any]], every: timedelta = LOOK_EVERY) -> None:
    """Look at files again and again, so that problems show by themselves; runs until cancelled."""
    while True:
        await asyncio.sleep(every.total_seconds())
        for each in files:
            # On another thread, because a file system may take its time.
            await asyncio.to_thread(each.look)


def _contents(file: NamedFile) -> bytes:
    try:
        # Reading a pipe would take what is in it, or wait for ever.
        if not stat.S_ISREG(file.path.stat().st_mode):
            raise file.unusable("this is no regular file")
        return file.path.read_bytes()
    except UnusableFileError:
        raise
    except OSError as error:
        raise file.unusable(error.strerror or str(error)) from None


def _mark(path: Path) -> _Mark:
    try:
        found = os.stat(path)  # noqa: PTH116 - a fifth of the time of Path.stat, at each handshake
    except OSError as error:
        return (error.errno or 0,)
    changed = found.st_ctime_ns
    now = time.time_ns()
    # Differs at each look until the file is old enough.
    fresh = now if now - changed < _TICK_NS else 0
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, changed, fresh


def _kept(why: str) -> str:
    return f"{why}; what was read before stays in use"


def _digest(contents: Iterable[bytes]) -> bytes:
    """Stand for contents, some of them secret, when they are compared."""
    return b"".join(hashlib.sha256(each).digest() for each in contents)
