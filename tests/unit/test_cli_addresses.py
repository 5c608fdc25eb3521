"""Where ``depgraph serve`` may listen, and that a refusal says what to do."""

import socket
from pathlib import Path
from typing import Any

import pytest
import typer

from server.cli.addresses import checked_addresses, checked_hosts, checked_tls, checked_transport
from server.config import Addresses, TlsSettings
from tests.support.certificates import Authority, CertificateFiles


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> CertificateFiles:
    authority = Authority()
    return CertificateFiles(tmp_path_factory.mktemp("certificates"), authority, authority)


def checked(listen: str, tls: str | None = None, *, allowed: bool = False) -> Addresses:
    return checked_addresses(listen, tls, None, None, allow_plaintext=allowed)


@pytest.mark.parametrize(
    "listen", ["127.0.0.1:0", "127.1.2.3:50051", "[::1]:0", "localhost:0", "unix:/run/a"]
)
def test_plaintext_needs_no_permission_where_only_this_host_connects(listen: str) -> None:
    assert checked(listen) == Addresses(listen)


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0", "192.0.2.7:50051", "no-such-host.invalid:0"])
def test_plaintext_elsewhere_is_refused_with_both_ways_out_unless_it_is_allowed(listen: str) -> None:
    with pytest.raises(typer.BadParameter) as refused:
        checked(listen)
    assert refused.value.param_hint == "--listen"
    assert listen in str(refused.value)
    for way in ("--tls-listen", "--tls-cert", "--tls-key", "--listen none", "--allow-plaintext"):
        assert way in str(refused.value)
    assert checked(listen, allowed=True) == Addresses(listen)


def test_tls_elsewhere_does_not_allow_plaintext_there() -> None:
    with pytest.raises(typer.BadParameter, match="--allow-plaintext"):
        checked("0.0.0.0:50051", "0.0.0.0:50443")


@pytest.mark.parametrize(
    ("found", "is_refused"), [(["127.0.0.1", "127.0.0.2"], False), (["127.0.0.1", "192.0.2.7"], True)]
)
def test_a_name_counts_as_loopback_if_all_of_its_addresses_do(
    monkeypatch: pytest.MonkeyPatch, found: list[str], is_refused: bool
) -> None:
    def resolved(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    if is_refused:
        with pytest.raises(typer.BadParameter, match="--allow-plaintext"):
            checked("name:0")
    else:
        assert checked("name:0") == Addresses("name:0")


def test_no_plaintext_needs_an_address_with_tls() -> None:
    assert checked("none", "0.0.0.0:50443") == Addresses("", "0.0.0.0:50443")
    with pytest.raises(typer.BadParameter, match="give --tls-listen HOST:PORT, --tls-cert and --tls-key"):
        checked("none")


def test_probes_are_answered_anywhere() -> None:
    found = checked_addresses("127.0.0.1:0", None, "0.0.0.0:50052", None, allow_plaintext=False)
    assert found == Addresses("127.0.0.1:0", health="0.0.0.0:50052")


def test_http_in_plaintext_stays_on_this_host_unless_it_is_allowed() -> None:
    for address in ("0.0.0.0:8051", "[::]:8051", "192.0.2.7:8051"):
        with pytest.raises(typer.BadParameter) as refused:
            checked_addresses("127.0.0.1:0", None, None, address, allow_plaintext=False)
        assert refused.value.param_hint == "--http-listen"
        for way in (address, "--tls-cert and --tls-key", "--allow-plaintext"):
            assert way in str(refused.value)
        allowed = checked_addresses("127.0.0.1:0", None, None, address, allow_plaintext=True)
        assert allowed == Addresses("127.0.0.1:0", http=address)
        by_tls = checked_addresses("127.0.0.1:0", None, None, address, allow_plaintext=False, is_https=True)
        assert by_tls == Addresses("127.0.0.1:0", http=address, is_https=True)
    found = checked_addresses("127.0.0.1:0", None, None, "127.0.0.1:8051", allow_plaintext=False)
    assert found.console == "http://127.0.0.1:8051/"


def test_tls_for_http_does_not_allow_calls_in_plaintext_elsewhere() -> None:
    with pytest.raises(typer.BadParameter) as refused:
        checked_addresses("0.0.0.0:0", None, None, "0.0.0.0:0", allow_plaintext=False, is_https=True)
    assert refused.value.param_hint == "--listen"


def test_http_alone_may_have_a_certificate(files: CertificateFiles) -> None:
    settings = TlsSettings(cert=files.cert, key=files.key, client_ca=files.client_ca)
    found = checked_tls(None, files.cert, files.key, files.client_ca, http_listen="0.0.0.0:0")
    assert found == settings
    assert checked_tls(None, None, None, None, http_listen="127.0.0.1:0") is None
    for cert, key, authority in (
        (files.cert, None, None),
        (None, files.key, None),
        (None, None, files.client_ca),
    ):
        with pytest.raises(typer.BadParameter, match="--tls-cert FILE and --tls-key FILE") as refused:
            checked_tls(None, cert, key, authority, http_listen="127.0.0.1:0")
        assert refused.value.param_hint == "--http-listen"


@pytest.mark.parametrize(
    "name", ["graph", "graph.example.com", "GRAPH-1.svc.cluster.local", "xn--4ca.de", "a_b"]
)
def test_a_name_for_http_is_one_that_a_browser_sends(name: str) -> None:
    assert checked_hosts([name, "other"], "127.0.0.1:0") == (name, "other")


@pytest.mark.parametrize(
    "name",
    ["", "http://graph", "graph:8051", "graph/", "*.example.com", "-graph", ".graph", "grä", "a b", "a\n"],
)
def test_what_is_no_name_of_a_host_is_refused(name: str) -> None:
    with pytest.raises(
        typer.BadParameter, match=r"no name of a host: give one such as depgraph\.example\.com"
    ):
        checked_hosts([name], "127.0.0.1:0")


def test_a_name_for_http_needs_an_address_of_http() -> None:
    with pytest.raises(typer.BadParameter, match="--http-listen HOST:PORT") as refused:
        checked_hosts(["graph"], None)
    assert refused.value.param_hint == "--http-host"
    assert checked_hosts(None, None) == ()


def test_tls_needs_a_certificate_and_its_key(files: CertificateFiles) -> None:
    for cert, key in ((files.cert, None), (None, files.key), (None, None)):
        with pytest.raises(typer.BadParameter, match="--tls-cert FILE and --tls-key FILE") as refused:
            checked_tls("127.0.0.1:0", cert, key, None)
        assert refused.value.param_hint == "--tls-listen"
    settings = TlsSettings(cert=files.cert, key=files.key, client_ca=files.client_ca)
    assert checked_tls("127.0.0.1:0", files.cert, files.key, files.client_ca) == settings


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_file_for_tls_without_an_address_with_tls_is_refused(number: int) -> None:
    given: list[Path | None] = [None, None, None]
    given[number] = Path("file")
    with pytest.raises(typer.BadParameter, match="--tls-listen HOST:PORT") as refused:
        checked_tls(None, *given)
    assert refused.value.param_hint == ["--tls-cert", "--tls-key", "--tls-client-ca"][number]
    assert checked_tls(None, None, None, None) is None


def test_a_file_that_can_t_be_used_is_refused_with_its_flag(files: CertificateFiles, tmp_path: Path) -> None:
    with pytest.raises(typer.BadParameter, match=f"--tls-key {tmp_path}/key: No such file"):
        checked_tls("127.0.0.1:0", files.cert, tmp_path / "key", None)


def test_native_is_refused_where_there_is_tls_only() -> None:
    with pytest.raises(typer.BadParameter, match="native has no TLS"):
        checked_transport("native", "")
    assert checked_transport("auto", "") == "grpcio"
