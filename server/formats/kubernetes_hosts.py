"""Hosts in texts, and the Services that they mean inside a cluster."""

import re
from collections.abc import Iterator

from server.formats.prometheus import is_address

_HOST = re.compile(
    r"(?<![\w.%$-])(?P<host>[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*\.?)"
    r":(?P<port>[0-9]{1,5})(?![\w@.-])"
)
_URL = re.compile(r"://(?:[^\s/@]{0,255}@)?(?P<host>[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)(?=[/?#\s,]|$)")
_INSIDE = re.compile(r"(?P<name>.+)\.svc(?:\..*)?")
_OWN_HOSTS = ("localhost", "0.0.0.0")  # noqa: S104  # recognised, not bound
_MOST_LENGTH = 100_000
_MOST_PORT = 65_535


def hosts_in(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the hosts in a text, and whether a port shows that they are hosts. O(text)."""
    text = text[:_MOST_LENGTH]
    for found in _HOST.finditer(text):
        host = found["host"].rstrip(".")
        is_host = is_address(host) or any(letter.isalpha() for letter in host)
        is_own = host in _OWN_HOSTS or host.startswith("127.")
        if is_host and not is_own and 0 < int(found["port"]) <= _MOST_PORT:
            yield host, True
    for found in _URL.finditer(text):
        if found["host"] not in _OWN_HOSTS:
            yield found["host"], False


def meanings_of(host: str, namespace: str) -> Iterator[tuple[str, str]]:
    """
    Yield what a host in a namespace may mean: name and namespace of a Service, likeliest first.

    A host may begin with the name of a pod, where the Service is headless.
    """
    inside = _INSIDE.fullmatch(host)
    match (inside["name"] if inside else host).split("."):
        case [*_, name, space] if inside:
            yield name, space
        case [name]:
            yield name, namespace
        case [first, second]:
            yield first, second
            yield second, namespace
        case [_, name, space]:
            yield name, space
        case _:
            pass


def outside_name(host: str, namespace: str) -> tuple[str, str]:
    """Return name and namespace of a callee that is no Service of the file, as others call it."""
    is_named = is_inside(host) or "." not in host
    return next(meanings_of(host, namespace)) if is_named and host else (host, "")


def is_inside(host: str) -> bool:
    """Whether the host says itself that it is a Service: ``name.namespace.svc``, or longer."""
    return _INSIDE.fullmatch(host) is not None
