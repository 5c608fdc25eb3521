"""
One service per data folder: an advisory lock that the kernel gives back however its holder ends.

Whoever can open the file can hold the lock, for reading too. So only its owner can open it.
"""

import contextlib
import os
import sys
from pathlib import Path

from server.store.embedded.errors import DataFolderInUseError

if sys.platform != "win32":
    import fcntl


class FolderLock:
    """Holds ``folder/lock`` from construction to ``release``; the file names the holder's process."""

    def __init__(self, folder: Path) -> None:
        """Raise ``DataFolderInUseError`` at once when somebody else, this very process included, holds it."""
        self._descriptor = _open(folder / "lock")
        try:
            _lock(self._descriptor)
        except BlockingIOError:
            holder = _read_pid(self._descriptor)
            os.close(self._descriptor)
            raise DataFolderInUseError(folder, holder) from None
        _write_pid(self._descriptor)

    def release(self) -> None:
        """Let others have the folder. The file stays: removing it would race with a newcomer that opened it."""
        os.close(self._descriptor)


def _open(path: Path) -> int:
    # A link could lead to a file of another program, which would be written over.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    if sys.platform != "win32":
        os.fchmod(descriptor, 0o600)  # versions before made it readable to everybody
    return descriptor


def _lock(descriptor: int) -> None:
    if sys.platform != "win32":
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _write_pid(descriptor: int) -> None:
    # On a full disk it says nothing; it is the lock that counts.
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


def _read_pid(descriptor: int) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        return int(os.pread(descriptor, 32, 0))
    return None
