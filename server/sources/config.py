"""The sources file: TOML that says what to pull from where. docs/connect.md describes it."""

import glob
import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from server.access.names import is_loopback
from server.domain.dependencies import DISCOVERY_SOURCES, DiscoverySource
from server.domain.services import name_problem
from server.domain.tables import Table, WrongError, is_text
from server.formats.naming import NameRules, has_attribute, rewrite_of
from server.sources.source import (
    KINDS,
    PROFILES,
    SERVICEGRAPH_METRIC,
    Credentials,
    Profile,
    Source,
    SourceKind,
)

_DISCOVERY: Mapping[SourceKind, DiscoverySource] = {
    "prometheus": "otel_service_graph",
    "jaeger": "otel_service_graph",
    "zipkin": "otel_service_graph",
    "kiali": "service_mesh",
    "backstage": "catalog",
    "kubernetes": "kubernetes",
}
_MINUTE = timedelta(minutes=1)
_EVERY = {"prometheus": _MINUTE, "kubernetes": _MINUTE, "file": _MINUTE, "backstage": 15 * _MINUTE}
_EVERY_OTHER = 5 * _MINUTE
# Jaeger and Zipkin compute dependencies of stored traces once a day.
_LONG_WINDOW = timedelta(days=1)
_SHORT_WINDOW = 5 * _MINUTE

# What exporters send comes when they like.
_RECEIVED: Mapping[str, Any] = {
    "discovery_source": "otel_service_graph",
    "every": timedelta(0),
    "window": timedelta(0),
}

_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie"})
_CREDENTIAL_KEYS = ("token_file", "token_env", "password_file", "password_env")


class SourcesFileError(ValueError):
    """The sources file can't be used; the message names file, source and key."""


def load_sources(path: Path) -> tuple[Source, ...]:
    """Read and check a sources file; returns what is pulled. Raises ``SourcesFileError``."""
    return tuple(source for source in _load(path) if source.kind != "otlp")


def load_receiver(path: Path) -> Source | None:
    """Read and check a sources file; returns the source of kind ``otlp``, if there is one."""
    return next((source for source in _load(path) if source.kind == "otlp"), None)


def _load(path: Path) -> tuple[Source, ...]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SourcesFileError(f"{path}: {error.strerror or error}") from None
    return read_sources(content, path)


def read_sources(content: bytes, path: Path) -> tuple[Source, ...]:
    """Read and check the content of a sources file; raises ``SourcesFileError``."""
    try:
        document = tomllib.loads(content.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SourcesFileError(f"{path}: this is no TOML: {error}") from None
    try:
        return tuple(_sources(document, path.absolute().parent))
    except WrongError as error:
        raise SourcesFileError(f"{path}: {error}") from None


def _sources(document: Mapping[str, Any], folder: Path) -> Iterator[Source]:
    whole = Table("", document)
    tables = whole.tables("source")
    whole.done()
    if not tables:
        raise WrongError("has no source: give each as a table under [[source]]")
    names: set[str] = set()
    receives = False
    for table in tables:
        source = _source(table, folder)
        if source.name in names:
            raise table.wrong("name", "another source has it, too")
        if source.kind == "otlp" and receives:
            raise table.wrong("kind", "another source is of kind otlp, too: there is one receiver")
        receives = receives or source.kind == "otlp"
        names.add(source.name)
        yield source


def _source(table: Table, folder: Path) -> Source:
    name = table.text("name", "the name of the reporter")
    if problem := name_problem(name):
        raise table.wrong("name", problem)
    table.where = f"source {name!r}"
    kind = cast("SourceKind", table.word("kind", KINDS))
    if kind == "otlp":
        own = _RECEIVED
    else:
        every = table.duration("every", _EVERY.get(kind, _EVERY_OTHER))
        read = _read_files if kind in {"kubernetes", "file"} or not table.has("url") else _read_url
        own = {"every": every, **read(table, kind, folder, every)}
    source = Source(
        name=name,
        kind=kind,
        names=_names(table),
        confidence=_confidence(table),
        **own,
    )
    table.done()
    return source


def _read_files(table: Table, kind: SourceKind, folder: Path, every: timedelta) -> dict[str, Any]:
    """Take what says which files to read."""
    if kind not in {"kubernetes", "file", "backstage"}:
        table.text("url", "the address, such as https://HOST")
    paths = table.texts("path", "a path or a list of paths, which may have * and **")
    if not paths:
        raise table.wrong("path" if kind != "backstage" else "", "is missing: give a path of files")
    source = _DISCOVERY.get(kind) or table.word("discovery_source", DISCOVERY_SOURCES)
    absolute = tuple(str(Path(glob.escape(str(folder))) / path) for path in paths)
    return {"paths": absolute, "discovery_source": source, "window": every}


def _read_url(table: Table, kind: SourceKind, folder: Path, every: timedelta) -> dict[str, Any]:
    """Take what says where and how to ask over HTTP."""
    url = _url(table)
    profile = (
        cast("Profile", table.word("profile", PROFILES, "servicegraph")) if kind == "prometheus" else None
    )
    credentials = _credentials(table, folder)
    certificate, key = _file(table, "client_cert", folder), _file(table, "client_key", folder)
    if (certificate is None) != (key is None):
        raise table.wrong("client_cert", "client_cert and client_key are given together or not at all")
    _check_secrecy(table, url, has_secret=credentials is not None or certificate is not None)
    own: dict[str, Any] = {
        "url": url,
        "discovery_source": "service_mesh" if profile == "istio" else _DISCOVERY[kind],
        "window": every,
        "timeout": table.duration("timeout", timedelta(seconds=30)),
        "credentials": credentials,
        "headers": _headers(table),
        "ca_file": _file(table, "ca_file", folder),
        "client_cert": certificate,
        "client_key": key,
    }
    if kind != "backstage":
        own["window"] = table.duration("window", _default_window(kind, every))
    if kind == "kiali":
        own["namespaces"] = table.texts("namespaces", "a list of namespaces")
    if profile is not None:
        own["profile"] = profile
    if profile == "servicegraph":
        own["metric"] = table.text("metric", "the name of a counter", SERVICEGRAPH_METRIC)
        if not _METRIC.fullmatch(own["metric"]):
            raise table.wrong("metric", f"{own['metric']!r} is no name of a metric")
    return own


def _check_secrecy(table: Table, url: str, *, has_secret: bool) -> None:
    """Refuse an address at which others could read what proves who asks, unless that is allowed."""
    is_allowed = table.has("plaintext_credentials") and table.take(
        "plaintext_credentials", bool, "true or false"
    )
    parts = urlsplit(url)
    is_readable = parts.scheme == "http" and not is_loopback(parts.hostname or "")
    if has_secret and is_readable and not is_allowed:
        raise table.wrong(
            "url", "credentials would be sent without TLS: use https://, or set plaintext_credentials = true"
        )


def _default_window(kind: SourceKind, every: timedelta) -> timedelta:
    return _LONG_WINDOW if kind in {"jaeger", "zipkin"} else max(2 * every, _SHORT_WINDOW)


def _url(table: Table) -> str:
    url = table.text("url", "the address, such as https://HOST")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise table.wrong("url", f"is no URL: {error}") from None
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        raise table.wrong("url", "must be https://HOST[:PORT][/PATH] or http://HOST[:PORT][/PATH]")
    if parts.username is not None or parts.password is not None:
        raise table.wrong("url", "must not have a user: give user, and password_file or password_env")
    if parts.query or parts.fragment:
        raise table.wrong("url", "must not have a query (?) or a fragment (#)")
    return url.rstrip("/")


def _file(table: Table, key: str, folder: Path) -> Path | None:
    if not table.has(key):
        return None
    path = folder / table.text(key, "a path")
    if not path.is_file():
        raise table.wrong(key, f"there is no file {path}")
    return path


def _credentials(table: Table, folder: Path) -> Credentials | None:
    for key in ("token", "password"):
        if table.has(key):
            raise table.wrong(key, f"secrets don't belong here: give {key}_file or {key}_env")
    given = [key for key in _CREDENTIAL_KEYS if table.has(key)]
    if len(given) > 1:
        raise table.wrong(given[1], f"{given[0]} is there, too: give one of them")
    has_password = bool(given) and given[0].startswith("password")
    user = table.text("user", "the name of the user") if table.has("user") else ""
    if bool(user) != has_password:
        raise table.wrong("user", "user and password_file or password_env are given together")
    if not given:
        return None
    if given[0].endswith("_file"):
        return Credentials(user=user, file=_file(table, given[0], folder))
    variable = table.text(given[0], "the name of an environment variable")
    if not _VARIABLE.fullmatch(variable):
        raise table.wrong(given[0], "must be the name of an environment variable")
    return Credentials(user=user, variable=variable)


def _headers(table: Table) -> dict[str, str]:
    if not table.has("headers"):
        return {}
    headers = table.take("headers", dict, "a table of headers with their values")
    for name, value in headers.items():
        if not _HEADER.fullmatch(name) or not is_text(value) or not (value.isascii() and value.isprintable()):
            raise table.wrong(f"headers.{name}", "must be a header with a printable text as its value")
        if name.lower() in _SECRET_HEADERS:
            raise table.wrong(f"headers.{name}", "secrets don't belong here: give token_file or token_env")
    return headers


def _confidence(table: Table) -> float | None:
    if not table.has("confidence"):
        return None
    value = table.take("confidence", float, "a number from 0 to 1, such as 0.8")
    if not 0 <= value <= 1:
        raise table.wrong("confidence", "must be a number from 0 to 1")
    return value


def _names(table: Table) -> NameRules:
    if not table.has("names"):
        return NameRules()
    rules = Table(f"{table.where}: names", table.take("names", dict, "a table"))
    template = rules.text("template", 'a template such as "{namespace}/{service}"', NameRules().template)
    if not has_attribute(template):
        raise rules.wrong("template", "has no attribute in braces: every service would have one name")
    rewrites: tuple[Any, ...] = ()
    if rules.has("rewrites"):
        listed = rules.take("rewrites", list, 'a list of ["PATTERN", "REPLACEMENT"]')
        rewrites = tuple(_rewrite(rules, number, each) for number, each in enumerate(listed, 1))
    rules.done()
    return NameRules(template, rewrites)


def _rewrite(rules: Table, number: int, rewrite: Any) -> tuple[re.Pattern[str], str]:
    place = f"rewrites, number {number}"
    match rewrite:
        case [str(pattern), str(replacement)]:
            try:
                return rewrite_of(pattern, replacement)
            except ValueError as error:
                raise rules.wrong(place, f"is no regular expression with a replacement: {error}") from None
    raise rules.wrong(place, 'must be ["PATTERN", "REPLACEMENT"]')
