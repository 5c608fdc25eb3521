"""How the embedded database reports: errors for people, progress, and the server's log."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

Report: TypeAlias = Callable[[str], None]
"""Takes one sentence of progress for a person to read."""
ROTATE_AT_BYTES = 10_000_000
MESSAGE_LINES = 12


class EmbeddedPostgresError(Exception):
    """The embedded database can't be started or stopped; says which folder, why, what to do."""


class DataFolderInUseError(EmbeddedPostgresError):
    """Another service holds the data folder; ``pid`` None = it has not written its id yet."""

    def __init__(self, folder: Path, pid: int | None) -> None:
        holder = f"process {pid}" if pid is not None else "another process"
        super().__init__(
            f"the data folder {folder} is in use by {holder}: stop that service, or choose another folder"
        )
        self.folder = folder
        self.pid = pid


class DatabaseLog:
    """``postgres.log``: rotated when it is large, and quoted from this start on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.exists() and path.stat().st_size > ROTATE_AT_BYTES:
            path.replace(path.with_suffix(".log.1"))
        path.touch(mode=0o600)
        self._start = path.stat().st_size

    def last_lines(self) -> str:
        """Quote the last lines written since this start, for an error message."""
        with self.path.open("rb") as log:
            log.seek(self._start)
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-MESSAGE_LINES:])
