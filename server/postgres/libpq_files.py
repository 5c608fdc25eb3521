"""libpq's password file and service file, read as libpq reads them."""

import configparser
import os
import re
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from server.postgres.errors import DatabaseUrlError
from server.postgres.parameters import canonical

_COLON = re.compile(r"(?<!\\)((?:\\\\)*):")
_ESCAPED = re.compile(r"\\(.)")


def password_from_file(named: str | None, *, host: str, port: int, database: str, user: str) -> str | None:
    """
    Look the password up, as libpq does; None = not there.

    The file is that of the URL, else ``PGPASSFILE``, else ``~/.pgpass``. Its lines are
    ``HOST:PORT:DATABASE:USER:PASSWORD``; ``*`` = any, and a backslash escapes a colon or itself.
    asyncpg leaves the escapes in, and knows no folder of a Unix socket. Source: "The Password File"
    in libpq's documentation, and ``passwordFromFile`` in its code.
    """
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
        # libpq and the driver refuse a file that others can read.
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


def with_service(given: Mapping[str, str]) -> dict[str, str]:
    """Add what the service of a URL, or of ``PGSERVICE``, says and the URL does not."""
    service = given.get("service") or os.environ.get("PGSERVICE")
    own = {name: value for name, value in given.items() if name not in {"service", "servicefile"}}
    if not service:
        return own
    for path in _files(given.get("servicefile")):
        section = _section(path, service)
        if section is not None:
            return dict(canonical(*pair) for pair in section.items() if pair[1]) | own
    raise DatabaseUrlError(
        f"the service {service!r} is in no service file",
        "define it in ~/.pg_service.conf, or in the file that PGSERVICEFILE names",
    )


def _files(named: str | None) -> Iterator[Path]:
    if first := named or os.environ.get("PGSERVICEFILE"):
        yield Path(first)
    else:
        # Where there is no home folder, ~ stays as it is, and no such file is there.
        yield Path(os.path.expanduser("~/.pg_service.conf"))  # noqa: PTH111 - Path.expanduser raises
    if folder := os.environ.get("PGSYSCONFDIR"):
        yield Path(folder) / "pg_service.conf"


def _section(path: Path, service: str) -> Mapping[str, str] | None:
    parser = configparser.RawConfigParser(
        delimiters=("=",),
        comment_prefixes=("#",),
        strict=False,
        default_section="",
        empty_lines_in_values=False,
    )
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        raise DatabaseUrlError(f"the service file {str(path)!r} can't be read", "correct it") from None
    return parser[service] if parser.has_section(service) else None
