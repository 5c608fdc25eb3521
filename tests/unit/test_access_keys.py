import json
import time
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from server.access.keys import BadKeysError, FetchedKeys, read_keys
from tests.support.issuer import ec_key, jwks, public_jwk, rsa_key
from tests.support.publisher import Publisher, published


def document(*listed: Any) -> bytes:
    return json.dumps({"keys": listed}).encode()


def algorithms(*listed: Any) -> dict[str, set[str]]:
    return {kid: set(key.algorithms) for kid, key in read_keys(document(*listed)).items()}


def test_the_type_and_curve_of_a_key_decide_which_algorithms_it_is_for() -> None:
    ed = OKPAlgorithm.to_jwk(ed25519.Ed25519PrivateKey.generate().public_key(), as_dict=True)
    large = public_jwk(ec.generate_private_key(ec.SECP384R1()), "large")
    rsa_ones = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
    assert algorithms(
        public_jwk(rsa_key(), "rsa"), public_jwk(ec_key(), "ec"), large, ed | {"kid": "ed"}
    ) == {
        "rsa": rsa_ones,
        "ec": {"ES256"},
        "large": {"ES384"},
        "ed": {"EdDSA"},
    }
    assert algorithms(public_jwk(rsa_key(), "rsa", alg="PS256")) == {"rsa": {"PS256"}}


@pytest.mark.parametrize(
    "jwk",
    [
        1,
        {},
        {"kid": "a"},
        {"kid": "a", "kty": "XYZ"},
        {"kid": "a", "kty": "RSA", "n": "!", "e": "AQAB"},
        {"kid": "a", "kty": "EC", "crv": "P-256", "x": 1, "y": 2},
        public_jwk(rsa_key(), "a", use="enc"),
        public_jwk(rsa_key(), "a", key_ops=["encrypt"]),
        public_jwk(rsa_key(), "a", key_ops=1),
        public_jwk(rsa_key(), "a", alg="ES256"),
        public_jwk(rsa_key(), "a", alg="HS256"),
        public_jwk(rsa_key(), "a", alg="none"),
        public_jwk(rsa_key(), "a", alg=["RS256"]),
        public_jwk(rsa_key(-1), "a"),
        public_jwk(rsa_key(), "a") | {"kid": 1},
    ],
)
def test_a_key_that_is_of_no_use_is_left_out(jwk: Any) -> None:
    assert set(algorithms(jwk, public_jwk(ec_key(), "good"))) == {"good"}
    with pytest.raises(BadKeysError, match="no RSA, EC or Ed25519 key"):
        read_keys(document(jwk))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no JWKS"),
        (b"\xff", "no JWKS"),
        (b"[]", "no JWKS"),
        (b'{"keys": 1}', "no JWKS"),
        (b'{"keys": []}', "no RSA"),
        (b"[" * 100_000, "no JWKS"),
        (document(public_jwk(ec_key(), "a"), public_jwk(rsa_key(), "a")), "two keys have the kid 'a'"),
        (document(RSAAlgorithm.to_jwk(rsa_key(), as_dict=True) | {"kid": "a"}), "'a' is a secret one"),
        (document(ECAlgorithm.to_jwk(ec_key(), as_dict=True) | {"kid": "a"}), "'a' is a secret one"),
        (document({"kty": "oct", "kid": "a", "k": "c2VjcmV0"}), "'a' is a secret one"),
    ],
)
def test_a_document_that_is_wrong_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(BadKeysError, match=said):
        read_keys(content)


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with published() as serving:
        yield serving


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock of the keys, which stands still unless a test sets its only item."""
    now = [time.monotonic()]
    monkeypatch.setattr("server.access.keys.time.monotonic", lambda: now[0])
    return now


def test_keys_are_fetched_when_they_are_due_and_not_before(publisher: Publisher, clock: list[float]) -> None:
    keys = FetchedKeys(publisher.url)
    keys.look()
    first = keys.value
    assert (set(first), keys.problem, publisher.asked) == ({"1"}, "", 1)
    keys.look()
    clock[0] += 299
    keys.look()
    assert publisher.asked == 1
    clock[0] += 2
    keys.look()
    assert publisher.asked == 2
    # The same document is the same version.
    assert keys.value is first


def test_a_missing_key_is_looked_for_once_in_a_while_only(publisher: Publisher, clock: list[float]) -> None:
    keys = FetchedKeys(publisher.url)
    keys.look()
    publisher.document = jwks({"2": rsa_key(1)})
    keys.look_again()
    assert (set(keys.value), publisher.asked) == ({"1"}, 1)
    clock[0] += 10
    for _ in range(3):
        keys.look_again()
    assert (set(keys.value), publisher.asked) == ({"2"}, 2)


@pytest.mark.parametrize(
    ("document", "status"),
    [(b"{}", 200), (jwks({"2": rsa_key()}), 500), (jwks({"2": rsa_key()}), 302), (b" " * 1_100_000, 200)],
)
def test_what_can_not_be_fetched_keeps_the_old_keys_and_is_a_problem_until_it_can(
    publisher: Publisher, clock: list[float], document: bytes, status: int
) -> None:
    keys = FetchedKeys(publisher.url)
    keys.look()
    publisher.document, publisher.status = document, status
    clock[0] += 301
    keys.look()
    assert set(keys.value) == {"1"}
    assert publisher.url in keys.problem
    # It is tried again soon.
    publisher.document, publisher.status = jwks({"3": rsa_key()}), 200
    clock[0] += 11
    keys.look()
    assert (set(keys.value), keys.problem) == ({"3"}, "")


def test_a_document_that_comes_a_byte_at_a_time_is_given_up(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each look at the clock takes a second.
    monkeypatch.setattr("server.access.keys.time.monotonic", count().__next__)
    publisher.is_endless = True
    keys = FetchedKeys(publisher.url)
    keys.look()
    assert keys.problem.endswith("the document takes longer than 5 s")


def test_keys_of_a_publisher_that_is_away_are_a_problem() -> None:
    with published() as serving:
        url = serving.url
    keys = FetchedKeys(url)
    keys.look()
    assert not keys.value
    assert url in keys.problem
