"""Certificates and tokens of callers, in the files that the configuration of Envoy names."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

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

    def certificate(self, name: str, authority: trustme.CA | None = None) -> "Certificate":
        """Issue a certificate for a DNS name or a URI."""
        authority = authority or self.authority
        if "://" not in name:
            leaf = authority.issue_cert(name)
            return Certificate(leaf.private_key_pem.bytes(), leaf.cert_chain_pems[0].bytes())
        return of_uri(name, authority)

    @asynccontextmanager
    async def caller(
        self, address: str, certificate: "Certificate | None" = None
    ) -> AsyncIterator[grpc.aio.Channel]:
        """Open a channel with TLS, of a caller that may have a certificate."""
        key, chain = certificate or (None, None)
        options = [("grpc.use_local_subchannel_pool", 1)]
        credentials = grpc.ssl_channel_credentials(self.root, key, chain)
        async with grpc.aio.secure_channel(address, credentials, options=options) as channel:
            yield channel


class Certificate(NamedTuple):
    """A private key and a certificate, in PEM."""

    key: bytes
    chain: bytes


def of_uri(uri: str, authority: trustme.CA) -> Certificate:
    """Issue a certificate for a URI, as SPIFFE does, which trustme does not."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    issuer = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
    signer = serialization.load_pem_private_key(authority.private_key_pem.bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=True)
        .sign(signer, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    written = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Certificate(written, certificate.public_bytes(pem))
