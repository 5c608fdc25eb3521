"""Reading the auth file: TOML that says who may do what. docs/security.md describes it."""

import re
import stat
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from server.access.grants import (
    ANY_SUBJECT,
    WILDCARD,
    AuthFile,
    Grant,
    IdentityKind,
    Issuer,
    Permissions,
    StaticToken,
)
from server.access.names import MAX_NAME_LENGTH, is_dns_name, is_loopback, is_plain_name, is_spiffe_id
from server.access.reloading import NamedFile
from server.domain.caller import ROLES, Role
from server.domain.dependencies import DISCOVERY_SOURCES, DiscoverySource
from server.domain.tables import Table, WrongError

# Asymmetric ones only: whoever can check a token of the others can make one.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)
_EMPTY = sha256(b"").digest()
_CERTIFICATE_KINDS: tuple[IdentityKind, ...] = ("spiffe_id", "dns_name", "common_name")


def read_auth_file(content: bytes, file: NamedFile) -> AuthFile:
    """Read and check a version of the file; raises ``UnusableFileError`` naming table and key."""
    try:
        document = tomllib.loads(content.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise file.unusable(f"this is no TOML: {error}") from None
    try:
        return _read(Table("", document), file.path.parent)
    except WrongError as error:
        raise file.unusable(str(error)) from None


def warnings_about(content: AuthFile, file: NamedFile) -> Iterator[str]:
    """Say what is probably wrong with a file that can be used."""
    if not content.tokens and not content.grants:
        yield f"{file} grants nothing: all calls but those of health are refused"
    with suppress(OSError):
        if file.path.stat().st_mode & stat.S_IWOTH:
            yield f"{file}: every user of this machine may write to it: chmod o-w"


def _read(document: Table, folder: Path) -> AuthFile:
    issuers: dict[str, Issuer] = {}
    for table in document.tables("jwt"):
        issuer = _issuer(table, folder)
        if issuer.name in issuers:
            raise table.wrong("issuer", f"{issuer.name!r} is there twice")
        issuers[issuer.name] = issuer
    tokens: list[StaticToken] = []
    for table in document.tables("token"):
        token = _token(table)
        if any(token.name == other.name for other in tokens):
            raise table.wrong("name", f"{token.name!r} is there twice")
        if any(token.digest == other.digest for other in tokens):
            raise table.wrong("sha256", "is another token's, too")
        tokens.append(token)
    grants = [_grant(table, issuers) for table in document.tables("grant")]
    document.done()
    return AuthFile(issuers, tuple(tokens), tuple(grants))


def _issuer(table: Table, folder: Path) -> Issuer:
    name = table.text("issuer", "the text of the claim iss")
    audience = table.text("audience", "the text that the claim aud holds")
    algorithms = tuple(table.words("algorithms", ALGORITHMS))
    if table.has("jwks_file") == table.has("jwks_url"):
        raise table.wrong("", "give either jwks_file or jwks_url")
    if table.has("jwks_file"):
        keys_at = str(folder / table.text("jwks_file", "a path"))
    else:
        keys_at = _checked_url(table, table.text("jwks_url", "a URL"))
    claim = table.text("principal_claim", "the name of a claim") if table.has("principal_claim") else "sub"
    table.done()
    return Issuer(name, audience, algorithms, keys_at, claim)


def _checked_url(table: Table, url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise table.wrong("jwks_url", f"is no URL: {error}") from None
    if parts.scheme not in {"https", "http"} or not parts.hostname or parts.username or parts.fragment:
        raise table.wrong("jwks_url", "must be https://HOST/PATH without a user")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise table.wrong("jwks_url", "must begin with https://: http:// is for loopback addresses only")
    return url


def _token(table: Table) -> StaticToken:
    name = table.text("name", "the name of its bearer")
    if not is_plain_name(name):
        raise table.wrong("name", f"must be printable, at most {MAX_NAME_LENGTH} characters")
    digest = table.text("sha256", "the SHA-256 of the token, 64 hexadecimal digits")
    if not _SHA256.fullmatch(digest):
        raise table.wrong("sha256", "must be the SHA-256 of the token, 64 hexadecimal digits")
    if bytes.fromhex(digest) == _EMPTY:
        raise table.wrong("sha256", "is that of no token at all, the empty text")
    expires_at = None
    if table.has("expires"):
        expires = table.take("expires", datetime, "a time with its offset, such as 2030-01-31T00:00:00Z")
        if expires.tzinfo is None:
            raise table.wrong("expires", "needs an offset: 2030-01-31T00:00:00Z is in UTC")
        expires_at = expires.timestamp()
    permissions = _permissions(table)
    table.done()
    return StaticToken(name, bytes.fromhex(digest), permissions, expires_at)


def _grant(table: Table, issuers: Mapping[str, Issuer]) -> Grant:
    kinds = [kind for kind in _CERTIFICATE_KINDS if table.has(kind)]
    if len(kinds) + table.has("issuer") != 1:
        raise table.wrong("", f"give one of {', '.join(_CERTIFICATE_KINDS)}, or issuer")
    if table.has("issuer"):
        return _jwt_grant(table, issuers)
    (kind,) = kinds
    name = table.text(kind, "a name")
    if not _NAME_CHECKS[kind](name):
        raise table.wrong(kind, f"{name!r} is none{_HINTS[kind]}")
    permissions = _permissions(table)
    table.done()
    return Grant(permissions, kind, name)


def _jwt_grant(table: Table, issuers: Mapping[str, Issuer]) -> Grant:
    issuer = table.text("issuer", "the issuer of a [[jwt]]")
    if issuer not in issuers:
        raise table.wrong("issuer", f"{issuer!r} is the issuer of no [[jwt]]")
    if table.has("subject") == table.has("claim"):
        raise table.wrong("", f'give either subject ("{ANY_SUBJECT}" = all of the issuer) or claim')
    name, claims = None, {}
    if table.has("subject"):
        name = table.text("subject", "a name")
    else:
        claims = table.take("claim", dict, "a table of claims with their values")
        _check_claims(table, claims)
    permissions = _permissions(table)
    table.done()
    return Grant(permissions, "subject", name, issuer, claims)


def _check_claims(table: Table, claims: Mapping[str, Any]) -> None:
    if not claims:
        raise table.wrong("claim", "is empty, which would hold for every token")
    for name, value in claims.items():
        if isinstance(value, dict):
            _check_claims(table, value)
        elif not isinstance(value, str | int):
            raise table.wrong("claim", f"{name!r} must be a text, a whole number, true or false")


def _permissions(table: Table) -> Permissions:
    roles = cast("list[Role]", table.words("roles", ROLES))
    sources: list[DiscoverySource] = []
    if "ingester" in roles:
        if not table.has("discovery_sources"):
            raise table.wrong("discovery_sources", "is missing: name those that the ingester reports for")
        sources = cast("list[DiscoverySource]", table.words("discovery_sources", DISCOVERY_SOURCES))
    elif table.has("discovery_sources"):
        raise table.wrong("discovery_sources", "is for the role ingester, which is not among the roles")
    return Permissions(frozenset(roles), frozenset(sources))


def _is_spiffe_pattern(name: str) -> bool:
    return is_spiffe_id(name.removesuffix(WILDCARD))


_NAME_CHECKS: Mapping[IdentityKind, Callable[[str], bool]] = {
    "spiffe_id": _is_spiffe_pattern,
    "dns_name": is_dns_name,
    "common_name": is_plain_name,
}
_HINTS: Mapping[IdentityKind, str] = {
    "spiffe_id": ": spiffe://TRUST-DOMAIN/PATH, which may end in /*",
    "dns_name": ": a whole name in lower case, without a wildcard",
    "common_name": f": printable, at most {MAX_NAME_LENGTH} characters",
}
