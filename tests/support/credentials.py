"""Certificates and tokens of callers, in the files that the configuration of Envoy names."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import trustme
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

AUDIENCE, ISSUER = "depgraph", "https://login.example.com/"


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).decode().rstrip("=")


def unsigned(header: dict[str, str], claims: dict[str, Any]) -> str:
    return ".".join(encoded(json.dumps(part).encode()) for part in (header, claims))


def seconds(from_now: timedelta) -> int:
    return int((datetime.now(UTC) + from_now).timestamp())


class Credentials:
    """An authority of certificates and a key that signs tokens; their files are in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = trustme.CA()
        self.key = rsa.generate_private_key(65_537, 2_048)
        server = self.authority.issue_cert("localhost", "127.0.0.1")
        (folder / "tls").mkdir()
        (folder / "callers").mkdir()
        server.private_key_pem.write_to_path(folder / "tls/tls.key")
        server.cert_chain_pems[0].write_to_path(folder / "tls/tls.crt")
        self.authority.cert_pem.write_to_path(folder / "callers/ca.crt")
        numbers = self.key.public_key().public_numbers()
        public = {"n": encoded(numbers.n.to_bytes(256)), "e": encoded(numbers.e.to_bytes(3))}
        jwk = {"kty": "RSA", "kid": "1", "alg": "RS256", "use": "sig"} | public
        (folder / "jwks.json").write_text(json.dumps({"keys": [jwk]}))

    @property
    def root(self) -> bytes:
        return self.authority.cert_pem.bytes()

    def token(self, key: rsa.RSAPrivateKey | None = None, **claims: Any) -> str:
        usual = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ana", "exp": seconds(timedelta(hours=1))}
        content = unsigned({"alg": "RS256", "kid": "1"}, usual | claims)
        signature = (key or self.key).sign(content.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{content}.{encoded(signature)}"

    @asynccontextmanager
    async def caller(
        self, address: str, certificate: trustme.LeafCert | None = None
    ) -> AsyncIterator[grpc.aio.Channel]:
        """Open a channel with TLS, of a caller that may have a certificate."""
        key = chain = None
        if certificate is not None:
            key = certificate.private_key_pem.bytes()
            chain = certificate.cert_chain_pems[0].bytes()
        options = [("grpc.use_local_subchannel_pool", 1)]
        credentials = grpc.ssl_channel_credentials(self.root, key, chain)
        async with grpc.aio.secure_channel(address, credentials, options=options) as channel:
            yield channel
