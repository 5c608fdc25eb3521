"""One service per data folder: an advisory lock that the kernel gives back however its holder ends."""

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
        self._descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _lock(self._descriptor)
        except BlockingIOError:
            holder = _read_pid(self._descriptor)
            os.close(self._descriptor)
            raise DataFolderInUseError(folder, holder) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let others have the folder. The file stays: removing it would race with a newcomer that opened it."""
        os.close(self._descriptor)


def _lock(descriptor: int) -> None:
    if sys.platform != "win32":
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _read_pid(descriptor: int) -> int | None:
    with contextlib.suppress(ValueError):
        return int(os.pread(descriptor, 32, 0))
    return None
