"""The public keys of JWT issuers, out of a JWKS document (RFC 7517) in a file or at a URL."""

import json
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import structlog
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK
from jwt.exceptions import PyJWTError

log = structlog.get_logger(__name__)

_REFRESH_SECONDS = 300.0
_RETRY_SECONDS = 10.0
_TIMEOUT_SECONDS = 5.0
_MAX_BYTES = 1024 * 1024
_LEAST_RSA_BITS = 2048
_RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}


class Key(NamedTuple):
    """A public key, and the algorithms that it may check."""

    public: Any
    algorithms: frozenset[str]


Keys: TypeAlias = Mapping[str, Key]
"""By their key id (``kid``)."""


class BadKeysError(ValueError):
    """A document is no usable JWKS."""


def read_keys(document: bytes) -> Keys:
    """
    Read a JWKS document; keys for other purposes or of unknown types are left out.

    Raises ``BadKeysError``; a private key is an error, since others can read it.
    """
    try:
        content = json.loads(document)
        listed = content["keys"]
    except (ValueError, KeyError, TypeError, RecursionError):
        listed = None
    if not isinstance(listed, list):
        raise BadKeysError('this is no JWKS: expected {"keys": [...]}')
    keys: dict[str, Key] = {}
    for each in listed:
        if (found := _key(each)) is None:
            continue
        if each["kid"] in keys:
            raise BadKeysError(f"two keys have the kid {each['kid']!r}")
        keys[each["kid"]] = found
    if not keys:
        raise BadKeysError("it has no RSA, EC or Ed25519 key to check signatures with that has a kid")
    return keys


def _key(jwk: Any) -> Key | None:
    if not isinstance(jwk, dict) or not isinstance(jwk.get("kid"), str):
        return None
    if jwk.get("kty") == "oct" or "d" in jwk:
        raise BadKeysError(f"the key {jwk['kid']!r} is a secret one: publish public keys only")
    try:
        if jwk.get("use", "sig") != "sig" or "verify" not in jwk.get("key_ops", ["verify"]):
            return None
        public = PyJWK(jwk).key
        algorithms = _algorithms(public)
        if "alg" in jwk:
            algorithms &= {jwk["alg"]}
    except (PyJWTError, ValueError, TypeError, KeyError, NotImplementedError):
        return None
    return Key(public, algorithms) if algorithms else None


def _algorithms(public: Any) -> frozenset[str]:
    """List the algorithms that a key is good for: its type and curve decide, not the token."""
    match public:
        case RSAPublicKey() if public.key_size >= _LEAST_RSA_BITS:
            return _RSA
        case EllipticCurvePublicKey() if public.curve.name in _CURVES:
            return frozenset({_CURVES[public.curve.name]})
        case Ed25519PublicKey() | Ed448PublicKey():
            return frozenset({"EdDSA"})
    return frozenset()


class FetchedKeys:
    """
    Keys at a URL, fetched again every five minutes, and by ``look_again``; failures keep the old.

    Made without keys: call ``look``.
    """

    def __init__(self, url: str, fetch: Callable[[str], bytes] | None = None) -> None:
        self._url = url
        self._fetch = fetch or _fetched
        self._looking = threading.Lock()
        self._document = b""
        self._tried_at = float("-inf")
        self._due_at = float("-inf")
        self.value: Keys = {}
        self.problem = ""

    def look(self) -> None:
        """Fetch the keys if it is time."""
        with self._looking:
            if time.monotonic() >= self._due_at:
                self._refresh()

    def look_again(self) -> None:
        """Fetch the keys, since one is missing, unless that was tried a moment ago."""
        with self._looking:
            if time.monotonic() >= self._tried_at + _RETRY_SECONDS:
                self._refresh()

    def _refresh(self) -> None:
        self._tried_at = time.monotonic()
        # Even if what follows fails in an unexpected way.
        self._due_at = self._tried_at + _RETRY_SECONDS
        try:
            document = self._fetch(self._url)
            if document != self._document:
                self.value = read_keys(document)
                self._document = document
        # Whatever is wrong with an answer, the next one may be better.
        except Exception as error:  # noqa: BLE001
            reason = getattr(error, "reason", None) or error
            problem = f"the keys at {self._url} can't be read: {reason}"
            if problem != self.problem:
                log.warning("keys of a JWT issuer can't be read", url=self._url, reason=str(reason))
            self.problem = problem
            return
        self.problem = ""
        self._due_at = self._tried_at + _REFRESH_SECONDS


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: it could lead from HTTPS to HTTP, or to another host."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Make the answer an error."""
        return


def _fetched(url: str) -> bytes:
    # The scheme was checked when the auth file was read.
    opener = urllib.request.build_opener(_NoRedirect)
    document, ends = bytearray(), time.monotonic() + _TIMEOUT_SECONDS
    with opener.open(url, timeout=_TIMEOUT_SECONDS) as answer:
        # The timeout holds for each part, and there may be a part for every byte.
        while part := answer.read1(_MAX_BYTES):
            document += part
            if len(document) > _MAX_BYTES:
                raise BadKeysError(f"the document has more than {_MAX_BYTES:,} bytes")
            if time.monotonic() > ends:
                raise TimeoutError(f"the document takes longer than {_TIMEOUT_SECONDS:g} s")
    return bytes(document)
