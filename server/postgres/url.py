"""
Connection URLs, read as libpq reads them.

asyncpg takes unknown parameters for settings of the server, which refuses them too late, so it gets
arguments instead. Source: "Connection URIs" in libpq's documentation, and
``conninfo_uri_parse_options`` in its code.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import quote, unquote_to_bytes, urlencode

from server.postgres.causes import DatabaseUrlError
from server.postgres.parameters import IGNORED, TLS, canonical, checked, default_port, with_service

EXPECTED = "expected postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
LARGEST_PORT = 65_535
SECRETS = frozenset({"password", "sslpassword"})
_SCHEME = re.compile(r"postgres(?:ql)?(?:\+\w+)?://", re.ASCII)
_HOST = re.compile(r"\[(?P<ipv6>[^\]]*)\](?::(?P<port6>.*))?|(?P<host>[^:\[]*)(?::(?P<port>.*))?", re.DOTALL)
_PARAMETER_NAME = re.compile(r"\w+", re.ASCII)
_BAD_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")
_OPTION_WORD = re.compile(r"(?:\\.|\S)+", re.DOTALL)
_OPTION_NAME = re.compile(r"[A-Za-z_][\w.]*", re.ASCII)
_OPTION_ADVICE = "write -c NAME=VALUE or --NAME=VALUE, blanks in values as backslash and blank"
# libpq waits no shorter: one second could end before it began.
_SHORTEST_TIMEOUT = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseUrl:
    """
    What a URL asks for; empty = the environment (``PGUSER`` …) or a default decides.

    ``addresses`` are tried in order, or ``shuffled``. ``tls`` is what asyncpg takes in a URL only.
    ``connect_timeout`` is seconds for each address. ``ignored`` names parameters without effect.
    """

    addresses: tuple[tuple[str, int], ...] = ()
    port: int | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    database: str | None = None
    tls: str | None = field(default=None, repr=False)
    passfile: str | None = None
    target_session_attrs: str | None = None
    shuffled: bool = False
    connect_timeout: float | None = None
    application_name: str | None = None
    options: tuple[tuple[str, str], ...] = ()
    krbsrvname: str | None = None
    gsslib: str | None = None
    ignored: tuple[str, ...] = ()


@lru_cache(maxsize=16)
def parse_database_url(url: str) -> DatabaseUrl:
    """Read ``postgresql://…`` or SQLAlchemy's ``postgresql+DRIVER://…``; ``DatabaseUrlError``."""
    given = with_service(dict(canonical(*pair) for pair in _given(url).items() if pair[1]))
    for name, value in given.items():
        checked(name, value)
    ports = _ports(given.get("port"))
    timeout = float(given.get("connect_timeout", 0))
    tls = {name: given[name] for name in TLS if name in given}
    return DatabaseUrl(
        addresses=tuple(_addresses(given, ports)),
        port=ports[0] if ports else None,
        user=given.get("user"),
        password=given.get("password"),
        database=given.get("dbname"),
        tls=f"postgresql:?{urlencode(tls, quote_via=quote)}" if tls else None,
        passfile=given.get("passfile"),
        target_session_attrs=given.get("target_session_attrs"),
        shuffled=given.get("load_balance_hosts") == "random",
        connect_timeout=max(timeout, _SHORTEST_TIMEOUT) if timeout > 0 else None,
        application_name=given.get("application_name"),
        options=parse_options(given.get("options", "")),
        krbsrvname=given.get("krbsrvname"),
        gsslib=given.get("gsslib"),
        ignored=tuple(sorted(IGNORED & given.keys())),
    )


def shows_secret(url: str) -> bool:
    """Whether a valid URL holds a password itself, and not the name of a file or service."""
    return any(canonical(*pair)[0] in SECRETS for pair in _given(url).items() if pair[1])


def conninfo(url: str) -> tuple[str, str | None]:
    """
    Write a URL as libpq's keywords, for programs such as psql, and take its password out.

    Every user of a machine sees command lines; the password goes into the environment. A service is
    read here: libpq does not take the name of its file everywhere that we do.
    """
    given = with_service(dict(canonical(*pair) for pair in _given(url).items() if pair[1]))
    password = given.pop("password", None)
    escaped = {name: value.replace("\\", "\\\\").replace("'", "\\'") for name, value in given.items()}
    return " ".join(f"{name}='{value}'" for name, value in escaped.items()), password


def _given(url: str) -> dict[str, str]:
    """Split a URL into libpq's keywords; the query overrides what is before it."""
    scheme = _SCHEME.match(url)
    if scheme is None:
        raise DatabaseUrlError("not a URL of PostgreSQL", EXPECTED)
    found: dict[str, str] = {}
    rest = url[scheme.end() :]
    # Nothing is special in a password but what ends it: '#' and '?' are not.
    login, at, after = rest.partition("@")
    if at and "/" not in login:
        user, _, password = login.partition(":")
        found |= {"user": _decoded(user, "user"), "password": _decoded(password, "password")}
        rest = after
    front, _, query = rest.partition("?")
    hosts, _, database = front.partition("/")
    found["dbname"] = _decoded(database, "database")
    found |= _host_list(hosts)
    return found | _query(query)


def _host_list(text: str) -> dict[str, str]:
    hosts, ports = [], []
    for part in text.split(","):
        match = _HOST.fullmatch(part)
        if match is None or match["ipv6"] == "":
            raise DatabaseUrlError(
                "a host is malformed",
                "write HOST, HOST:PORT or [IPV6]:PORT, several with commas, and '/' in a password as %2F",
            )
        hosts.append(_decoded(match["ipv6"] or match["host"] or "", "host"))
        ports.append(_decoded(match["port6"] or match["port"] or "", "port"))
    return {"host": ",".join(hosts) if any(hosts) else "", "port": ",".join(ports) if any(ports) else ""}


def _query(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in text.split("&") if text else ():
        raw, equals, value = pair.partition("=")
        name = _decoded(raw, "name of a parameter")
        if not _PARAMETER_NAME.fullmatch(name):
            raise DatabaseUrlError(
                "the name of a parameter is malformed", "write '?' and '/' in a password as %3F and %2F"
            )
        if not equals or "=" in value:
            raise DatabaseUrlError(
                f"parameter {name!r} is not written NAME=VALUE", "write '=' in values as %3D"
            )
        if name in found:
            raise DatabaseUrlError(
                f"parameter {name!r} is there twice", "write it once, several hosts with commas"
            )
        found[name] = _decoded(value, f"value of {name}")
    return found


def _decoded(text: str, what: str) -> str:
    if _BAD_ESCAPE.search(text):
        raise DatabaseUrlError(f"the {what} holds a '%' that begins no escape", "write '%' as %25")
    try:
        decoded = unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise DatabaseUrlError(f"the {what} is not UTF-8", "escape its characters in UTF-8") from None
    if "\0" in decoded:
        raise DatabaseUrlError(f"the {what} holds %00", "leave it out")
    return decoded


def _ports(text: str | None) -> tuple[int | None, ...]:
    """Read the list of ports; None in it = the default."""
    ports: list[int | None] = []
    for port in text.split(",") if text else ():
        if port and not (port.isascii() and port.isdigit() and 1 <= int(port) <= LARGEST_PORT):
            # It may be a part of a password that holds a '/', so it is not shown.
            raise DatabaseUrlError(
                f"a port is not a number from 1 to {LARGEST_PORT}",
                "correct it, and write '/' in a password as %2F",
            )
        ports.append(int(port) if port else None)
    return tuple(ports)


def _addresses(given: Mapping[str, str], ports: tuple[int | None, ...]) -> Iterator[tuple[str, int]]:
    hosts = _hosts(given)
    if len(ports) == 1:
        ports *= len(hosts) or 1
    if hosts and ports and len(ports) != len(hosts):
        raise DatabaseUrlError(
            f"{len(ports)} ports do not go with {len(hosts)} hosts", "give one port, or one for each host"
        )
    for place, host in enumerate(hosts):
        yield host, (ports[place] if ports else None) or default_port()


def _hosts(given: Mapping[str, str]) -> list[str]:
    if "host" in given and "hostaddr" in given:
        raise DatabaseUrlError("host and hostaddr are both there", "give one of them")
    text = given.get("host") or given.get("hostaddr")
    hosts = text.split(",") if text else []
    for place, host in enumerate(hosts, start=1):
        if not host:
            raise DatabaseUrlError(
                f"host {place} of {len(hosts)} is empty", "name it: localhost, or a folder"
            )
        if host.startswith("@"):
            raise DatabaseUrlError(
                f"{host!r} is an abstract Unix socket", "let the server listen in a folder or at a port"
            )
    return hosts


def parse_options(text: str) -> tuple[tuple[str, str], ...]:
    """Read ``-c name=value`` and ``--name=value``; ``DatabaseUrlError`` for anything else."""
    words = [re.sub(r"\\(.)", r"\1", word, flags=re.DOTALL) for word in _OPTION_WORD.findall(text)]
    found = []
    while words:
        word = words.pop(0)
        if word == "-c" and words:
            assignment = words.pop(0)
        elif word.startswith(("-c", "--")):
            assignment = word[2:]
        else:
            raise DatabaseUrlError(f"{word!r} in options is no setting", _OPTION_ADVICE)
        found.append(_setting(assignment))
    return tuple(found)


def _setting(assignment: str) -> tuple[str, str]:
    name, equals, value = assignment.partition("=")
    name = name.replace("-", "_")
    if not equals or not _OPTION_NAME.fullmatch(name):
        raise DatabaseUrlError(f"{assignment!r} in options is no setting", _OPTION_ADVICE)
    return name, value
