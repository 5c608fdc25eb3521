import datetime as dt
from collections.abc import Iterable, Sequence
from functools import lru_cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from server.access.grants import Identity
from server.access.names import certificate_identity, forwarded_identity, is_dns_name, is_spiffe_id
from server.domain.errors import UnauthenticatedError
from tests.support.issuer import ec_key

SHOP = "spiffe://example.org/ns/shop"
UNTIL = dt.datetime(2040, 1, 1, tzinfo=dt.UTC)
URI, DNS, MAIL = x509.UniformResourceIdentifier, x509.DNSName, x509.RFC822Name


@lru_cache
def certificate(
    common_names: Sequence[str], alternatives: Sequence[x509.GeneralName], encoded: bytes = b""
) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each) for each in common_names])
    builder = (
        x509.CertificateBuilder(name, name, ec_key().public_key(), 1)
        .not_valid_before(dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(UNTIL)
    )
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    if encoded:
        names = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, encoded)
        builder = builder.add_extension(names, critical=False)
    return builder.sign(ec_key(), hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def identity(common_names: Iterable[str] = (), *alternatives: x509.GeneralName) -> Identity:
    return certificate_identity(certificate(tuple(common_names), alternatives))


def test_a_spiffe_id_comes_before_a_dns_name_and_a_dns_name_before_a_common_name() -> None:
    until = UNTIL.timestamp()
    assert identity(["cn"], DNS("shop.example"), URI(SHOP)) == Identity("spiffe_id", SHOP, until)
    assert identity(["cn"], DNS("shop.example")) == Identity("dns_name", "shop.example", until)
    assert identity(["cn"]) == Identity("common_name", "cn", until)
    assert identity(["cn"], MAIL("a@example.org")) == Identity("common_name", "cn", until)
    assert identity([], URI("https://example.org"), DNS("shop")) == Identity("dns_name", "shop", until)


REFUSED: Sequence[tuple[Iterable[str], Sequence[x509.GeneralName]]] = (
    ([], ()),
    (["a", "b"], ()),
    ([SHOP], ()),
    ([" cn"], ()),
    (["c\0n"], ()),
    (["c\nn"], ()),
    (["cn"], [DNS(SHOP)]),
    (["cn"], [DNS("shop\0.example")]),
    (["cn"], [DNS("Shop.example")]),
    (["cn"], [DNS("shop.example.")]),
    (["cn"], [DNS("*.example")]),
    (["cn"], [URI(SHOP), URI("spiffe://example.org/other")]),
    (["cn"], [URI(SHOP), URI("https://example.org")]),
    (["cn"], [URI("SPIFFE://example.org/ns/shop"), DNS("shop")]),
    (["cn"], [URI("spiffe://Example.org/ns/shop")]),
    (["cn"], [URI(SHOP + "/")]),
    (["cn"], [URI(SHOP + "\0")]),
    (["cn"], [URI("spiffe:/example.org/ns/shop")]),
)


@pytest.mark.parametrize(("common_names", "alternatives"), REFUSED)
def test_a_name_that_only_looks_right_is_refused_and_no_weaker_one_takes_its_place(
    common_names: Iterable[str], alternatives: Sequence[x509.GeneralName]
) -> None:
    with pytest.raises(UnauthenticatedError):
        identity(common_names, *alternatives)


@pytest.mark.parametrize("encoded", ["ff", "3004a3020500", "3004a5020500"], ids=["broken", "x400", "edi"])
def test_names_of_a_kind_that_can_not_be_read_make_the_certificate_unusable(encoded: str) -> None:
    with pytest.raises(UnauthenticatedError, match="can't be read"):
        certificate_identity(certificate(("cn",), (), bytes.fromhex(encoded)))


def test_what_is_no_certificate_is_refused() -> None:
    with pytest.raises(UnauthenticatedError):
        certificate_identity(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")


@pytest.mark.parametrize(
    "name",
    [
        "spiffe://example.org",
        "spiffe://example.org/a/b.c_d-E",
        "spiffe://10.0.0.1/a",
    ],
)
def test_spiffe_ids(name: str) -> None:
    assert is_spiffe_id(name)


@pytest.mark.parametrize(
    "name",
    [
        "spiffe://",
        "spiffe:///a",
        "spiffe://example.org/",
        "spiffe://example.org//a",
        "spiffe://example.org/./a",
        "spiffe://example.org/a/..",
        "spiffe://example.org:1/a",
        "spiffe://user@example.org/a",
        "spiffe://example.org/a?b",
        "spiffe://example.org/a#b",
        "spiffe://example.org/%61",
        "spiffe://example.org/a\n",
        "https://example.org/a",
        "spiffe://example.org/" + "a" * 300,
    ],
)
def test_what_is_no_spiffe_id(name: str) -> None:
    assert not is_spiffe_id(name)


@pytest.mark.parametrize("name", ["", ".", "a.", ".a", "a..b", "-a", "a-", "A", "ä", "a b", "a\n", "a" * 256])
def test_what_is_no_dns_name(name: str) -> None:
    assert not is_dns_name(name)


FORWARDED = f'By=spiffe://example.org/proxy;Hash=ab12;Subject="O=Shop,CN=cn";URI={SHOP};DNS=shop.example'


@pytest.mark.parametrize(
    ("header", "kind", "name"),
    [
        (FORWARDED, "spiffe_id", SHOP),
        (f"Hash=1;URI=spiffe://example.org/admin,{FORWARDED}", "spiffe_id", SHOP),
        (f"Hash=1;URI=spiffe://example.org/admin, {FORWARDED}", "spiffe_id", SHOP),
        (f'Hash=1;Subject="a,URI=x;",{FORWARDED}', "spiffe_id", SHOP),
        (f'Subject="O=a\\"b",{FORWARDED}', "spiffe_id", SHOP),
        (f"hash=1;uri={SHOP}", "spiffe_id", SHOP),
        ("Hash=1;URI=;DNS=shop.example;DNS=other.example", "dns_name", "shop.example"),
        ('Hash=1;Subject="CN=cn,O=Shop";URI=', "common_name", "cn"),
        # Escapes are of no harm in a Subject that names nobody.
        (f'Hash=1;Subject="O=Shop\\, Inc.,CN=cn";URI={SHOP}', "spiffe_id", SHOP),
        ('Hash=1;Subject="O=a\\,CN=admin";DNS=shop', "dns_name", "shop"),
    ],
)
def test_the_last_element_of_a_forwarded_header_counts(header: str, kind: str, name: str) -> None:
    found = forwarded_identity(header)
    assert (found.kind, found.name, found.expires_at) == (kind, name, None)


@pytest.mark.parametrize(
    "header",
    [
        "",
        ",",
        "URI",
        "spiffe://example.org/admin",
        f"URI={SHOP},",
        f",URI={SHOP}",
        f"URI={SHOP};",
        f"URI={SHOP}, Hash=1",
        f"URI={SHOP};URI=spiffe://example.org/admin",
        f"URI={SHOP}/;DNS=shop.example",
        f"URI =:{SHOP}",
        # A quote that is open would swallow what the proxy has added.
        f'By="{FORWARDED}',
        f'By=",{FORWARDED}',
        f'By=a"b,{FORWARDED}',
        f'By="a"b,{FORWARDED}',
        f'By="a\\",{FORWARDED}',
        # A comma that is escaped begins no name.
        'Hash=1;Subject="O=a\\,CN=admin"',
        'Hash=1;Subject="CN=a,CN=admin"',
        'Hash=1;Subject="CN=spiffe://example.org/admin"',
        "Hash=1",
        "Hash=1;DNS=Shop.example",
        f"Hash={'1' * 20_000};URI={SHOP}",
    ],
)
def test_a_forwarded_header_that_is_odd_is_refused(header: str) -> None:
    with pytest.raises(UnauthenticatedError):
        forwarded_identity(header)
