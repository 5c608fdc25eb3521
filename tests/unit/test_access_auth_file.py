from hashlib import sha256
from pathlib import Path
from time import time

import pytest

from server.access.auth_file import read_auth_file, warnings_about
from server.access.grants import AuthFile, Identity, Permissions, StaticToken
from server.access.reloading import NamedFile, UnusableFileError
from tests.support.command import ROOT
from tests.support.issuer import NAME, grant, issuer_table, static_token, subject

FILE = NamedFile("--auth-file", Path("/etc/depgraph/auth.toml"))
ISSUER = issuer_table('jwks_url = "https://idp.example/keys"')
URL = 'jwks_url = "https://idp.example/keys"'
SHA = sha256(b"x").hexdigest()
TOKEN = '[[token]]\nname = "ci"\n'
CHECKOUT = "spiffe://example.org/ns/shop/sa/checkout"


def read(*tables: str) -> AuthFile:
    return read_auth_file("\n".join(tables).encode(), FILE)


def roles(file: AuthFile, identity: Identity) -> set[str]:
    return set(file.caller(identity).roles)


def test_an_empty_file_lets_nobody_do_anything() -> None:
    assert read() == AuthFile()
    assert not read().caller(Identity("subject", "alice", issuer=NAME)).roles
    assert read().token_caller(sha256(b"x").digest()) is None


def test_grants_that_match_add_up() -> None:
    file = read(
        ISSUER,
        grant(f'spiffe_id = "{CHECKOUT}"', "reader"),
        grant('spiffe_id = "spiffe://example.org/ns/shop/*"', "ingester", sources=("kubernetes",)),
        grant('spiffe_id = "spiffe://example.org/*"', "ingester", sources=("service_mesh",)),
        grant('spiffe_id = "spiffe://example.org/ns/shop"', "admin"),
    )
    caller = file.caller(Identity("spiffe_id", CHECKOUT))
    assert (caller.principal, caller.roles) == (CHECKOUT, frozenset({"reader", "ingester"}))
    assert caller.discovery_sources == {"kubernetes", "service_mesh"}


def test_a_grant_is_for_one_kind_of_identity_and_one_issuer() -> None:
    other = ISSUER.replace(NAME, "https://other.example")
    file = read(
        ISSUER,
        other,
        grant('spiffe_id = "spiffe://example.org/a"', "reader"),
        grant('dns_name = "shop.example"', "editor"),
        grant('common_name = "shop.example"', "operator"),
        grant(subject("shop.example"), "admin"),
    )
    assert roles(file, Identity("spiffe_id", "spiffe://example.org/a")) == {"reader"}
    assert roles(file, Identity("dns_name", "shop.example")) == {"editor"}
    assert roles(file, Identity("common_name", "shop.example")) == {"operator"}
    assert roles(file, Identity("subject", "shop.example", issuer=NAME)) == {"admin"}
    assert roles(file, Identity("subject", "shop.example", issuer="https://other.example")) == set()
    assert roles(file, Identity("subject", "spiffe://example.org/a", issuer=NAME)) == set()
    assert roles(file, Identity("spiffe_id", "spiffe://example.org/a/b")) == set()
    assert roles(file, Identity("dns_name", "a.shop.example")) == set()


def test_a_star_is_every_subject_of_an_issuer_and_no_other_kind_has_it() -> None:
    file = read(ISSUER, grant(subject("*"), "reader"))
    assert roles(file, Identity("subject", "anybody", issuer=NAME)) == {"reader"}
    with pytest.raises(UnusableFileError):
        read(grant('dns_name = "*"', "reader"))


@pytest.mark.parametrize(
    ("claim", "holds", "fails"),
    [
        (
            '{ groups = "a" }',
            [{"groups": "a"}, {"groups": ["b", "a"]}],
            [{}, {"groups": "ab"}, {"groups": ["ab"]}],
        ),
        ('{ a = "x", b = "y" }', [{"a": "x", "b": "y"}], [{"a": "x"}, {"a": "y", "b": "x"}]),
        ("{ level = 1 }", [{"level": 1}, {"level": [1]}], [{"level": True}, {"level": "1"}, {"level": 1.0}]),
        ("{ staff = true }", [{"staff": True}], [{"staff": 1}, {"staff": "true"}, {"staff": False}]),
        (
            '{ realm_access = { roles = "a" } }',
            [{"realm_access": {"roles": ["a"]}}],
            [{"realm_access": "a"}, {"realm_access": {}}, {"roles": ["a"]}, {"realm_access": ["roles", "a"]}],
        ),
    ],
)
def test_claims_are_held_exactly(claim: str, holds: list[object], fails: list[object]) -> None:
    file = read(ISSUER, grant(f'issuer = "{NAME}"\nclaim = {claim}', "reader"))
    for claims in holds:
        assert roles(file, Identity("subject", "a", issuer=NAME, claims=claims)) == {"reader"}  # type: ignore[arg-type]
    for claims in fails:
        assert roles(file, Identity("subject", "a", issuer=NAME, claims=claims)) == set()  # type: ignore[arg-type]


def test_a_static_token_is_found_by_the_digest_of_its_text() -> None:
    file = read(
        static_token("ci", "editor"), static_token("other", "admin", more="expires = 2040-01-01T00:00:00Z")
    )
    caller = file.token_caller(sha256(b"ci").digest())
    assert caller is not None
    assert (caller.principal, caller.roles, caller.expires_at) == ("ci", frozenset({"editor"}), None)
    other = file.token_caller(sha256(b"other").digest())
    assert other is not None
    assert other.expires_at is not None
    assert other.expires_at > time()
    assert file.token_caller(sha256(b"CI").digest()) is None


def test_no_digest_of_a_token_is_shown() -> None:
    assert SHA not in repr(read(f'{TOKEN}sha256 = "{SHA}"\nroles = ["reader"]'))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[token]", "this is no TOML"),
        ("\xff", "this is no TOML"),
        ("admins = []", "admins: is not known here"),
        ("token = 1", "token: must be tables, each under [[token]]"),
        ("[token]\nname = 'a'", "token: must be tables"),
        (f"{TOKEN}", "[[token]] number 1: sha256: is missing"),
        (f'{TOKEN}sha256 = "abc"', "[[token]] number 1: sha256: must be the SHA-256"),
        (f'{TOKEN}sha256 = "{"g" * 64}"', "sha256: must be the SHA-256"),
        (f'{TOKEN}sha256 = "{sha256().hexdigest()}"', "sha256: is that of no token at all"),
        (f'{TOKEN}sha256 = "{SHA}"', "roles: is missing"),
        (f'{TOKEN}sha256 = "{SHA}"\nroles = []', "roles: is empty"),
        (f'{TOKEN}sha256 = "{SHA}"\nroles = "admin"', "roles: must be a list"),
        (f'{TOKEN}sha256 = "{SHA}"\nroles = ["Admin"]', "roles: 'Admin' is not known"),
        (f'{TOKEN}sha256 = "{SHA}"\nroles = [["admin"]]', "roles: ['admin'] is not known"),
        (f'{TOKEN}sha256 = "{SHA}"\nroles = ["admin", "admin"]', "roles: repeats a word"),
        (f'{TOKEN}sha256 = "{SHA}"\nroles = ["ingester"]', "discovery_sources: is missing"),
        (
            f'{TOKEN}sha256 = "{SHA}"\nroles = ["ingester"]\ndiscovery_sources = []',
            "discovery_sources: is empty",
        ),
        (
            f'{TOKEN}sha256 = "{SHA}"\nroles = ["admin"]\ndiscovery_sources = ["manual"]',
            "is for the role ingester",
        ),
        (
            f'{TOKEN}sha256 = "{SHA}"\nroles = ["admin"]\nexpires = 2030-01-01T00:00:00',
            "expires: needs an offset",
        ),
        (f'{TOKEN}sha256 = "{SHA}"\nroles = ["admin"]\nexpires = 2030-01-01', "expires: must be a time"),
        (f'{TOKEN}sha256 = "{SHA}"\nroles = ["admin"]\nexpiry = 1', "expiry: is not known here"),
        ('[[token]]\nname = ""', "name: is empty"),
        ('[[token]]\nname = "a\\nb"', "name: must be printable"),
        (static_token("a", "admin") + static_token("a", "admin"), "number 2: name: 'a' is there twice"),
        (
            static_token("a", "admin") + static_token("a", "admin").replace('name = "a"', 'name = "b"'),
            "number 2: sha256: is another token's, too",
        ),
        (ISSUER + ISSUER, "[[jwt]] number 2: issuer: 'https://idp.example' is there twice"),
        (issuer_table(URL, '["none"]'), "algorithms: 'none' is not known"),
        (issuer_table(URL, '["RS256", "HS256"]'), "algorithms: 'HS256' is not known"),
        (issuer_table(URL, '[["RS256"]]'), "algorithms: ['RS256'] is not known"),
        (issuer_table(URL, "[]"), "algorithms: is empty"),
        (issuer_table(""), "give either jwks_file or jwks_url"),
        (issuer_table(URL + '\njwks_file = "x"'), "give either jwks_file or jwks_url"),
        (issuer_table('jwks_url = "http://idp.example/keys"'), "jwks_url: must begin with https://"),
        (issuer_table('jwks_url = "http://127.0.0.1.example/keys"'), "jwks_url: must begin with https://"),
        (issuer_table('jwks_url = "file:///etc/passwd"'), "jwks_url: must be https://"),
        (issuer_table('jwks_url = "https://[::1"'), "jwks_url: is no URL: Invalid IPv6 URL"),
        (issuer_table('jwks_url = "https://user:word@idp.example"'), "jwks_url: must be https://"),
        (issuer_table(URL + "\nleeway = 3"), "leeway: is not known here"),
        (grant("", "reader"), "[[grant]] number 1: give one of spiffe_id, dns_name, common_name, or issuer"),
        (grant('dns_name = "a"\ncommon_name = "a"', "reader"), "give one of"),
        (grant('certificate = "a"', "reader"), "give one of"),
        (grant('spiffe_id = "example.org/a"', "reader"), "spiffe_id: 'example.org/a' is none"),
        (grant('spiffe_id = "spiffe://example.org/a*"', "reader"), "is none"),
        (grant('spiffe_id = "spiffe://*/a"', "reader"), "is none"),
        (grant('dns_name = "Shop.example"', "reader"), "dns_name: 'Shop.example' is none"),
        (grant(subject("a"), "reader"), "issuer: 'https://idp.example' is the issuer of no [[jwt]]"),
        (ISSUER + grant(f'issuer = "{NAME}"', "reader"), "give either subject"),
        (ISSUER + grant(f'{subject("a")}\nclaim = {{ a = "b" }}', "reader"), "give either subject"),
        (ISSUER + grant(f'issuer = "{NAME}"\nclaim = {{}}', "reader"), "claim: is empty"),
        (ISSUER + grant(f'issuer = "{NAME}"\nclaim = {{ a = {{}} }}', "reader"), "claim: is empty"),
        (ISSUER + grant(f'issuer = "{NAME}"\nclaim = {{ a = 1.5 }}', "reader"), "claim: 'a' must be"),
        (ISSUER + grant(f'issuer = "{NAME}"\nclaim = {{ a = [] }}', "reader"), "claim: 'a' must be"),
    ],
)
def test_what_is_wrong_is_named_by_file_table_and_key(text: str, said: str) -> None:
    with pytest.raises(UnusableFileError) as caught:
        read_auth_file(text.encode("latin-1"), FILE)
    assert str(caught.value).startswith("--auth-file /etc/depgraph/auth.toml: ")
    assert said in str(caught.value)
    assert SHA not in str(caught.value)


def test_a_file_that_everybody_may_write_is_warned_of(tmp_path: Path) -> None:
    file = NamedFile("--auth-file", tmp_path / "auth.toml")
    content = AuthFile(tokens=[StaticToken("ci", b"", Permissions())])
    file.path.touch(0o600)
    assert not list(warnings_about(content, file))
    file.path.chmod(0o602)
    [warning] = warnings_about(content, file)
    assert warning.startswith(f"{file}: every user")


def test_a_file_that_grants_nothing_is_warned_of() -> None:
    [warning] = warnings_about(read_auth_file(b"", FILE), FILE)
    assert warning == f"{FILE} grants nothing: all calls but those of health are refused"


def test_the_example_of_the_documentation_can_be_used() -> None:
    example = NamedFile("--auth-file", ROOT / "deploy/auth.toml")
    file = read_auth_file(example.path.read_bytes(), example)
    issuer = "https://login.example.com/"
    assert roles(file, Identity("subject", "bob", issuer=issuer)) == {"reader"}
    team = Identity("subject", "eve", issuer=issuer, claims={"groups": ["platform"]})
    assert roles(file, team) == {"reader", "editor", "operator"}
