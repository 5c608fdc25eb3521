"""libpq's service file, where parameters of a connection stand under a name: asyncpg takes no notice when the name is not there."""

import configparser
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from server.postgres.errors import DatabaseUrlError
from server.postgres.parameters import canonical


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
