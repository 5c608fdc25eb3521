"""JSON Web Tokens: whom a token stands for, if its issuer is known and has signed it."""

from collections.abc import Mapping, Sequence
from typing import Any

import jwt
from jwt.exceptions import (
    DecodeError,
    ExpiredSignatureError,
    ImmatureSignatureError,
    InvalidAudienceError,
    InvalidSignatureError,
    MissingRequiredClaimError,
    PyJWTError,
)

from server.access.grants import Identity, Issuer, KeySource, UnknownKeyError
from server.access.names import is_plain_name
from server.domain.errors import UnauthenticatedError

LEEWAY_SECONDS = 30
# Where floats count seconds exactly; later ends mean the same.
_LATEST = 2**50
_WORDS: Sequence[tuple[type[PyJWTError], str]] = (
    (InvalidSignatureError, "its signature is wrong"),
    (ExpiredSignatureError, "it has expired"),
    (ImmatureSignatureError, "it is not valid yet"),
    (InvalidAudienceError, "it is for another audience"),
    (MissingRequiredClaimError, "a claim is missing, of exp, iss and aud"),
)


def jwt_identity(token: str, issuers: Mapping[str, Issuer], keys: Mapping[str, KeySource]) -> Identity:
    """
    Check a token and return whom it stands for; ``keys`` are by ``Issuer.keys_at``.

    What the token says of itself chooses issuer and key, and nothing else: the file says which
    algorithms the issuer uses, and the key's type which of them it is for. Raises
    ``UnauthenticatedError``, or ``UnknownKeyError`` when newer keys may help. 0.1 ms.
    """
    issuer, key_id, algorithm = _claimed(token, issuers)
    source = keys[issuer.keys_at]
    key = source.value.get(key_id)
    if key is None:
        raise UnknownKeyError(source)
    if algorithm not in issuer.algorithms or algorithm not in key.algorithms:
        raise UnauthenticatedError("the token's algorithm is not one that its issuer and key are for")
    try:
        claims = jwt.decode(
            token,
            key.public,
            algorithms=[algorithm],
            issuer=issuer.name,
            audience=issuer.audience,
            leeway=LEEWAY_SECONDS,
            options={"require": ["exp", "iss", "aud"]},
        )
    # Claims of odd types make the library raise others.
    except (PyJWTError, ValueError, TypeError, OverflowError) as error:
        raise UnauthenticatedError(f"the token is refused: {_why(error)}") from None
    name = claims.get(issuer.principal_claim)
    if not isinstance(name, str) or not is_plain_name(name):
        raise UnauthenticatedError(f"the token's claim {issuer.principal_claim!r} is no usable name")
    expires_at = float(min(int(claims["exp"]), _LATEST)) + LEEWAY_SECONDS
    return Identity("subject", name, expires_at, issuer.name, claims)


def _claimed(token: str, issuers: Mapping[str, Issuer]) -> tuple[Issuer, str, str]:
    """Read issuer, key id and algorithm out of a token, of which nothing is verified yet."""
    try:
        unverified: dict[str, Any] = jwt.decode_complete(token, options={"verify_signature": False})
    except (PyJWTError, ValueError, TypeError) as error:
        raise UnauthenticatedError(f"the token is refused: {_why(error)}") from None
    header, claims = unverified["header"], unverified["payload"]
    name, key_id, algorithm = claims.get("iss"), header.get("kid"), header.get("alg")
    if not isinstance(name, str) or name not in issuers:
        raise UnauthenticatedError("the token's issuer (iss) is not one that this server knows")
    if not isinstance(key_id, str) or not isinstance(algorithm, str):
        raise UnauthenticatedError("the token's header must have alg and kid")
    return issuers[name], key_id, algorithm


def _why(error: Exception) -> str:
    for kind, words in _WORDS:
        if isinstance(error, kind):
            return words
    is_other = isinstance(error, DecodeError)
    return "it is no JWT, and no static token that is known" if is_other else "a claim is not usable"
