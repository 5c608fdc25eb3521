"""libpq's parameters, password file and service file, read as libpq reads them."""

import configparser
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from server.postgres.causes import DatabaseUrlError

DEFAULT_PORT = 5432
# asyncpg takes them in a URL only.
TLS = (
    "sslmode",
    "sslnegotiation",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "sslpassword",
    "sslcrl",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
)
# Our own deadlines notice dead peers, and connections have names of
# our own.
IGNORED = frozenset(
    {
        "fallback_application_name",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "sslcompression",
        "tcp_user_timeout",
    }
)
_ALIASES = {"database": "dbname", "ssl": "sslmode"}
_TLS_VERSIONS = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")

Check = Callable[[str, str], None]
_COLON = re.compile(r"(?<!\\)((?:\\\\)*):")
_ESCAPED = re.compile(r"\\(.)")


def canonical(name: str, value: str) -> tuple[str, str]:
    """Use libpq's name for a parameter: asyncpg, SQLAlchemy and JDBC have others for some."""
    if (name, value) == ("ssl", "true"):
        return "sslmode", "require"
    return _ALIASES.get(name, name), value


def checked(name: str, value: str) -> None:
    """Raise ``DatabaseUrlError`` unless the parameter is honoured or without effect."""
    if name in IGNORED:
        return
    check = _CHECKS.get(name)
    if check is None:
        raise DatabaseUrlError(
            f"the parameter {name!r} is not known",
            f"leave it out; a setting of the server is written options=-c%20{name}%3DVALUE",
        )
    check(name, value)


def default_port() -> int:
    """Return ``PGPORT``, or 5432."""
    port = os.environ.get("PGPORT", "")
    return int(port) if port.isascii() and port.isdigit() else DEFAULT_PORT


def _any(name: str, value: str) -> None:
    """Accept every value: the server, or the rest of the parser, judges it."""


def _refuse(name: str, value: str, reason: str, advice: str) -> NoReturn:
    raise DatabaseUrlError(f"{name}={value} can't be honoured ({reason})", advice)


def _one_of(*allowed: str) -> Check:
    def check(name: str, value: str) -> None:
        if value not in allowed:
            raise DatabaseUrlError(f"{name}={value} makes no sense", f"it may be {', '.join(allowed)}")

    return check


def _only(*allowed: str, reason: str, advice: str = "leave it out") -> Check:
    """Accept what we do anyway."""

    def check(name: str, value: str) -> None:
        if value not in allowed:
            _refuse(name, value, reason, advice)

    return check


def _never(reason: str, advice: str = "leave it out") -> Check:
    return _only(reason=reason, advice=advice)


def _seconds(name: str, value: str) -> None:
    try:
        int(value)
    except ValueError:
        raise DatabaseUrlError(f"{name}={value} is no number", "give whole seconds, 0 = no limit") from None


def _file(name: str, value: str) -> None:
    if name == "sslrootcert" and value == "system":
        _refuse(
            name,
            value,
            "the driver knows no system store",
            "name its file: /etc/ssl/certs/ca-certificates.crt",
        )
    try:
        with Path(value).open("rb"):
            pass
    except OSError as error:
        raise DatabaseUrlError(
            f"the file {value!r} of {name} can't be read ({error.strerror})",
            "correct the path or its permissions",
        ) from None


def _encoding(name: str, value: str) -> None:
    if value.lower().replace("-", "").replace("_", "") not in {"auto", "utf8", "unicode"}:
        _refuse(name, value, "depgraph speaks UTF8", "leave it out: the server converts")


_CHECKS: Mapping[str, Check] = {
    **dict.fromkeys(
        (
            *("host", "hostaddr", "port", "user", "password", "passfile", "dbname"),
            *("application_name", "options", "krbsrvname", "sslpassword", "service", "servicefile"),
        ),
        _any,
    ),
    "connect_timeout": _seconds,
    "client_encoding": _encoding,
    "sslmode": _one_of("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "sslnegotiation": _one_of("postgres", "direct"),
    **dict.fromkeys(("sslrootcert", "sslcert", "sslkey", "sslcrl"), _file),
    **dict.fromkeys(("ssl_min_protocol_version", "ssl_max_protocol_version"), _one_of(*_TLS_VERSIONS)),
    "target_session_attrs": _one_of("any", "primary", "standby", "prefer-standby", "read-write", "read-only"),
    "load_balance_hosts": _one_of("disable", "random"),
    "gsslib": _one_of("gssapi", "sspi"),
    "channel_binding": _only("disable", "prefer", reason="the driver can't bind channels"),
    "gssencmode": _only(
        "disable", "prefer", reason="the driver can't encrypt by GSSAPI", advice="use sslmode"
    ),
    "gssdelegation": _only("0", reason="the driver can't delegate credentials"),
    "replication": _only("false", "off", "no", "0", reason="depgraph runs queries"),
    "sslsni": _only("1", reason="the driver always names the host to the server"),
    "sslcertmode": _only("allow", reason="the driver sends a certificate when it is asked for one"),
    "sslcrldir": _never("the driver reads no folder of revocation lists", "name one file: sslcrl"),
    "sslkeylogfile": _never("keys are not written to files"),
    "requirepeer": _never("the driver can't tell who owns a socket"),
    "require_auth": _never(
        "the driver can't choose how to authenticate", "allow one method only in pg_hba.conf"
    ),
    "min_protocol_version": _only("3.0", reason="the driver speaks version 3.0"),
    "max_protocol_version": _only("3.0", "latest", reason="the driver speaks version 3.0"),
}


def password_from_file(named: str | None, *, host: str, port: int, database: str, user: str) -> str | None:
    """
    Look up the password as libpq does; None = not there.

    The file is that of the URL, else ``PGPASSFILE``, else ``~/.pgpass``. Its lines are
    ``HOST:PORT:DATABASE:USER:PASSWORD``; ``*`` = any, and a backslash escapes a colon or itself.
    asyncpg leaves the escapes in, and does not look up a Unix socket's folder. Source: "The
    Password File" in libpq's documentation, and ``passwordFromFile`` in its code.
    """
    # libpq takes localhost for its default folder of sockets, wherever that is.
    hosts = (host, "localhost") if host.startswith("/") else (host,)
    wanted = (hosts, (str(port),), (database,), (user,))
    for line in _lines(named or os.environ.get("PGPASSFILE")):
        fields = _fields(line)
        if len(fields) > len(wanted) and all(
            field == "*" or _plain(field) in names for field, names in zip(fields, wanted, strict=False)
        ):
            return _plain(fields[-1])
    return None


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
