"""The certificate that the server shows, and the authorities whose clients it admits."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from server.access.reloading import NamedFile, Reloaded

# The keys that gRPC's TLS can use at both ends; with others it fails and gives no reason.
_CURVES = (ec.SECP256R1, ec.SECP384R1)
_LEAST_RSA_BITS = 2_048
# With less of its lifetime left, a certificate should have been renewed: the usual tools do that
# when a third or half is left.
_RENEWED_BY = 10


@dataclass(frozen=True, slots=True)
class CertificatePair:
    """A certificate chain and its private key, in PEM. Times are aware, UTC."""

    chain: bytes
    key: bytes = field(repr=False)
    valid_from: datetime
    valid_until: datetime


class TlsFiles:
    """
    The files of an address with TLS, each read again when it changes.

    Certificate and key are a pair: while they don't fit together, the last pair that did is used.
    Clients need a certificate of an authority in ``client_ca``, None = they need none. Raises
    ``UnusableFileError``.
    """

    def __init__(self, cert: Path, key: Path, client_ca: Path | None = None) -> None:
        self._cert, self._key = NamedFile("--tls-cert", cert), NamedFile("--tls-key", key)
        self._pair = Reloaded(partial(_pair, self._cert, self._key), self._cert, self._key)
        self._client_ca: Reloaded[bytes] | None = None
        if client_ca is not None:
            ca_file = NamedFile("--tls-client-ca", client_ca)
            self._client_ca = Reloaded(partial(_authorities, ca_file), ca_file)

    @property
    def pair(self) -> CertificatePair:
        """The certificate to show now."""
        return self._pair.value

    @property
    def paths(self) -> tuple[Path, Path]:
        """The files of the certificate and of its key, for what can't take ``pair``."""
        return self._cert.path, self._key.path

    @property
    def client_ca(self) -> bytes | None:
        """The authorities of clients, in PEM; None = clients need no certificate."""
        return None if self._client_ca is None else self._client_ca.value

    @property
    def files(self) -> tuple[Reloaded[Any], ...]:
        """What to look at."""
        return (self._pair,) if self._client_ca is None else (self._pair, self._client_ca)

    def look(self) -> None:
        """Read what has changed; may run on any thread, at each handshake."""
        for each in self.files:
            each.look()

    def problems(self, now: datetime | None = None) -> tuple[str, ...]:
        """Describe for people what is wrong with the files, and with the age of the certificate."""
        broken = (each.problem for each in self.files if each.problem)
        return (*broken, *self._age(now or datetime.now(UTC)))

    def _age(self, now: datetime) -> Iterator[str]:
        pair = self.pair
        if now < pair.valid_from:
            yield f"{self._cert}: clients refuse it, since it is valid from {_time(pair.valid_from)}"
        elif now >= pair.valid_until:
            yield f"{self._cert}: clients refuse it, since it expired on {_time(pair.valid_until)}"
        elif (pair.valid_until - now) * _RENEWED_BY < pair.valid_until - pair.valid_from:
            yield f"{self._cert}: it expires on {_time(pair.valid_until)} and should have been renewed"


def _pair(cert: NamedFile, key: NamedFile, chain: bytes, secret: bytes) -> CertificatePair:
    leaf = _certificates(cert, chain)[0]
    try:
        private = load_pem_private_key(secret, None)
    except TypeError:
        raise key.unusable("the key is encrypted: give one without a password") from None
    except (ValueError, UnsupportedAlgorithm):
        raise key.unusable("no private key in PEM form is in it") from None
    match private:
        case rsa.RSAPrivateKey(key_size=bits) if bits >= _LEAST_RSA_BITS:
            pass
        case ec.EllipticCurvePrivateKey(curve=curve) if isinstance(curve, _CURVES):
            pass
        case _:
            raise key.unusable("the key is neither ECDSA on P-256 or P-384 nor RSA of 2,048 bits or more")
    if leaf.public_key() != private.public_key():
        raise key.unusable(f"the key does not belong to the first certificate of {cert}")
    return CertificatePair(chain, secret, leaf.not_valid_before_utc, leaf.not_valid_after_utc)


def _authorities(file: NamedFile, contents: bytes) -> bytes:
    _certificates(file, contents)
    return contents


def _certificates(file: NamedFile, contents: bytes) -> list[x509.Certificate]:
    try:
        found = x509.load_pem_x509_certificates(contents)
        # Keys are decoded when asked for.
        for each in found:
            each.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise file.unusable("no certificates in PEM form are in it, or one is broken") from None
    return found


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
