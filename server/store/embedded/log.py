"""The file that the database writes its messages to."""

from pathlib import Path

ROTATE_AT_BYTES = 10_000_000
MESSAGE_LINES = 12


class DatabaseLog:
    """``postgres.log`` from one start on: bounded over starts, and able to quote what this start said."""

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
