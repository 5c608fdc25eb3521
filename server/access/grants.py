"""What the auth file says: tokens, issuers, and grants, which make callers of identities."""

import hmac
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from server.domain.caller import Caller, Role
from server.domain.dependencies import DISCOVERY_SOURCES, DiscoverySource
from server.domain.errors import UnauthenticatedError

IdentityKind = Literal["spiffe_id", "dns_name", "common_name", "subject"]
ANY_SUBJECT = "*"
WILDCARD = "/*"


@dataclass(frozen=True, slots=True)
class Identity:
    """
    Who a client certificate or a JWT stands for.

    The same name of another kind, or by another issuer, is another identity. ``issuer`` and
    ``claims`` are a JWT's. ``expires_at``: seconds since 1970, None = unknown.
    """

    kind: IdentityKind
    name: str
    expires_at: float | None = None
    issuer: str = ""
    claims: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Permissions:
    """Roles, and the discovery sources that an ingester may report for."""

    roles: frozenset[Role] = frozenset()
    discovery_sources: frozenset[DiscoverySource] = frozenset()

    def caller(self, principal: str, expires_at: float | None) -> Caller:
        """Make the caller of a name that has these permissions."""
        sources = frozenset(DISCOVERY_SOURCES) if "admin" in self.roles else self.discovery_sources
        return Caller(principal, self.roles, sources, expires_at)


@dataclass(frozen=True, slots=True)
class Grant:
    """
    Permissions of the identities of one kind and issuer that have a name or hold claims.

    ``name`` is exact, but a SPIFFE ID may end in ``/*``, and a subject may be ``*``. None =
    ``claims`` decide.
    """

    permissions: Permissions
    kind: IdentityKind
    name: str | None = None
    issuer: str = ""
    claims: Mapping[str, Any] = field(default_factory=dict)

    def matches(self, identity: Identity) -> bool:
        """Whether the permissions are this identity's."""
        if (identity.kind, identity.issuer) != (self.kind, self.issuer):
            return False
        if self.name is None:
            return bool(self.claims) and _holds(identity.claims, self.claims)
        if self.kind == "subject" and self.name == ANY_SUBJECT:
            return True
        if self.kind == "spiffe_id" and self.name.endswith(WILDCARD):
            return identity.name.startswith(self.name.removesuffix("*"))
        return identity.name == self.name


@dataclass(frozen=True, slots=True)
class StaticToken:
    """A token of the auth file, by the SHA-256 of its text."""

    name: str
    digest: bytes = field(repr=False)
    permissions: Permissions
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class Issuer:
    """An issuer of JWTs; its keys are in the file or at the URL ``keys_at``."""

    name: str
    audience: str
    algorithms: tuple[str, ...]
    keys_at: str
    principal_claim: str = "sub"

    @property
    def has_url(self) -> bool:
        """Whether the keys are fetched."""
        return self.keys_at.startswith(("https://", "http://"))


class KeySource(Protocol):
    """Where the keys of an issuer come from; may be used on any thread."""

    @property
    def value(self) -> Mapping[str, Any]:
        """The keys by their ids, another object for each version."""

    @property
    def problem(self) -> str:
        """Why the keys may be out of date, a sentence for people; empty = they are not."""

    def look(self) -> None:
        """Bring the keys up to date; may block for seconds."""


class UnknownKeyError(UnauthenticatedError):
    """A token names a key that its issuer did not have when its keys were read."""

    def __init__(self, keys: KeySource) -> None:
        super().__init__("the token is signed by a key (kid) that its issuer does not publish")
        self.keys = keys


@dataclass(frozen=True, slots=True)
class AuthFile:
    """One version of the auth file, valid as a whole."""

    issuers: Mapping[str, Issuer] = field(default_factory=dict)
    tokens: Sequence[StaticToken] = ()
    grants: Sequence[Grant] = ()

    def caller(self, identity: Identity) -> Caller:
        """Make the caller of an identity; grants that match add up, none = it has no roles."""
        matching = [grant.permissions for grant in self.grants if grant.matches(identity)]
        permissions = Permissions(
            frozenset[Role]().union(*(each.roles for each in matching)),
            frozenset[DiscoverySource]().union(*(each.discovery_sources for each in matching)),
        )
        return permissions.caller(identity.name, identity.expires_at)

    def token_caller(self, digest: bytes) -> Caller | None:
        """Make the caller of a static token by its SHA-256; None = no token has it."""
        found = None
        # All of them are compared, so that time does not tell which one is close.
        for token in self.tokens:
            if hmac.compare_digest(token.digest, digest):
                found = token
        return None if found is None else found.permissions.caller(found.name, found.expires_at)

    def problems(self) -> tuple[str, ...]:
        """Name the static tokens that have expired, for operators."""
        now = time.time()
        return tuple(
            f"the static token {token.name!r} of the auth file has expired: replace or remove it"
            for token in self.tokens
            if token.expires_at is not None and token.expires_at <= now
        )


def refuse_expired(caller: Caller, now: float) -> None:
    """Raise ``UnauthenticatedError`` for a caller whose credential has expired."""
    if caller.expires_at is not None and caller.expires_at <= now:
        raise UnauthenticatedError("the credential has expired: get a new one")


def _holds(actual: Any, wanted: Any) -> bool:
    """Whether a claim is a value, or a list with it; in tables, every wanted key must hold."""
    if isinstance(wanted, Mapping):
        return isinstance(actual, Mapping) and all(
            key in actual and _holds(actual[key], value) for key, value in wanted.items()
        )
    if isinstance(actual, list):
        return any(type(each) is type(wanted) and each == wanted for each in actual)
    return type(actual) is type(wanted) and bool(actual == wanted)
