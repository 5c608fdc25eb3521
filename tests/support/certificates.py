"""Certificates made for a test, in files that a server reads and a test replaces."""

import os
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from server.access.certificates import TlsFiles

NAME = "localhost"


class Authority:
    """A certificate authority of a test."""

    def __init__(self) -> None:
        self._ca = trustme.CA()
        self.pem = self._ca.cert_pem.bytes()

    def issue(
        self, *names: str, valid: timedelta = timedelta(days=90), age: timedelta = timedelta(minutes=1)
    ) -> "Pair":
        """Issue a certificate for names, by default the server's.

        It has an age: TLS asks a coarser clock than Python's, for which "now" may be yet to come.
        """
        begin = datetime.now(UTC) - age
        leaf = self._ca.issue_cert(*(names or (NAME, "127.0.0.1")), not_before=begin, not_after=begin + valid)
        return Pair(b"".join(each.bytes() for each in leaf.cert_chain_pems), leaf.private_key_pem.bytes())

    def issue_for(self, *alternatives: x509.GeneralName, valid: timedelta = timedelta(days=90)) -> "Pair":
        """Issue a certificate with names of any type, as they are."""
        ca = x509.load_pem_x509_certificate(self.pem)
        signer: Any = load_pem_private_key(self._ca.private_key_pem.bytes(), None)
        key = ec.generate_private_key(ec.SECP256R1())
        begin = datetime.now(UTC) - timedelta(minutes=1)
        names = x509.SubjectAlternativeName(alternatives)
        certificate = (
            x509.CertificateBuilder(ca.subject, x509.Name([]), key.public_key(), x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(datetime.now(UTC) + valid)
            .add_extension(names, critical=True)
            .sign(signer, hashes.SHA256())
        )
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return Pair(certificate.public_bytes(Encoding.PEM), secret)


class Pair:
    """A certificate chain and its key, in PEM."""

    def __init__(self, chain: bytes, key: bytes) -> None:
        self.chain = chain
        self.key = key

    @property
    def serial(self) -> int:
        """The serial number of the certificate."""
        return x509.load_pem_x509_certificate(self.chain).serial_number


class CertificateFiles:
    """The files of a server: certificate and key of ``authority``, which may be that of clients."""

    def __init__(self, folder: Path, authority: Authority, client_ca: Authority | None = None) -> None:
        self.cert, self.key, self.client_ca = folder / "cert.pem", folder / "key.pem", folder / "ca.pem"
        self.authority = authority
        self.write(authority.issue())
        self._demands_certificates = client_ca is not None
        if client_ca is not None:
            self.client_ca.write_bytes(client_ca.pem)

    def write(self, pair: Pair) -> None:
        """Put another pair into the files."""
        replace(self.cert, pair.chain)
        replace(self.key, pair.key)

    def open(self) -> TlsFiles:
        """Read them as a server does."""
        return TlsFiles(self.cert, self.key, self.client_ca if self._demands_certificates else None)

    def serial_at(self, address: str) -> int:
        """Return the serial number of the certificate that a new connection is shown; it blocks."""
        with handshake(address, self.authority) as connected:
            shown = connected.getpeercert(binary_form=True)
        assert shown is not None
        return x509.load_der_x509_certificate(shown).serial_number


def replace(file: Path, contents: bytes) -> None:
    """Replace a file at once."""
    new = file.with_suffix(".new")
    new.write_bytes(contents)
    os.replace(new, file)  # noqa: PTH105 - as in the sentence


def handshake(address: str, authority: Authority, newest: ssl.TLSVersion | None = None) -> ssl.SSLSocket:
    """Connect with TLS, ``newest`` = with versions up to this one; it blocks."""
    context = ssl.create_default_context(cadata=authority.pem.decode())
    context.set_alpn_protocols(["h2"])
    if newest is not None:
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, newest
    host, _, port = address.rpartition(":")
    return context.wrap_socket(socket.create_connection((host, int(port))), server_hostname=NAME)


def secure_channel(address: str, authority: Authority, client: Pair | None = None) -> grpc.aio.Channel:
    """Open a channel with a connection of its own that trusts an authority."""
    credentials = grpc.ssl_channel_credentials(
        authority.pem, *((client.key, client.chain) if client is not None else ())
    )
    return grpc.aio.secure_channel(address, credentials, options=[("grpc.use_local_subchannel_pool", 1)])
