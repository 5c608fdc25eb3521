"""
What admitting a call costs, by the credential that it carries.

Without what the transport takes to hand out metadata: grpcio 1 to 2 µs, native next to nothing.
"""

import json
import time
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from bench.measuring import Figure, take_turns, typical
from bench.stage import Stage
from server.access.identification import Identification
from server.rpc.callers import CallAccess, TrustedProxies

METHOD = "/depgraph.v1.GraphService/Traverse"
ISSUER, AUDIENCE, SUBJECT = "https://idp.example", "depgraph", "spiffe://example.org/shop"
PEER = "ipv4:127.0.0.1:41000"
TOKENS = 20
AUTH_FILE = f"""
[[jwt]]
issuer = "{ISSUER}"
audience = "{AUDIENCE}"
algorithms = ["RS256"]
jwks_file = "jwks.json"
[[grant]]
issuer = "{ISSUER}"
subject = "*"
roles = ["reader"]
[[grant]]
spiffe_id = "{SUBJECT}"
roles = ["reader"]
"""
_STATIC = '[[token]]\nname = "{name}"\nsha256 = "{digest}"\nroles = ["reader"]\n'


def measure(_stage: Stage) -> Iterator[Figure]:
    key = rsa.generate_private_key(65_537, 2_048)
    with TemporaryDirectory() as folder:
        identification = Identification(_auth_file(Path(folder), key))
    access = CallAccess(identification, TrustedProxies(["127.0.0.1"]))
    forwarded = f'By=spiffe://example.org/proxy;Hash={"ab" * 32};Subject="CN=shop";URI={SUBJECT}'
    contexts = {
        "a static token": _context("authorization", f"Bearer token-{TOKENS - 1}"),
        "a JWT": _context("authorization", f"Bearer {_token(key)}"),
        "a proxy's word": _context("x-forwarded-client-cert", forwarded),
    }
    calls = [lambda _, context=context: access.admit(METHOD, context) for context in contexts.values()]
    for name, seconds in zip(contexts, take_turns(*calls, pairs=20_000), strict=True):
        yield typical(f"admitting a call by {name}, checked before", seconds)
    fresh = iter([f"Bearer {_token(key, number)}" for number in range(300)])
    [first] = take_turns(lambda _: identification.by_authorization(next(fresh)), pairs=250)
    yield typical("the first check of a JWT (RS256)", first)


def _auth_file(folder: Path, key: rsa.RSAPrivateKey) -> Path:
    public: Mapping[str, Any] = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    (folder / "jwks.json").write_text(json.dumps({"keys": [{**public, "kid": "1"}]}))
    names = [f"token-{number}" for number in range(TOKENS)]
    tables = [_STATIC.format(name=name, digest=sha256(name.encode()).hexdigest()) for name in names]
    path = folder / "auth.toml"
    path.write_text("".join([AUTH_FILE, *tables]))
    return path


def _token(key: rsa.RSAPrivateKey, number: int = 0) -> str:
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "exp": int(time.time()) + 3_600, "number": number}
    return jwt.encode(claims, key, "RS256", {"kid": "1"})


def _context(header: str, value: str) -> Any:
    metadata = (("user-agent", "grpc-python"), (header, value))
    return SimpleNamespace(
        invocation_metadata=lambda: metadata, peer=lambda: PEER, auth_context=dict[str, Any]
    )
