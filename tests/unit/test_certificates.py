"""The files of an address with TLS: which are refused, and what is said of a certificate's age."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from server.access.certificates import TlsFiles
from server.access.reloading import UnusableFileError
from tests.support.certificates import Authority, CertificateFiles


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def files(tmp_path: Path, authority: Authority) -> CertificateFiles:
    return CertificateFiles(tmp_path, authority, authority)


def pem(key: "ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey") -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def encrypt(file: Path) -> None:
    key = load_pem_private_key(file.read_bytes(), None)
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))


def weaken(file: Path) -> None:
    file.write_bytes(pem(rsa.generate_private_key(65_537, 1_024)))  # noqa: S505 - weak on purpose


def cut(file: Path) -> None:
    contents = file.read_bytes()
    file.write_bytes(contents[: len(contents) // 2])


@pytest.mark.parametrize(
    ("flag", "spoil", "why"),
    [
        ("cert", Path.unlink, "No such file or directory"),
        ("key", Path.unlink, "No such file or directory"),
        ("client-ca", Path.unlink, "No such file or directory"),
        ("cert", cut, "no certificates in PEM form are in it, or one is broken"),
        ("client-ca", cut, "no certificates in PEM form are in it, or one is broken"),
        ("cert", lambda file: file.write_bytes(b""), "no certificates in PEM form are in it"),
        ("key", cut, "no private key in PEM form is in it"),
        ("key", encrypt, "the key is encrypted: give one without a password"),
        (
            "key",
            lambda file: file.write_bytes(pem(ec.generate_private_key(ec.SECP256R1()))),
            "does not belong",
        ),
        ("key", lambda file: file.write_bytes(pem(ed25519.Ed25519PrivateKey.generate())), "neither ECDSA on"),
        (
            "key",
            lambda file: file.write_bytes(pem(ec.generate_private_key(ec.SECP521R1()))),
            "neither ECDSA on",
        ),
        ("key", weaken, "RSA of 2,048 bits or more"),
    ],
)
def test_a_file_that_can_t_be_used_is_named_with_its_flag_and_the_reason(
    files: CertificateFiles, flag: str, spoil: Callable[[Path], object], why: str
) -> None:
    file = {"cert": files.cert, "key": files.key, "client-ca": files.client_ca}[flag]
    spoil(file)
    with pytest.raises(UnusableFileError) as refused:
        files.open()
    message = str(refused.value)
    assert message.startswith(f"--tls-{flag} {file}: ")
    assert why in message


def test_no_key_shows_in_what_is_printed_of_a_pair(files: CertificateFiles) -> None:
    pair = files.open().pair
    assert pair.key == files.key.read_bytes()
    assert "PRIVATE KEY" not in repr(pair)


@pytest.mark.parametrize(
    ("days", "problem"),
    [
        (-1, "clients refuse it, since it is valid from "),
        (0, ""),
        (80, ""),
        (82, "it expires on "),
        (91, "clients refuse it, since it expired on "),
    ],
)
def test_a_certificate_of_90_days_that_clients_refuse_or_will_soon_is_a_problem(
    files: CertificateFiles, days: int, problem: str
) -> None:
    begin = datetime.now(UTC) + timedelta(minutes=1)
    problems = files.open().problems(begin + timedelta(days=days))
    assert [text.startswith(f"--tls-cert {files.cert}: {problem}") for text in problems] == [True] * bool(
        problem
    )


def test_a_new_certificate_is_no_problem_beside_a_broken_authority_of_clients(
    files: CertificateFiles, authority: Authority
) -> None:
    tls = files.open()
    files.write(pair := authority.issue())
    files.client_ca.write_bytes(b"broken")
    tls.look()
    assert tls.pair.chain == pair.chain
    assert tls.client_ca == authority.pem
    [problem] = tls.problems()
    assert problem.startswith(f"--tls-client-ca {files.client_ca}: ")


def test_without_an_authority_clients_need_no_certificate(files: CertificateFiles) -> None:
    assert TlsFiles(files.cert, files.key).client_ca is None
