"""An issuer of JWTs, and auth files that know it."""

import json
import time
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

NAME = "https://idp.example"
AUDIENCE = "depgraph"


@lru_cache
def rsa_key(number: int = 0) -> rsa.RSAPrivateKey:
    """Make a key, the same one for each number: that takes a tenth of a second."""
    return rsa.generate_private_key(65_537, 2_048 if number >= 0 else 1_024)


@lru_cache
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def public_jwk(key: Any, kid: str, **more: Any) -> dict[str, Any]:
    """Write the public part of a key as issuers publish it."""
    algorithm: Any = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    return {**algorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid} | more


def jwks(keys: Mapping[str, Any]) -> bytes:
    """Write a JWKS document of keys by their ids."""
    return json.dumps({"keys": [public_jwk(key, kid) for kid, key in keys.items()]}).encode()


def claims(**other: Any) -> dict[str, Any]:
    """Make the claims of a good token; None leaves one out."""
    now = int(time.time())
    usual = {"iss": NAME, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + 600}
    return {name: value for name, value in (usual | other).items() if value is not None}


def token(key: Any = None, kid: str | None = "1", algorithm: str = "RS256", **other: Any) -> str:
    """Sign a token with a key; ``other`` claims replace the usual ones."""
    headers = {} if kid is None else {"kid": kid}
    return jwt.encode(claims(**other), key or rsa_key(), algorithm, headers)


def bearer(text: str) -> tuple[tuple[str, str]]:
    """Make the metadata of a call with a token."""
    return (("authorization", f"Bearer {text}"),)


def static_token(name: str, *roles: str, sources: tuple[str, ...] = (), more: str = "") -> str:
    """Write the table of a static token, whose text is its name."""
    listed = f"discovery_sources = {list(sources)}\n" if sources else ""
    digest = sha256(name.encode()).hexdigest()
    return f'[[token]]\nname = "{name}"\nsha256 = "{digest}"\nroles = {list(roles)}\n{listed}{more}\n'


def issuer_table(keys_at: str, algorithms: str = '["RS256", "ES256"]') -> str:
    """Write the table of the issuer; ``keys_at`` is the line that says where its keys are."""
    return f'[[jwt]]\nissuer = "{NAME}"\naudience = "{AUDIENCE}"\nalgorithms = {algorithms}\n{keys_at}\n'


def grant(who: str, *roles: str, sources: tuple[str, ...] = ()) -> str:
    """Write the table of a grant; ``who`` are the lines that say to whom."""
    listed = f"discovery_sources = {list(sources)}\n" if sources else ""
    return f"[[grant]]\n{who}\nroles = {list(roles)}\n{listed}\n"


def subject(name: str) -> str:
    """Write who has a subject at the issuer."""
    return f'issuer = "{NAME}"\nsubject = "{name}"'


def auth_file(folder: Path, *tables: str) -> Path:
    """Write an auth file with the public key of ``rsa_key()`` as kid 1 beside it."""
    path = folder / "auth.toml"
    (folder / "jwks.json").write_bytes(jwks({"1": rsa_key()}))
    path.write_text("\n".join(tables))
    return path
