"""libpq's parameters: which are honoured, without effect, or refused with a reason."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

from server.postgres.errors import DatabaseUrlError

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


def canonical(name: str, value: str) -> tuple[str, str]:
    """Put a parameter in libpq's words: asyncpg, SQLAlchemy and JDBC have others for some."""
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
