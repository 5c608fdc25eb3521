r"""
libpq's password file: ``HOST:PORT:DATABASE:USER:PASSWORD`` in each line, ``*`` = any, ``\`` before a colon or itself.

asyncpg reads it too, but leaves the escapes in, and knows no folder of a Unix socket. Source: "The Password File"
in libpq's documentation, and ``passwordFromFile`` in its code.
"""

import os
import re
import stat
import sys
from contextlib import suppress
from pathlib import Path

_COLON = re.compile(r"(?<!\\)((?:\\\\)*):")
_ESCAPED = re.compile(r"\\(.)")


def password_from_file(named: str | None, *, host: str, port: int, database: str, user: str) -> str | None:
    """Look the password up in the file that the URL names, else ``PGPASSFILE``, else ``~/.pgpass``; None = not there."""
    wanted = (_host_names(host), (str(port),), (database,), (user,))
    for line in _lines(named or os.environ.get("PGPASSFILE")):
        fields = _fields(line)
        if len(fields) > len(wanted) and all(
            field == "*" or _plain(field) in names for field, names in zip(fields, wanted, strict=False)
        ):
            return _plain(fields[-1])
    return None


def _host_names(host: str) -> tuple[str, ...]:
    # libpq takes localhost for its default folder of sockets, wherever that is.
    return (host, "localhost") if host.startswith("/") else (host,)


def _lines(named: str | None) -> list[str]:
    with suppress(OSError, UnicodeDecodeError, RuntimeError):
        path = Path(named) if named else _usual_file()
        # One that others can read is refused by libpq, and by the driver, which warns.
        if path.is_file() and (
            sys.platform == "win32" or not path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
        ):
            return [
                line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")
            ]
    return []


def _usual_file() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA", ""), "postgresql", "pgpass.conf")
    return Path.home() / ".pgpass"


def _fields(line: str) -> list[str]:
    """Split at the first four colons that no backslash escapes."""
    parts = _COLON.split(line, maxsplit=4)
    return [f"{text}{slashes}" for text, slashes in zip(parts[::2], [*parts[1::2], ""], strict=True)]


def _plain(field: str) -> str:
    return _ESCAPED.sub(r"\1", field)
