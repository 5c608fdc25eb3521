"""libpq's parameters, password file and service file, read as libpq reads them."""

import configparser
import os
import re
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

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
# The server, or the rest of the parser, judges their values.
_PASSED_ON = frozenset(
    (
        *("host", "hostaddr", "port", "user", "password", "passfile", "dbname", "application_name"),
        *("options", "krbsrvname", "sslpassword", "service", "servicefile"),
    )
)
_FILES = frozenset(["sslrootcert", "sslcert", "sslkey", "sslcrl"])
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "sslnegotiation": ("postgres", "direct"),
    "ssl_min_protocol_version": _TLS_VERSIONS,
    "ssl_max_protocol_version": _TLS_VERSIONS,
    "target_session_attrs": ("any", "primary", "standby", "prefer-standby", "read-write", "read-only"),
    "load_balance_hosts": ("disable", "random"),
    "gsslib": ("gssapi", "sspi"),
}
_LEAVE_OUT = "leave it out"
# The values that change nothing, why no others can be honoured, and what to do.
_FIXED: Mapping[str, tuple[tuple[str, ...], str, str]] = {
    "channel_binding": (("disable", "prefer"), "the driver can't bind channels", _LEAVE_OUT),
    "gssencmode": (("disable", "prefer"), "the driver can't encrypt by GSSAPI", "use sslmode"),
    "gssdelegation": (("0",), "the driver can't delegate credentials", _LEAVE_OUT),
    "replication": (("false", "off", "no", "0"), "depgraph runs queries", _LEAVE_OUT),
    "sslsni": (("1",), "the driver always names the host to the server", _LEAVE_OUT),
    "sslcertmode": (("allow",), "the driver sends a certificate when it is asked for one", _LEAVE_OUT),
    "sslcrldir": ((), "the driver reads no folder of revocation lists", "name one file: sslcrl"),
    "sslkeylogfile": ((), "keys are not written to files", _LEAVE_OUT),
    "requirepeer": ((), "the driver can't find out who owns a socket", _LEAVE_OUT),
    "require_auth": (
        (),
        "the driver can't choose how to authenticate",
        "allow one method only in pg_hba.conf",
    ),
    "min_protocol_version": (("3.0",), "the driver speaks version 3.0", _LEAVE_OUT),
    "max_protocol_version": (("3.0", "latest"), "the driver speaks version 3.0", _LEAVE_OUT),
}
_COLON = re.compile(r"(?<!\\)((?:\\\\)*):")
_ESCAPED = re.compile(r"\\(.)")


def canonical(name: str, value: str) -> tuple[str, str]:
    """Use libpq's name for a parameter: asyncpg, SQLAlchemy and JDBC have others for some."""
    if (name, value) == ("ssl", "true"):
        return "sslmode", "require"
    return _ALIASES.get(name, name), value


def checked(name: str, value: str) -> None:
    """Raise ``DatabaseUrlError`` unless the parameter is honoured or without effect."""
    if name in IGNORED or name in _PASSED_ON:
        return
    if name in _FILES:
        _check_file(name, value)
    elif name in {"connect_timeout", "client_encoding"}:
        _check_form(name, value)
    elif name in _CHOICES:
        if value not in _CHOICES[name]:
            raise DatabaseUrlError(f"{name}={value} makes no sense", f"it may be {', '.join(_CHOICES[name])}")
    elif name in _FIXED:
        allowed, reason, advice = _FIXED[name]
        if value not in allowed:
            raise _refused(name, value, reason, advice)
    else:
        raise DatabaseUrlError(
            f"the parameter {name!r} is not known",
            f"leave it out; a setting of the server is written options=-c%20{name}%3DVALUE",
        )


def _refused(name: str, value: str, reason: str, advice: str) -> DatabaseUrlError:
    return DatabaseUrlError(f"{name}={value} can't be honoured ({reason})", advice)


def _check_form(name: str, value: str) -> None:
    if name == "connect_timeout" and not re.fullmatch(r"\s*[+-]?\d+\s*", value):
        raise DatabaseUrlError(f"{name}={value} is no number", "give whole seconds, 0 = no limit")
    encodings = {"auto", "utf8", "unicode"}
    if name == "client_encoding" and value.lower().replace("-", "").replace("_", "") not in encodings:
        raise _refused(name, value, "depgraph speaks UTF8", "leave it out: the server converts")


def _check_file(name: str, value: str) -> None:
    if name == "sslrootcert" and value == "system":
        advice = "name its file: /etc/ssl/certs/ca-certificates.crt"
        raise _refused(name, value, "the driver knows no system store", advice)
    try:
        with Path(value).open("rb"):
            pass
    except OSError as error:
        raise DatabaseUrlError(
            f"the file {value!r} of {name} can't be read ({error.strerror})",
            "correct the path or its permissions",
        ) from None


def default_port() -> int:
    """Return ``PGPORT``, or 5432."""
    port = os.environ.get("PGPORT", "")
    return int(port) if port.isascii() and port.isdigit() else DEFAULT_PORT


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
