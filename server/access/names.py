"""Names in client certificates and in the header by which proxies pass them on; names of hosts."""

import re
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_address
from itertools import chain
from typing import NamedTuple

from server.access.grants import Identity
from server.domain.errors import UnauthenticatedError

MAX_NAME_LENGTH = 255
MAX_FORWARDED_BYTES = 16 * 1024
_SPIFFE = "spiffe://"
# https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md: no user, port, query, fragment.
_SPIFFE_ID = re.compile(r"spiffe://[a-z0-9._-]+(?P<path>(?:/[A-Za-z0-9._-]+)*)", re.ASCII)
_DNS_NAME = re.compile(
    r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*", re.ASCII
)
# A pair of an element. In a quoted value a backslash escapes quotes; it stays, see _common_names.
_PAIR = re.compile(
    r'(?P<key>[A-Za-z]+)=(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^",;\s]*))(?P<end>[,;] *|\Z)', re.ASCII
)


def is_spiffe_id(name: str) -> bool:
    """Whether a text is a SPIFFE ID, of at most ``MAX_NAME_LENGTH`` characters."""
    found = _SPIFFE_ID.fullmatch(name) if len(name) <= MAX_NAME_LENGTH else None
    return found is not None and not {".", ".."} & set(found["path"].split("/"))


def is_dns_name(name: str) -> bool:
    """Whether a text is a DNS name in lower case, without wildcard and trailing dot."""
    return len(name) <= MAX_NAME_LENGTH and _DNS_NAME.fullmatch(name) is not None


def is_loopback(host: str) -> bool:
    """Whether the host of a URL is this one, by its address or as ``localhost``."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_plain_name(name: str) -> bool:
    """Whether people can read a name as it is, and it fits where names are kept."""
    return 0 < len(name) <= MAX_NAME_LENGTH and name.isprintable() and name == name.strip()


class _Names(NamedTuple):
    """What a certificate calls its owner; the first DNS name counts, common names only without."""

    uris: Sequence[str]
    dns_names: Sequence[str]
    common_names: Iterable[str]


def certificate_identity(pem: bytes) -> Identity:
    """
    Read who a certificate stands for: its SPIFFE ID, else its DNS name, else its common name.

    A name that only resembles one of these counts for nothing, and no weaker name takes its place.
    The certificate has passed the handshake; its end is the identity's. gRPC's own list of names is
    of no use: it does not tell the kinds apart, and cuts names at a NUL. Raises
    ``UnauthenticatedError``.
    """
    # Imported late: it takes a tenth of a second, and most servers see no certificate.
    from cryptography import x509  # noqa: PLC0415

    try:
        certificate = x509.load_pem_x509_certificate(pem)
        common_names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        try:
            found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            found = x509.SubjectAlternativeName(())
        names = _Names(
            found.get_values_for_type(x509.UniformResourceIdentifier),
            found.get_values_for_type(x509.DNSName),
            [str(each.value) for each in common_names],
        )
    except (ValueError, x509.InvalidVersion, x509.UnsupportedGeneralNameType, x509.DuplicateExtension):
        raise UnauthenticatedError("the client certificate can't be read") from None
    return _identity(names, certificate.not_valid_after_utc.timestamp())


def forwarded_identity(header: str) -> Identity:
    """
    Read whom a proxy vouches for: the last element of its header, which the proxy itself has added.

    All of the header must be well-formed, so that no quote of an earlier element swallows the last.
    Raises ``UnauthenticatedError``.
    """
    if len(header) > MAX_FORWARDED_BYTES:
        raise _malformed("is too long")
    last: list[tuple[str, str]] = []
    for key, value, begins in _pairs(header):
        if begins:
            last = []
        last.append((key.lower(), value))
    subjects = [value for key, value in last if key == "subject"]
    return _identity(
        _Names(
            [value for key, value in last if key == "uri" and value],
            [value for key, value in last if key == "dns" and value],
            chain.from_iterable(map(_common_names, subjects)),
        ),
        None,
    )


def _pairs(header: str) -> Iterator[tuple[str, str, bool]]:
    """Yield key, value, and whether an element begins with the pair."""
    position, begins = 0, True
    while True:
        found = _PAIR.match(header, position)
        if found is None:
            raise _malformed("is not in the form that Envoy writes")
        yield found["key"], found["quoted"] or found["plain"] or "", begins
        if not found["end"]:
            return
        begins = found["end"].startswith(",")
        position = found.end()


def _common_names(subject: str) -> Iterator[str]:
    """
    Find the common names in a subject as RFC 2253 writes it.

    It may have no escapes: the proxy's and RFC 2253's look alike, so that an escaped comma could
    pass for one that begins a common name.
    """
    if "\\" in subject:
        raise _malformed("has a Subject with escaped characters")
    for part in subject.replace("+", ",").split(","):
        key, _, value = part.strip().partition("=")
        if key.upper() == "CN":
            yield value


def _identity(names: _Names, expires_at: float | None) -> Identity:
    if any(uri.lower().startswith(_SPIFFE[:-2]) for uri in names.uris):
        if len(names.uris) > 1 or not is_spiffe_id(names.uris[0]):
            raise UnauthenticatedError(
                "the client certificate must have one URI, a SPIFFE ID such as spiffe://example.org/shop"
            )
        return Identity("spiffe_id", names.uris[0], expires_at)
    if names.dns_names:
        if not is_dns_name(names.dns_names[0]):
            raise UnauthenticatedError(
                "the client certificate's first DNS name must be in lower case, no wildcard, no final dot"
            )
        return Identity("dns_name", names.dns_names[0], expires_at)
    common_names = list(names.common_names)
    if len(common_names) != 1:
        raise UnauthenticatedError("the client certificate has no SPIFFE ID, DNS name or single common name")
    (name,) = common_names
    if not is_plain_name(name) or ":" in name:
        raise UnauthenticatedError("the common name of the client certificate is not usable")
    return Identity("common_name", name, expires_at)


def _malformed(why: str) -> UnauthenticatedError:
    return UnauthenticatedError(f"the header x-forwarded-client-cert {why}")
